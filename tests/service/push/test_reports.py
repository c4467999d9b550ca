"""What the reports of nodes come to together."""

from service.push.reports import NodeOutcome, Report, Tally, UserOutcome

TARGETS = ("alice", "bob", "carol")


def test_a_report_is_complete_when_every_node_has_told_as_often_as_it_owes() -> None:
    tally = Tally()
    tally.add("a", Report("p", 1, 0, {"alice": (1, 0)}))
    assert not tally.settled
    tally.expect(["a", "b", "b"])
    tally.add("b", Report("p", 1, 0, {"bob": (1, 0)}))
    assert not tally.settled
    tally.add("b", Report("p", 0, 2, {"carol": (0, 2)}))
    assert tally.settled
    result = tally.result("p", "routed", TARGETS)
    assert (result.complete, result.unreported, result.offline) == (True, [], [])
    assert (result.targeted, result.delivered, result.slow) == (3, 2, 2)
    assert result.users == {
        "alice": UserOutcome("delivered", 1, 0),
        "bob": UserOutcome("delivered", 1, 0),
        "carol": UserOutcome("slow", 0, 2),
    }
    assert result.nodes == {
        "a": NodeOutcome("reported", 1, 0),
        "b": NodeOutcome("reported", 1, 2),
    }


def test_a_user_of_whom_nobody_has_told_is_offline_only_when_all_have_told() -> None:
    tally = Tally()
    tally.expect(["a", "b"])
    tally.add("a", Report("p", 1, 1, {"alice": (1, 1)}))
    early = tally.result("p", "fanout", TARGETS, offline=["carol"])
    assert not early.complete
    assert early.unreported == ["b"]
    assert early.nodes["b"] == NodeOutcome("unreported", 0, 0)
    assert early.users is not None
    assert [early.users[user].state for user in TARGETS] == ["delivered", "unknown", "offline"]
    assert early.offline == ["carol"]
    tally.add("b", Report("p"))
    late = tally.result("p", "fanout", TARGETS)
    assert (late.complete, late.offline) == (True, ["bob", "carol"])


def test_connections_of_a_user_at_several_nodes_are_added_up() -> None:
    tally = Tally()
    tally.expect(["a", "b"])
    tally.add("a", Report("p", 0, 1, {"alice": (0, 1)}))
    tally.add("b", Report("p", 2, 0, {"alice": (2, 0)}))
    result = tally.result("p", "fanout", ("alice",))
    assert result.users == {"alice": UserOutcome("delivered", 2, 1)}
    assert (result.targeted, result.delivered, result.slow) == (1, 2, 1)


def test_a_push_to_everyone_has_sums_and_no_users() -> None:
    tally = Tally()
    tally.expect(["a"])
    tally.add("a", Report("p", 1000, 3))
    result = tally.result("p", "fanout", None)
    assert (result.complete, result.targeted, result.users, result.offline) == (
        True,
        None,
        None,
        None,
    )
    assert (result.delivered, result.slow) == (1000, 3)


def test_it_is_never_complete_without_knowing_who_is_alive_or_with_a_node_that_never_tells() -> (
    None
):
    unknown = Tally()
    unknown.add("a", Report("p", 1, 0, {"alice": (1, 0)}))
    assert not unknown.settled
    result = unknown.result("p", "fanout", TARGETS)
    assert (result.complete, result.unreported) == (False, [])
    assert result.users is not None
    assert result.users["bob"].state == "unknown"
    silent = Tally()
    silent.expect(["a"])
    silent.add("a", Report("p"))
    result = silent.result("p", "fanout", TARGETS, silent=["a-java-node"])
    assert (result.complete, result.unreported, result.offline) == (False, ["a-java-node"], [])


def test_a_report_that_nobody_expected_counts_all_the_same() -> None:
    tally = Tally()
    tally.expect(["a"])
    tally.add("newcomer", Report("p", 1, 0, {"alice": (1, 0)}))
    assert not tally.settled
    tally.add("a", Report("p"))
    assert tally.settled
    assert tally.result("p", "fanout", ("alice",)).delivered == 1

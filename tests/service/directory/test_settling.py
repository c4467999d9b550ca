"""When the directory may be believed. Times are seconds on a clock of the test."""

from collections.abc import Collection, Mapping

import pytest

from service.directory.settling import HOLD, Settling

LIMIT = 15.0
ONE = {"a": "run-1"}


def seen(
    written_to: Mapping[str, str], expected: Collection[str] | None, *, at: float = 0.0
) -> Settling:
    """Give what a node knows that has just started at server `run-1`."""
    settling = Settling()
    settling.saw_server("run-1", at)
    settling.saw_nodes(written_to, expected)
    return settling


def test_a_server_is_new_once() -> None:
    settling = Settling()
    assert settling.saw_server("run-1", 0)
    assert not settling.saw_server("run-1", 1)
    assert settling.saw_server("run-2", 2)
    assert settling.saw_server("run-1", 3)


@pytest.mark.parametrize(
    ("written_to", "expected", "settled"),
    [
        (ONE, ["a"], True),
        ({"a": "run-1", "b": "run-1"}, ["a", "b"], True),
        # More records than nodes known: one that is not registered yet, or no more.
        ({"a": "run-1", "b": "run-0"}, ["a"], True),
        ({}, ["a"], False),
        (ONE, ["a", "b"], False),
        ({"a": "run-1", "b": "run-0"}, ["a", "b"], False),
        # A node that is still behind with its writes says no run id.
        ({"a": "run-1", "b": ""}, ["a", "b"], False),
        # Nobody can say who is alive.
        (ONE, None, False),
    ],
)
def test_after_a_start_it_is_believed_when_every_living_node_has_written(
    written_to: Mapping[str, str], expected: Collection[str] | None, settled: bool
) -> None:
    assert seen(written_to, expected).settled(0, LIMIT) is settled


def test_where_nobody_can_say_who_is_alive_the_doubt_ends_by_time() -> None:
    settling = seen(ONE, None, at=100)
    assert not settling.settled(100 + LIMIT - 0.1, LIMIT)
    assert settling.settled(100 + LIMIT, LIMIT)
    assert settling.settled(100 + LIMIT + 1, LIMIT)


def test_a_living_node_that_has_not_written_is_waited_for_without_end() -> None:
    settling = seen(ONE, ["a", "b"])
    assert not settling.settled(1000, LIMIT)
    settling.saw_nodes({"a": "run-1", "b": "run-1"}, ["a", "b"])
    assert settling.settled(1001, LIMIT)


def test_before_any_server_was_seen_it_is_settled_by_nothing_seen() -> None:
    # The Directory asks only while the store answers, hence after saw_server.
    assert Settling().settled(0, LIMIT)


def test_an_outage_holds_for_a_while_even_when_all_is_written() -> None:
    settling = seen(ONE, ["a"])
    assert settling.settled(1, LIMIT)
    settling.doubt(10)
    settling.saw_nodes(ONE, ["a"])
    assert not settling.settled(10, LIMIT)
    assert not settling.settled(10 + HOLD - 0.1, LIMIT)
    assert settling.settled(10 + HOLD, LIMIT)


def test_each_outage_starts_the_hold_again() -> None:
    settling = seen(ONE, ["a"])
    settling.doubt(10)
    settling.doubt(12)
    assert not settling.settled(10 + HOLD, LIMIT)
    assert settling.settled(12 + HOLD, LIMIT)
    # Over is over.
    assert settling.settled(12 + HOLD + 0.1, LIMIT)


def test_another_server_is_an_outage_until_all_have_written_to_it() -> None:
    settling = seen(ONE, ["a"])
    assert settling.saw_server("run-2", 20)
    settling.saw_nodes(ONE, ["a"])
    assert not settling.settled(20 + HOLD, LIMIT)
    settling.saw_nodes({"a": "run-2"}, ["a"])
    assert not settling.settled(20 + HOLD - 0.1, LIMIT)
    assert settling.settled(20 + HOLD, LIMIT)


def test_lost_data_is_doubted_for_the_whole_limit() -> None:
    # The records say the run id of the running server, so they cannot tell who has written again.
    settling = seen(ONE, ["a"])
    settling.doubt(10, data_lost=True)
    settling.saw_nodes(ONE, ["a"])
    assert not settling.settled(10 + HOLD, LIMIT)
    assert not settling.settled(10 + LIMIT - 0.1, LIMIT)
    assert settling.settled(10 + LIMIT, LIMIT)


def test_lost_data_is_not_forgotten_for_an_outage_after_it() -> None:
    settling = seen(ONE, ["a"])
    settling.doubt(10, data_lost=True)
    settling.doubt(11)
    assert not settling.settled(11 + HOLD, LIMIT)
    assert settling.settled(11 + LIMIT, LIMIT)
    # The next outage is an ordinary one again.
    settling.doubt(100)
    assert settling.settled(100 + HOLD, LIMIT)


def test_once_believed_an_unknown_registry_raises_no_doubt() -> None:
    settling = seen(ONE, ["a"])
    assert settling.settled(1, LIMIT)
    settling.saw_nodes(ONE, None)
    assert settling.settled(2, LIMIT)


def test_once_believed_a_node_behind_raises_doubt_again() -> None:
    settling = seen(ONE, ["a"])
    assert settling.settled(1, LIMIT)
    settling.saw_nodes({"a": "run-1", "b": ""}, ["a", "b"])
    assert not settling.settled(2, LIMIT)
    settling.saw_nodes({"a": "run-1", "b": "run-1"}, ["a", "b"])
    assert settling.settled(3, LIMIT)


def test_a_short_limit_ends_even_a_hold() -> None:
    settling = seen(ONE, ["a"])
    settling.doubt(10)
    assert settling.settled(11, 1.0)

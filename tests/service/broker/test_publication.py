"""Planned pushes become AMQP messages without one overtaking another."""

from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.broker import publication
from service.broker.envelope import read_envelope
from service.broker.publication import MAX_BYTES, MAX_PARTS, Publication, compose
from service.push.plan import FANOUT, Plan
from service.push.push import Push, read_push


def to_users(number: int, **direct: str) -> tuple[Push, Plan]:
    """Plan a push to users of other nodes: `a="xy"` has x and y at node a."""
    users = {node: tuple(names) for node, names in direct.items()}
    targets = tuple(dict.fromkeys(user for names in users.values() for user in names))
    return Push(f"p{number}", b"%d" % number, targets), Plan(False, direct=users, offline=())


def by_fanout(number: int) -> tuple[Push, Plan]:
    return Push(f"p{number}", b"%d" % number, ("x",)), FANOUT


def shape(composed: list[Publication]) -> list[tuple[str, str, tuple[int, ...]]]:
    return [(item.way, item.node, item.pushes) for item in composed]


def test_pushes_for_one_node_are_merged_into_one_message() -> None:
    composed = compose([to_users(0, a="xy"), to_users(1, a="x", b="z"), to_users(2, b="z")])
    assert shape(composed) == [("direct", "a", (0, 1)), ("direct", "b", (1, 2))]
    parts = [(p.id, p.users, bytes(p.content)) for p in read_envelope(composed[0].body).parts]
    assert parts == [("p0", ("x", "y"), b"0"), ("p1", ("x",), b"1")]
    for item in composed:
        assert tuple(read_envelope(item.body).parts) == item.parts


def test_a_fanout_push_ends_merging_and_goes_by_itself() -> None:
    composed = compose(
        [to_users(0, a="x"), to_users(1, b="y"), by_fanout(2), to_users(3, a="x"), by_fanout(4)]
    )
    assert shape(composed) == [
        ("direct", "a", (0,)),
        ("direct", "b", (1,)),
        ("fanout", "", (2,)),
        ("direct", "a", (3,)),
        ("fanout", "", (4,)),
    ]
    assert read_push(composed[2].body, "p2") == by_fanout(2)[0]
    assert composed[2].message_id == "p2"


def test_pushes_for_nobody_elsewhere_make_no_message() -> None:
    here = Plan(False, local=("x",), offline=("y",))
    assert compose([(Push("p", b"1", ("x", "y")), here)]) == []
    assert compose([]) == []


def test_a_message_holds_a_limited_number_of_pushes() -> None:
    composed = compose([to_users(number, a="x") for number in range(MAX_PARTS * 2 + 1)])
    assert [len(item.parts) for item in composed] == [MAX_PARTS, MAX_PARTS, 1]


def test_a_message_holds_a_limited_number_of_bytes() -> None:
    big = b'"' + b"x" * (MAX_BYTES // 3) + b'"'
    pushes = [
        (Push(f"p{number}", big, ("x",)), Plan(False, direct={"a": ("x",)})) for number in range(7)
    ]
    composed = compose(pushes)
    assert [item.pushes for item in composed] == [(0, 1, 2), (3, 4, 5), (6,)]
    # One that is too large by itself still goes.
    huge = (Push("p", b'"' + b"x" * MAX_BYTES * 2 + b'"', ("x",)), pushes[0][1])
    assert len(compose([huge, huge])) == 2


def test_ids_of_messages_differ_and_fit_amqp() -> None:
    node = "f" * 32
    pushes = [
        (Push("e" * 32, b"1", ("x",)), Plan(False, direct={node: ("x",), "other": ("x",)})),
        (Push("d" * 32, b"1", ("x",)), FANOUT),
        (Push("d" * 32, b"1", ("x",)), Plan(False, direct={node: ("x",)})),
    ]
    ids = [item.message_id for item in compose(pushes)]
    # The client tells returned messages apart by their ids; AMQP's limit is 255 bytes.
    assert len(set(ids)) == len(ids) == 4
    assert all(len(message_id) < 256 for message_id in ids)


NODES, USERS = "abc", "uvw"

plans = st.one_of(
    st.just(FANOUT),
    st.dictionaries(
        st.sampled_from(NODES),
        st.sets(st.sampled_from(USERS), min_size=1).map(lambda users: tuple(sorted(users))),
    ).map(lambda direct: Plan(False, direct=direct, offline=())),
)


@pytest.fixture(params=[(1000, 1_000_000), (3, 1_000_000), (1000, 12)], ids=str)
def caps(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publication, "MAX_PARTS", request.param[0])
    monkeypatch.setattr(publication, "MAX_BYTES", request.param[1])


@pytest.mark.usefixtures("caps")
class TestOrder:
    @given(st.lists(plans, max_size=30))
    def test_each_user_of_each_node_gets_all_pushes_in_the_order_of_acceptance(
        self, planned: list[Plan]
    ) -> None:
        pushes = [Push(f"p{number}", b"%d" % number, ()) for number in range(len(planned))]
        pushes = [
            push if plan.fanout is False else Push(push.id, push.content, tuple(USERS))
            for push, plan in zip(pushes, planned, strict=True)
        ]
        expected: dict[tuple[str, str], list[str]] = defaultdict(list)
        for push, plan in zip(pushes, planned, strict=True):
            for node in NODES:
                users = push.targets or () if plan.fanout else plan.direct.get(node, ())
                for user in users:
                    expected[node, user].append(push.id)
        arrived: dict[tuple[str, str], list[str]] = defaultdict(list)
        for item in compose(list(zip(pushes, planned, strict=True))):
            if item.way == "fanout":
                for node in NODES:
                    for user in read_push(item.body, item.message_id).targets or ():
                        arrived[node, user].append(item.message_id)
            for part, index in zip(item.parts, item.pushes, strict=item.way == "direct"):
                assert pushes[index].id == part.id
                for user in part.users:
                    arrived[item.node, user].append(part.id)
        assert arrived == expected

"""What is kept of what was published: no more than allowed, and given back as it was."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.broker import sent as module
from service.broker.resending import Ask
from service.broker.sent import CONFIRMED, OVERHEAD, VOID, Sent

MANY = 10**9


def publish(sent: Sent, node: str, count: int, now: float = 0.0, state: int = CONFIRMED) -> None:
    for _ in range(count):
        kept = sent.number(node, "id", b"%d" % now, now)
        kept.state = state


def numbers(sent: Sent, node: str, first: int, last: int) -> list[int]:
    again = sent.again("direct" if node else "fanout", node or "r", first, last)
    return [item.number for item in again.items]


def test_messages_to_all_and_to_each_node_are_counted_by_themselves() -> None:
    sent = Sent(MANY, 60)
    counted = [sent.number(node, "", b"", 0).number for node in ("", "a", "", "b", "a", "")]
    assert counted == [1, 1, 2, 1, 2, 3]


def test_what_is_too_old_or_too_much_goes_first() -> None:
    sent = Sent(MANY, 60)
    for second in range(100):
        publish(sent, "", 1, second)
    assert numbers(sent, "", 1, 100) == list(range(41, 101))
    assert sent.again("fanout", "r", 1, 100).floor == 41
    sent.limit(10 * (2 + OVERHEAD), 60, 99)
    assert numbers(sent, "", 1, 100) == list(range(91, 101))
    sent.trim(200)
    assert sent.bytes == 0
    assert sent.again("fanout", "r", 1, 100).floor == 101


@pytest.mark.parametrize(("buffer", "age"), [(0, 60), (MANY, 0), (OVERHEAD, 60)])
def test_nothing_is_kept_where_that_is_switched_off_or_too_much(buffer: int, age: float) -> None:
    sent = Sent(buffer, age)
    publish(sent, "", 3)
    publish(sent, "a", 2)
    assert sent.bytes == 0
    assert sent.again("fanout", "r", 1, 3).floor == 4
    assert sent.again("direct", "a", 1, 2).floor == 3
    assert sent.number("a", "", b"", 0).number == 3


def test_what_was_never_accepted_is_not_sent_again_but_not_lost_either() -> None:
    sent = Sent(MANY, 60)
    publish(sent, "", 2)
    publish(sent, "", 1, state=VOID)
    publish(sent, "", 1)
    again = sent.again("fanout", "r", 1, 4)
    assert [item.number for item in again.items] == [1, 2, 4]
    assert (again.last, again.floor) == (4, 1)


def test_what_the_broker_has_not_confirmed_is_not_settled() -> None:
    sent = Sent(MANY, 60)
    publish(sent, "", 2)
    kept = sent.number("", "", b"", 0)
    assert sent.settled("fanout", "r", 1, 2)
    assert not sent.settled("fanout", "r", 2, 3)
    kept.state = VOID
    assert sent.settled("fanout", "r", 1, 3)
    assert sent.settled("direct", "never-heard-of", 1, 3)


def test_an_answer_that_would_be_too_long_is_given_in_pieces(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MAX_ANSWER", 10)
    sent = Sent(MANY, 60)
    for size in (4, 4, 4, 30, 4):
        sent.number("", "", b"x" * size, 0).state = CONFIRMED
    place, pieces = 1, []
    while place <= 5:
        again = sent.again("fanout", "r", place, 5)
        pieces.append([item.number for item in again.items])
        place = again.last + 1
    assert pieces == [[1, 2], [3], [4], [5]]


def test_a_node_is_answered_from_where_it_is_known_on() -> None:
    sent = Sent(MANY, 60)
    publish(sent, "", 3)
    sent.meet(["r"])
    publish(sent, "", 2)
    sent.meet(["r", "s"])
    publish(sent, "", 1)
    publish(sent, "r", 2)
    ask = Ask(7, ((0, 0), (2, 3)), ((1, 0),))
    assert sent.complete("r", ask) == Ask(7, ((4, 6), (2, 3)), ((1, 2),))
    assert sent.complete("s", ask) == Ask(7, ((6, 6), (2, 3)), ((1, 0),))
    assert sent.complete("stranger", ask) == Ask(7, ((7, 6), (2, 3)), ((1, 0),))


def test_nodes_long_gone_are_forgotten_before_those_that_live(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MAX_NODES", 5)
    sent = Sent(MANY, 60)
    for number in range(20):
        sent.meet(["lives", f"node-{number}"])
        publish(sent, f"node-{number}", 1)
        publish(sent, "lives", 1)
    assert len(sent._direct) == len(sent._since) == 5
    assert sent.complete("lives", Ask(0, ((0, 0),), ((1, 0),))) == Ask(0, ((1, 0),), ((1, 20),))


@given(
    st.lists(
        st.tuples(st.sampled_from(["", "a", "b"]), st.integers(0, 50), st.integers(0, 5)),
        max_size=60,
    ),
    st.integers(0, 5 * OVERHEAD),
    st.integers(0, 20),
)
def test_it_keeps_the_newest_and_knows_what_it_has_dropped(
    messages: list[tuple[str, int, int]], buffer: int, age: int
) -> None:
    sent = Sent(buffer, age)
    now, log = 0, list[tuple[str, int, int, int]]()
    for node, size, pause in messages:
        now += pause
        kept = sent.number(node, "", b"x" * size, now)
        kept.state = CONFIRMED
        log.append((node, kept.number, size, now))
    assert sent.bytes <= buffer
    left, size = [], 0
    for entry in reversed(log):
        size += entry[2] + OVERHEAD
        # Once something was dropped, all before it was.
        if size > buffer or entry[3] + age <= now:
            break
        left.append(entry[:2])
    for node in ("", "a", "b"):
        all_of = [number for name, number, *_ in log if name == node]
        expected = [number for number in all_of if (node, number) in left]
        way = "direct" if node else "fanout"
        again = sent.again(way, node or "r", 1, len(all_of))  # type: ignore[arg-type]  # a Way
        assert [item.number for item in again.items] == expected
        if all_of:
            assert again.floor == len(all_of) + 1 - len(expected)

"""By the numbers: what is missing, what comes twice, and what is asked for."""

from dataclasses import dataclass, field

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.broker import arrivals as module
from service.broker.arrivals import Arrivals
from service.broker.resending import Again, Ask, Item, Way
from service.broker.sent import CONFIRMED, VOID, Sent

RAW = msgspec.Raw(b"1")


def items(*numbers: int) -> tuple[Item, ...]:
    return tuple(Item(number, "", RAW) for number in numbers)


def take(arrivals: Arrivals, way: Way, *numbers: int) -> list[bool]:
    return [arrivals.take(way, "s", number) for number in numbers]


def answered(arrivals: Arrivals, again: Again) -> list[int]:
    return [item.number for item in arrivals.answered("s", again)]


@pytest.mark.parametrize("way", ["fanout", "direct"])
def test_what_comes_in_order_is_taken_once(way: Way) -> None:
    arrivals = Arrivals()
    assert take(arrivals, way, 1, 2, 3, 2, 3, 4) == [True, True, True, False, False, True]
    assert arrivals.ask_of("s") is None
    assert not arrivals.owing


def test_senders_and_ways_are_counted_by_themselves() -> None:
    arrivals = Arrivals()
    assert arrivals.take("fanout", "s", 1)
    assert arrivals.take("direct", "s", 1)
    assert arrivals.take("fanout", "t", 1)


def test_a_gap_is_asked_for_and_what_comes_late_is_taken() -> None:
    stirred = list[bool]()
    arrivals = Arrivals(lambda: stirred.append(True))
    assert take(arrivals, "fanout", 1, 5, 6) == [True] * 3
    assert stirred == [True]
    assert list(arrivals.owing) == ["s"]
    assert arrivals.ask_of("s") == Ask(0, ((2, 4),))
    assert take(arrivals, "fanout", 3, 3) == [True, False]
    assert arrivals.ask_of("s") == Ask(0, ((2, 2), (4, 4)))
    # 2 is sent again, 4 was never accepted.
    assert answered(arrivals, Again("fanout", 2, 4, 1, items(2, 3))) == [2]
    assert arrivals.ask_of("s") is None
    assert arrivals.lost == 0
    assert take(arrivals, "fanout", 2, 4, 7) == [False, False, True]


@pytest.mark.parametrize("begun", [True, False])
def test_a_number_that_another_wrote_in_the_name_of_a_node_does_not_silence_it(
    begun: bool,
) -> None:
    sent, arrivals = Sent(1_000_000, 60.0), Arrivals()
    sent.meet(["me"])
    if begun:
        assert take(arrivals, "fanout", sent.number("", "1", b"{}", 0.0).number) == [True]
    assert take(arrivals, "fanout", 2**60) == [True]
    ask = sent.complete("me", arrivals.ask_of("s") or Ask())
    for first, last in ask.fanout:
        again = sent.again("fanout", "me", first, last)
        answered(arrivals, msgspec.structs.replace(again, begin=0 if begun else first))
    assert arrivals.ask_of("s") is None
    assert arrivals.lost == 0
    genuine = [sent.number("", str(each), b"{}", 0.0).number for each in range(5)]
    assert take(arrivals, "fanout", *genuine, *genuine) == [True] * 5 + [False] * 5


def test_what_is_gone_is_counted() -> None:
    arrivals = Arrivals()
    take(arrivals, "direct", 1, 10)
    assert answered(arrivals, Again("direct", 2, 9, 7, items(7, 9))) == [7, 9]
    assert arrivals.lost == 5
    assert arrivals.ask_of("s") is None


def test_what_is_sent_to_this_node_alone_is_all_for_it() -> None:
    arrivals = Arrivals()
    assert take(arrivals, "direct", 3) == [True]
    assert arrivals.ask_of("s") == Ask(0, (), ((1, 2),))


def test_where_the_messages_for_this_node_begin_only_the_sender_knows() -> None:
    arrivals = Arrivals()
    assert take(arrivals, "fanout", 7) == [True]
    assert arrivals.ask_of("s") == Ask(0, ((0, 6),))
    # Nothing was for us before 7, or 5 and 6 were.
    assert answered(arrivals, Again("fanout", 7, 6, 1, (), 7)) == []
    assert arrivals.ask_of("s") is None
    other = Arrivals()
    take(other, "fanout", 7)
    assert answered(other, Again("fanout", 5, 5, 1, items(5), 5)) == [5]
    assert other.ask_of("s") == Ask(0, ((6, 6),))


def test_a_queue_that_came_up_anew_may_have_lost_the_newest() -> None:
    arrivals = Arrivals()
    take(arrivals, "fanout", 1, 2)
    arrivals.came_up()
    arrivals.look_behind({"s"})
    assert arrivals.ask_of("s") == Ask(1, ((3, 0),), ((1, 0),))
    again = Again("fanout", 3, 5, 1, items(3, 5), round=1, final=True)
    assert answered(arrivals, again) == [3, 5]
    assert answered(arrivals, again) == []
    assert arrivals.ask_of("s") == Ask(1, (), ((1, 0),))
    assert answered(arrivals, Again("direct", 1, 0, 1, round=1, final=True)) == []
    assert arrivals.ask_of("s") is None
    assert take(arrivals, "fanout", 5, 6) == [False, True]


def test_an_answer_from_before_the_last_time_ends_nothing() -> None:
    arrivals = Arrivals()
    take(arrivals, "fanout", 1)
    arrivals.came_up()
    arrivals.look_behind({"s"})
    arrivals.came_up()
    arrivals.look_behind({"s"})
    assert answered(arrivals, Again("fanout", 2, 2, 1, items(2), round=1, final=True)) == [2]
    assert arrivals.ask_of("s") == Ask(2, ((3, 0),), ((1, 0),))


def test_nobody_is_asked_before_it_is_known_who_lives_and_the_dead_are_not() -> None:
    arrivals = Arrivals()
    arrivals.look_behind({"s"})
    assert not arrivals.owing
    take(arrivals, "fanout", 1)
    arrivals.came_up()
    arrivals.look_behind({"t"})
    assert list(arrivals.owing) == ["t"]
    # Of t nothing has come yet.
    assert arrivals.ask_of("t") == Ask(1, ((0, 0),), ((1, 0),))
    assert arrivals.ask_of("s") is None


def test_what_a_dead_sender_owes_is_lost() -> None:
    arrivals = Arrivals()
    take(arrivals, "fanout", 1, 5)
    take(arrivals, "direct", 3)
    arrivals.give_up("s")
    assert arrivals.lost == 5
    assert arrivals.ask_of("s") is None
    assert take(arrivals, "fanout", 3, 6) == [False, True]


def test_what_could_not_be_handled_is_taken_once_more() -> None:
    arrivals = Arrivals()
    take(arrivals, "direct", 1, 2)
    arrivals.put_back("direct", "s", 2)
    assert take(arrivals, "direct", 2, 2, 3) == [True, False, True]


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_PIECES", 3)
    monkeypatch.setattr(module, "MAX_SENDERS", 3)
    arrivals = Arrivals()
    take(arrivals, "fanout", *range(1, 21, 2))
    assert arrivals.lost == 6
    assert arrivals.ask_of("s") == Ask(0, ((14, 14), (16, 16), (18, 18)))
    for number in range(10):
        arrivals.take("fanout", f"t{number}", 1)
        arrivals.meet(["s"])
    assert len(arrivals._tracks["fanout"]) == 3
    assert take(arrivals, "fanout", 19, 20) == [False, True]


@dataclass
class Link:
    """A sender, a receiver, and a queue between them that can vanish with all that is in it."""

    way: Way
    sent: Sent = field(default_factory=lambda: Sent(10**9, 10**9))
    arrivals: Arrivals = field(default_factory=Arrivals)
    queue: list[Again | int] | None = None
    handled: list[int] = field(default_factory=list)
    accepted: list[int] = field(default_factory=list)
    void: list[int] = field(default_factory=list)

    @property
    def node(self) -> str:
        return "r" if self.way == "direct" else ""

    def publish(self, *, accepted: bool, arrives: bool) -> None:
        kept = self.sent.number(self.node, "", b"1", 0)
        kept.state = CONFIRMED if accepted else VOID
        (self.accepted if accepted else self.void).append(kept.number)
        if self.queue is not None and (accepted or arrives):
            self.queue.append(kept.number)

    def bind(self) -> None:
        self.queue = []
        self.arrivals.came_up()
        self.arrivals.look_behind({"s"})

    def lose(self) -> None:
        self.queue = None

    def deliver_again(self) -> None:
        self.queue = self.queue and self.queue * 2

    def overtake(self) -> None:
        if self.queue:
            self.queue.insert(0, self.queue[-1])

    def consume(self) -> None:
        while self.queue:
            message = self.queue.pop(0)
            if isinstance(message, Again):
                self.handled += [item.number for item in self.arrivals.answered("s", message)]
            elif self.arrivals.take(self.way, "s", message):
                self.handled.append(message)

    def ask(self) -> None:
        ask = self.arrivals.ask_of("s")
        if ask is None or self.queue is None:
            return
        closed = self.sent.complete("r", ask)
        for way, asked, ranges in (
            ("fanout", ask.fanout, closed.fanout),
            ("direct", ask.direct, closed.direct),
        ):
            for (zero, end), (first, last) in zip(asked, ranges, strict=True):
                part = self.sent.again(way, "r", first, last)  # type: ignore[arg-type]  # a Way
                self.queue.append(
                    msgspec.structs.replace(
                        part, begin=0 if zero else first, round=ask.round, final=not end
                    )
                )


@settings(max_examples=500)
@given(
    st.sampled_from(["fanout", "direct"]),
    st.lists(
        st.sampled_from(
            ["publish"] * 4 + ["fail", "half", "lose", "bind", "consume", "ask", "again", "early"]
        ),
        max_size=60,
    ),
)
def test_whatever_happens_all_that_was_accepted_is_handled_once(
    way: Way, events: list[str]
) -> None:
    link = Link(way)
    # Before it is known, fanout messages are not for it.
    if way == "fanout":
        for _ in range(3):
            link.publish(accepted=True, arrives=True)
        link.accepted.clear()
    link.queue = []
    link.sent.meet(["r"])
    happen = {
        "publish": lambda: link.publish(accepted=True, arrives=True),
        "fail": lambda: link.publish(accepted=False, arrives=False),
        "half": lambda: link.publish(accepted=False, arrives=True),
        "lose": link.lose,
        "bind": link.bind,
        "consume": link.consume,
        "again": link.deliver_again,
        "early": link.overtake,
        "ask": link.ask,
    }
    for event in events:
        happen[event]()
    if link.queue is None:
        link.bind()
    for _ in range(4):
        link.ask()
        link.consume()
    assert set(link.handled) - set(link.void) == set(link.accepted)
    link.publish(accepted=True, arrives=True)
    for _ in range(4):
        link.consume()
        link.ask()
    assert len(set(link.handled)) == len(link.handled)
    assert set(link.handled) - set(link.void) == set(link.accepted)
    assert link.arrivals.ask_of("s") is None
    assert link.arrivals.lost == 0

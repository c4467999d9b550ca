"""What this node has published lately, numbered, so that it can be sent again. Pure.

Messages to the fanout exchange are counted up from 1; those to the direct one likewise, for each
node that they are for. What is kept of both is bounded by bytes and by age together.
"""

from collections import deque
from collections.abc import Iterable
from itertools import islice
from typing import Any

import msgspec

from service.broker.resending import Again, Ask, Item, Way

MAX_NODES = 10_000
"""Nodes that are remembered, by far more than live at a time: the oldest ones are forgotten."""

MAX_ANSWER = 1_000_000
"""Bytes of bodies in one answer, or one body that is longer."""

OVERHEAD = 300
"""Bytes that a kept message takes beside its body, measured."""

PENDING, CONFIRMED, VOID = 0, 1, 2


class Kept(msgspec.Struct, gc=False):
    """A message: `state` is PENDING until the broker has confirmed it, VOID where it has not."""

    stream: "Stream"
    number: int
    id: str
    body: bytes
    at: float
    state: int = PENDING


class Stream:
    """The messages that are counted together; `kept` holds the newest ones without a gap."""

    __slots__ = ("count", "kept")

    def __init__(self) -> None:
        self.count = 0
        self.kept: deque[Kept] = deque()

    @property
    def floor(self) -> int:
        """From which number on nothing was dropped."""
        return self.count + 1 - len(self.kept)


class Sent:
    """Numbers what is published, and keeps it for a while.

    `buffer` is in bytes, `age` in seconds; with either at 0 nothing is kept. Times are on one
    monotonic clock, the caller's.
    """

    def __init__(self, buffer: int = 0, age: float = 0.0) -> None:
        self._fanout = Stream()
        self._direct: dict[str, Stream] = {}
        self._since: dict[str, int] = {}
        self._order: deque[Kept] = deque()
        self.bytes = 0
        """What is kept takes, in bytes."""
        self._buffer = buffer
        self._age = age

    def limit(self, buffer: int, age: float, now: float) -> None:
        """Keep as much from now on."""
        self._buffer, self._age = buffer, age
        self.trim(now)

    def number(self, node: str, message_id: str, body: bytes, now: float) -> Kept:
        """Give the next message for a node its number; for all nodes where `node` is empty."""
        stream = self._direct.get(node) or self._new(node) if node else self._fanout
        stream.count = count = stream.count + 1
        kept = Kept(stream, count, message_id, body, now)
        stream.kept.append(kept)
        order = self._order
        order.append(kept)
        self.bytes += len(body) + OVERHEAD
        if self.bytes > self._buffer or order[0].at + self._age <= now:
            self.trim(now)
        return kept

    def trim(self, now: float) -> None:
        """Drop what is too old, or too much."""
        order = self._order
        while order and (self.bytes > self._buffer or order[0].at + self._age <= now):
            kept = order.popleft()
            kept.stream.kept.popleft()
            self.bytes -= len(kept.body) + OVERHEAD

    def meet(self, nodes: Iterable[str]) -> None:
        """Note which nodes there are: what is published from now on is for these, too.

        A node is listed after its queue was bound.
        """
        for node in nodes:
            self._since[node] = self._since.pop(node, self._fanout.count)
            if node in self._direct:
                self._direct[node] = self._direct.pop(node)
        _forget_oldest(self._since)

    def complete(self, node: str, ask: Ask) -> Ask:
        """Put numbers in the place of what an Ask leaves open, as they are at this moment."""

        def closed(way: Way, ranges: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
            newest = self._count(way, node)
            return tuple(
                (first or self._begin(way, node), last or newest) for first, last in ranges
            )

        return Ask(ask.round, closed("fanout", ask.fanout), closed("direct", ask.direct))

    def settled(self, way: Way, node: str, first: int, last: int) -> bool:
        """Tell whether the broker has said what became of each message of a range."""
        return all(kept.state != PENDING for kept in self._between(way, node, first, last))

    def again(self, way: Way, node: str, first: int, last: int) -> Again:
        """Give what there is of a range, or of its beginning, where it is more than MAX_ANSWER.

        `Again.last` tells how far it goes; call it again from there on.
        """
        stream = self._stream(way, node)
        items: list[Item] = []
        size = 0
        for kept in self._between(way, node, first, last):
            if kept.state == VOID:
                continue
            if items and size + len(kept.body) > MAX_ANSWER:
                last = kept.number - 1
                break
            size += len(kept.body)
            items.append(Item(kept.number, kept.id, msgspec.Raw(kept.body)))
        if stream is None:
            return Again(way, first, last, last + 1, newest=0)
        return Again(way, first, last, stream.floor, tuple(items), newest=stream.count)

    def _new(self, node: str) -> Stream:
        self._direct[node] = stream = Stream()
        _forget_oldest(self._direct)
        return stream

    def _stream(self, way: Way, node: str) -> Stream | None:
        return self._fanout if way == "fanout" else self._direct.get(node)

    def _count(self, way: Way, node: str) -> int:
        stream = self._stream(way, node)
        return stream.count if stream else 0

    def _begin(self, way: Way, node: str) -> int:
        # A direct message is sent to a node that is known only.
        return self._since.get(node, self._fanout.count) + 1 if way == "fanout" else 1

    def _between(self, way: Way, node: str, first: int, last: int) -> Iterable[Kept]:
        stream = self._stream(way, node)
        if stream is None:
            return ()
        kept, floor = stream.kept, stream.floor
        return islice(kept, *(min(max(end - floor, 0), len(kept)) for end in (first, last + 1)))


def _forget_oldest(nodes: dict[str, Any]) -> None:
    while len(nodes) > MAX_NODES:
        del nodes[next(iter(nodes))]

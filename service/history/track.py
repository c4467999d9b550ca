"""A Track: what of one stream has been delivered at this node, and what is missing. Pure."""

from collections.abc import Sequence
from typing import Generic, TypeVar

from service.history.position import START, Position, follows, number_of

T = TypeVar("T")

MAX_PENDING = 200
"""Messages held behind a gap; of more, only the position is kept, since Redis has them."""


class Track(Generic[T]):
    """Puts what comes in order, once each. `last` is None until the head of the stream is known.

    Until then messages are held, or with `blind` passed on as they come. What stands at `base` or
    before was accepted before this node asked for the head: it is passed on, if it comes.
    """

    __slots__ = ("_late", "_pending", "base", "blind", "last", "wanted")

    def __init__(self) -> None:
        self.base = START
        self.last: Position | None = None
        self.blind = False
        self.wanted = START
        """The highest position known to be taken."""
        self._pending: dict[Position, T] | None = None
        self._late: set[Position] | None = None

    @property
    def has_gap(self) -> bool:
        """Whether something is known of that has not been delivered."""
        return self.last is not None and self.wanted > self.last

    def take(self, at: Position, item: T) -> Sequence[tuple[Position, T]] | None:
        """Take what has come; gives what is to be delivered now, None for a repeat."""
        last = self.last
        if last is None:
            if self.blind:
                return ((START, item),)
            self._hold(at, item)
            return ()
        if at <= self.base:
            return ((START, item),) if self._is_first(at) else None
        pending = self._pending
        if at <= last or (pending is not None and at in pending):
            return None
        if pending is None and follows(last, at):
            self.last = at
            return ((at, item),)
        self._hold(at, item)
        return self._drain()

    def start(self, head: Position) -> Sequence[tuple[Position, T]]:
        """Begin behind the head of the stream; gives what was held and is to be delivered now."""
        self.base = self.last = head
        self.blind = False
        held, self._pending, self.wanted = self._pending or {}, None, START
        out: list[tuple[Position, T]] = []
        for at in sorted(held):
            out.extend(self.take(at, held[at]) or ())
        return out

    def give_up(self) -> Sequence[tuple[Position, T]]:
        """Pass on what was held, and what comes, until `start`: nobody knows the head."""
        self.blind, self.last = True, None
        held, self._pending, self.wanted = self._pending or {}, None, START
        return [(START, held[at]) for at in sorted(held)]

    def restart(self) -> Sequence[tuple[Position, T]]:
        """Forget everything, since there is another data set; gives what was held."""
        held = self.give_up()
        self.blind, self.base = False, START
        return held

    def expect(self, head: Position) -> None:
        """Note the head of the stream, as Redis has told it just now."""
        # A stream that has ended has no number, only a time.
        if number_of(head) and head > self.wanted:
            self.wanted = head

    def fetched(
        self, entries: Sequence[tuple[Position, T]], asked: Position, *, complete: bool
    ) -> tuple[Sequence[tuple[Position, T]], int]:
        """Take what Redis has behind `last`, in its order; `asked` is what was wanted then.

        With `complete` Redis has no more than that. Gives what is to be delivered, and how many are
        lost for good.
        """
        last = self.last
        if last is None:
            return (), 0
        horizon = entries[-1][0] if entries else START
        if complete:
            horizon = max(horizon, asked)
        known = dict(entries)
        for at, item in (self._pending or {}).items():
            if at <= horizon:
                known.setdefault(at, item)
        out, lost = [], 0
        for at in sorted(known):
            if at <= last:
                continue
            lost += max(number_of(at) - number_of(last) - 1, 0)
            out.append((at, known[at]))
            last = at
        self.last = last
        if complete and last < asked:
            # Redis has lost what it had told of.
            lost += max(number_of(asked) - number_of(last), 0)
            self.last = last = asked
        self._pending = {at: i for at, i in (self._pending or {}).items() if at > last} or None
        return [*out, *self._drain()], lost

    def _is_first(self, at: Position) -> bool:
        """Tell whether what stands before the base comes for the first time."""
        if self._late is None or len(self._late) >= MAX_PENDING:
            self._late = set()
        if at in self._late:
            return False
        self._late.add(at)
        return True

    def _hold(self, at: Position, item: T) -> None:
        # Raises ValueError for what is no position, before it does harm.
        number_of(at)
        self.wanted = max(self.wanted, at)
        if self._pending is None:
            self._pending = {}
        if len(self._pending) < MAX_PENDING or self.last is None:
            self._pending[at] = item

    def _drain(self) -> Sequence[tuple[Position, T]]:
        out: list[tuple[Position, T]] = []
        pending, last = self._pending, self.last
        if pending is None or last is None:
            return out
        for at in sorted(pending):
            if not follows(last, at):
                break
            out.append((at, pending.pop(at)))
            last = at
        self.last = last
        if not pending:
            self._pending = None
        return out

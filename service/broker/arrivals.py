"""Which of the others' messages have come: by their numbers, what is missing and what came twice.

Pure. The numbers of a sender come in their order, since it publishes over one channel into our
queue. So a number left out is a message that was lost with a queue, but for faults at the sender,
and a number that was there before is one that the broker delivered once more.
"""

from collections.abc import Callable, Iterable

from service.broker.ranges import Ranges, count
from service.broker.resending import Again, Ask, Item, Way

MAX_SENDERS = 10_000
"""Senders that are remembered, by far more than live at a time: the oldest ones are forgotten."""

MAX_PIECES = 200
"""Ranges of missing numbers per sender; of more the oldest is given up as lost."""

_UNKNOWN = -1


class _Track:
    """The numbers of one sender on one way.

    `last` is the highest seen. Where `before` is not 0, it is not known which numbers below it were
    for us. `behind`: there may be more than `last`. `aside`: may come once more, to be set aside.
    `ahead`: below `last` and not given to a message yet, since somebody else wrote a number in the
    sender's name.
    """

    __slots__ = ("ahead", "aside", "before", "behind", "last", "missing")

    def __init__(self, last: int) -> None:
        self.last = last
        self.before = 0
        self.behind = False
        self.missing = Ranges()
        self.aside: set[int] = set()
        self.ahead = Ranges()

    @property
    def whole(self) -> bool:
        return not (self.before or self.behind or self.missing)

    def ranges(self) -> tuple[tuple[int, int], ...]:
        found = list(self.missing)
        if self.before:
            found.insert(0, (0, self.before - 1))
        if self.behind:
            found.append((self.last + 1, 0))
        return tuple(found)


class Arrivals:
    """The numbers of all senders. `stir()` is called when there is something new to ask for."""

    def __init__(self, stir: Callable[[], None] = lambda: None) -> None:
        self._tracks: dict[Way, dict[str, _Track]] = {"fanout": {}, "direct": {}}
        self.stir = stir
        self._round = 0
        self._came_up = False
        self.owing: dict[str, None] = {}
        """Who has something to send again, in the order in which that was seen."""
        self.lost = 0
        """Messages that were given up."""

    def take(self, way: Way, sender: str, number: int) -> bool:
        """Take a message; False where it has been taken before."""
        track = self._tracks[way].get(sender)
        if track is not None and track.last + 1 == number:
            track.last = number
            return True
        return self._take_unexpected(way, sender, number)

    def put_back(self, way: Way, sender: str, number: int) -> None:
        """Have a message taken once more if it comes once more: it could not be handled."""
        aside = self._track(way, sender).aside
        if len(aside) < MAX_PIECES:
            aside.add(number)

    def meet(self, nodes: Iterable[str]) -> None:
        """Note which nodes there are, so that others are forgotten before them."""
        for tracks in self._tracks.values():
            for node in nodes:
                if node in tracks:
                    tracks[node] = tracks.pop(node)

    def came_up(self) -> None:
        """Note that our queue is consumed once more: what came meanwhile may be lost with it."""
        self._round += 1
        self._came_up = True
        for tracks in self._tracks.values():
            for track in tracks.values():
                track.behind = False
        self.stir()

    @property
    def ups(self) -> int:
        """How often our queue was set up again."""
        return self._round

    def look_behind(self, senders: set[str]) -> None:
        """Ask these for all that is newer than what was seen, if the queue came up since."""
        if not self._came_up:
            return
        self._came_up = False
        for sender in senders:
            self._track("fanout", sender).behind = True
            self._track("direct", sender).behind = True
            self.owing[sender] = None

    def ask_of(self, sender: str) -> Ask | None:
        """Give what is to be asked of a sender; None where nothing is missing any more."""
        fanout, direct = self._tracks["fanout"].get(sender), self._tracks["direct"].get(sender)
        ask = Ask(self._round, fanout.ranges() if fanout else (), direct.ranges() if direct else ())
        if ask.fanout or ask.direct:
            return ask
        self.owing.pop(sender, None)
        return None

    def answered(self, sender: str, again: Again) -> list[Item]:
        """Take an answer; gives the messages that are to be handled."""
        track = self._track(again.way, sender)
        if track.last == _UNKNOWN:
            if not again.begin:
                return []
            track.last = again.begin - 1
        elif again.begin:
            track.missing.add(again.begin, track.before - 1)
            track.before = 0
        if again.last > track.last:
            track.missing.add(track.last + 1, again.last)
            track.last = again.last
        if again.final and again.round == self._round:
            track.behind = False
        found = track.missing.take_out(again.first, again.last)
        if again.newest >= 0:
            for low, high in found:
                track.ahead.add(max(low, again.newest + 1), high)
        self.lost += count(
            [(low, min(high, again.floor - 1)) for low, high in found if low < again.floor]
        )
        self._bound(track)
        return [
            item for item in again.items if any(low <= item.number <= high for low, high in found)
        ]

    def give_up(self, sender: str) -> None:
        """Count what a sender owes as lost."""
        for tracks in self._tracks.values():
            track = tracks.get(sender)
            if track is not None:
                self.lost += track.missing.clear()
                track.before = 0
                track.behind = False
        self.owing.pop(sender, None)

    def _take_unexpected(self, way: Way, sender: str, number: int) -> bool:
        track = self._track(way, sender)
        if track.last == _UNKNOWN:
            # Numbers begin at 1. Whether earlier ones were for us, only the sender knows.
            track.last = number
            track.before = number if number > 1 else 0
        elif number > track.last:
            track.missing.add(track.last + 1, number - 1)
            track.last = number
        elif number in track.aside:
            track.aside.discard(number)
            return True
        elif track.missing.take_out(number, number) or track.ahead.take_out(number, number):
            return True
        elif number < track.before:
            track.missing.add(number + 1, track.before - 1)
            track.before = number if number > 1 else 0
        else:
            return False
        self._bound(track)
        if not track.whole:
            self.owing[sender] = None
            self.stir()
        return True

    def _bound(self, track: _Track) -> None:
        while track.missing.pieces > MAX_PIECES:
            self.lost += count(track.missing.take_first())
        while track.ahead.pieces > MAX_PIECES:
            track.ahead.take_first()

    def _track(self, way: Way, sender: str) -> _Track:
        tracks = self._tracks[way]
        track = tracks.get(sender)
        if track is None:
            # What is sent to this node alone is numbered from 1, and all of it is for it.
            track = tracks[sender] = _Track(_UNKNOWN if way == "fanout" else 0)
            if len(tracks) > MAX_SENDERS:
                oldest = next(iter(tracks))
                self.lost += tracks.pop(oldest).missing.count
        return track

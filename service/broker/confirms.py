"""What the broker says of publications: confirms and returns, for one channel. Pure."""

from collections.abc import Callable, Sequence
from enum import Enum


class Outcome(Enum):
    """What became of a publication: the broker has it, nobody listens there, or it is not known."""

    CONFIRMED = "confirmed"
    RETURNED = "returned"
    FAILED = "failed"


class Batch:
    """Publications that went out together. `done(outcomes, fault)` is called when all is known.

    `fault` says why some have failed; it is empty where none has.
    """

    __slots__ = ("done", "fault", "first", "ids", "missing", "outcomes")

    def __init__(
        self,
        first: int,
        ids: Sequence[str],
        done: Callable[[list[Outcome], str], None],
    ) -> None:
        self.first = first
        self.ids = ids
        self.outcomes = [Outcome.CONFIRMED] * len(ids)
        self.missing = len(ids)
        self.fault = ""
        self.done = done


class Confirms:
    """The publications of one channel, which the broker counts up from 1.

    One call for all of a batch, where the client has a task and two futures for each publication.
    """

    def __init__(self) -> None:
        self._last = 0
        self._open: dict[int, Batch] = {}
        self._tags: dict[str, int] = {}

    def __len__(self) -> int:
        """Give the number of publications whose outcome is not known."""
        return len(self._open)

    def add(self, ids: Sequence[str], done: Callable[[list[Outcome], str], None]) -> Batch:
        """Note publications, in the order in which they go out next.

        `ids` are their message ids, empty for those that never come back.
        """
        first = self._last + 1
        batch = Batch(first, ids, done)
        for tag, message_id in enumerate(ids, first):
            self._open[tag] = batch
            if message_id:
                self._tags[message_id] = tag
        self._last += len(ids)
        return batch

    def returned(self, message_id: str | None) -> None:
        """Note that a message came back; the broker confirms it all the same, right after."""
        tag = self._tags.get(message_id or "", 0)
        batch = self._open.get(tag)
        if batch is not None:
            batch.outcomes[tag - batch.first] = Outcome.RETURNED

    def confirmed(self, tag: int, *, multiple: bool, taken: bool) -> None:
        """Note a confirm, with `multiple` of all up to a tag; `taken` is False for a refusal."""
        if not multiple:
            self._settle(tag, "" if taken else "refused")
            return
        # In the order in which they went out.
        for earlier in list(self._open):
            if earlier > tag:
                break
            self._settle(earlier, "" if taken else "refused")

    def give_up(self, batch: Batch, fault: str) -> None:
        """Wait no longer for what is missing of a batch."""
        for tag in range(batch.first, batch.first + len(batch.ids)):
            if tag in self._open:
                self._settle(tag, fault)

    def give_up_all(self, fault: str) -> None:
        """Wait no longer for anything."""
        for tag in list(self._open):
            self._settle(tag, fault)

    def _settle(self, tag: int, fault: str) -> None:
        batch = self._open.pop(tag, None)
        if batch is None:
            return
        place = tag - batch.first
        message_id = batch.ids[place]
        if self._tags.get(message_id) == tag:
            del self._tags[message_id]
        if fault:
            batch.outcomes[place] = Outcome.FAILED
            batch.fault = fault
        batch.missing -= 1
        if not batch.missing:
            batch.done(batch.outcomes, batch.fault)

"""Keep accepted pushes: each is in its streams before any node hears of it."""

from collections.abc import Callable, Iterator, Sequence

import msgspec

from service.broker.notes import Notes
from service.directory.redis_store import StoreError
from service.history.position import Position
from service.history.settings import HistorySection
from service.history.store import Addition, HistoryStore, Item
from service.push.answers import Waiting
from service.push.landing import Landing
from service.push.push import Push, PushError

_NONE = Notes()
NOT_KEPT = PushError("keepForOffline", "needs websocket.history.enabled")
"""What a push is refused with that asks to be kept while nothing is."""


class Recorder:
    """Appends the Pusher's batches to the streams."""

    def __init__(self, store: HistoryStore, settings: Callable[[], HistorySection]) -> None:
        self._store = store
        self._settings = settings

    async def record(self, batch: Sequence[Waiting]) -> list[Waiting]:
        """Append pushes, in their order; gives them with their positions.

        One that an earlier try of its request has appended gets the positions of then.
        Where Redis does not take them they have failed, since nobody could get them later.
        """
        additions = []
        for waiting in batch:
            push = waiting.push
            item = Item(push.id, push.content, push.keep)
            targets: Sequence[str | None] = (None,) if push.targets is None else push.targets
            additions += [Addition(target, item, push.tries) for target in targets]
        if not additions:
            return []
        try:
            data_set, positions = await self._store.append(additions, self._settings())
        except StoreError as error:
            Landing.fail(batch, f"{error}, so that the push could not be kept")
            return []
        left = iter(positions)
        return [
            Waiting(_with_positions(waiting.push, data_set, left), waiting.answer, waiting.place)
            for waiting in batch
        ]


def without_history(items: Sequence[Push | PushError]) -> list[Push | PushError]:
    """Refuse what asks to be kept, while nothing is."""
    return [NOT_KEPT if isinstance(item, Push) and item.keep else item for item in items]


def _with_positions(push: Push, data_set: str, left: Iterator[Position]) -> Push:
    targets = push.targets
    found = next(left) if targets is None else dict(zip(targets, left, strict=False))
    notes = msgspec.structs.replace(
        push.notes or _NONE, positions=found, data_set=data_set, keep=push.keep
    )
    return msgspec.structs.replace(push, notes=notes)

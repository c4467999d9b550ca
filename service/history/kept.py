"""Pushes that are kept for users until they have them: which ones may go from Redis."""

import asyncio

from service.directory.redis_store import StoreError
from service.history.store import HistoryStore

_PAUSE = 1.0
_MOST = 10_000


class Kept:
    """What was delivered here of it: a client of cluster.v1 acknowledges, another just has it."""

    def __init__(self, store: HistoryStore) -> None:
        self._store = store
        self._unacknowledged: dict[str, set[str]] = {}
        self._due: dict[str, set[str]] = {}
        self._stirred = asyncio.Event()

    def delivered(self, user: str, push_id: str, *, cluster: bool) -> None:
        """Note that a user has been given a push that is kept; `cluster`: only by cluster.v1."""
        if not cluster:
            self._release(user, push_id)
            return
        waiting = self._unacknowledged.setdefault(user, set())
        if len(waiting) < _MOST:
            waiting.add(push_id)

    def acknowledged(self, user: str, push_id: str) -> None:
        """Take a client's acknowledgement; most are about pushes that nobody keeps."""
        waiting = self._unacknowledged.get(user)
        if waiting and push_id in waiting:
            waiting.discard(push_id)
            self._release(user, push_id)

    def left(self, user: str) -> None:
        """Forget a user who has left: what was not acknowledged comes again."""
        self._unacknowledged.pop(user, None)

    async def run(self) -> None:
        """Tell Redis, much at a time; runs until cancelled."""
        while True:
            await self._stirred.wait()
            self._stirred.clear()
            due, self._due = self._due, {}
            try:
                await self._store.release(due)
            except StoreError:
                for user, ids in due.items():
                    self._due.setdefault(user, set()).update(ids)
                await asyncio.sleep(_PAUSE)
                self._stirred.set()

    def _release(self, user: str, push_id: str) -> None:
        self._due.setdefault(user, set()).add(push_id)
        self._stirred.set()

"""Remove what dead nodes left in Redis and RabbitMQ.

Their entries do not count any more; a queue that outlived its node, because the broker was killed
with it, would gather messages for nobody.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta

from service.directory.directory import Directory, Keys
from service.directory.redis_store import RedisStore, StoreError

log = logging.getLogger(__name__)

_INTERVAL = 10.0
_COUNT = 500
_PAUSE = 0.02
_LOCK = timedelta(minutes=1)


class Sweeper:
    """Looks for nodes without a record in the index, and walks through the users for them.

    One node of the cluster sweeps at a time. A node that is only cut off writes its users again
    when it is back. `in_use` gives the present server's store and directory.
    """

    def __init__(
        self,
        keys: Keys,
        in_use: Callable[[], tuple[RedisStore, Directory]],
        discard_queue: Callable[[str], Awaitable[None]],
    ) -> None:
        self._keys = keys
        self._in_use = in_use
        self._discard_queue = discard_queue
        self._suspects: set[str] = set()

    async def watch(self) -> None:
        """Sweep when somebody has died; runs until cancelled."""
        while True:
            await asyncio.sleep(_INTERVAL)
            try:
                await self.sweep_if_due()
            except StoreError as error:
                log.debug("%s; sweeping later", error)

    async def sweep_if_due(self) -> int:
        """Sweep the nodes that were dead already the last time; gives the number of users cleaned.

        Raises StoreError.
        """
        store, directory = self._in_use()
        if not directory.settled:
            return 0
        names, _ = await store.members(self._keys.nodes)
        dead = {node for node in names if node not in directory.alive}
        due, self._suspects = dead & self._suspects, dead
        if not due or not await store.claim(self._keys.sweep, _LOCK):
            return 0
        cleaned = await self._clean(store, due)
        for node in await self._still_dead(store, due):
            # First: a name that is gone is not swept again.
            await self._discard_queue(node)
            await store.forget(self._keys.node(node), self._keys.nodes, node)
        log.info("swept %d users of dead nodes (%s)", cleaned, ", ".join(sorted(due)))
        return cleaned

    async def _still_dead(self, store: RedisStore, nodes: set[str]) -> set[str]:
        names = sorted(nodes)
        records = await store.get_many([self._keys.node(node) for node in names])
        return {node for node, record in zip(names, records, strict=True) if record is None}

    async def _clean(self, store: RedisStore, dead: set[str]) -> int:
        cleaned = 0
        cursor = 0
        while True:
            cursor, keys = await store.scan(cursor, self._keys.all_users, _COUNT)
            texts = await store.get_many(keys) if keys else []
            # A node that was only cut off may be back since the last page.
            for node in await self._still_dead(store, dead):
                held = {
                    key: b"" for key, text in zip(keys, texts, strict=True) if _names(text, node)
                }
                if held:
                    await store.set_homes(node, held)
                    cleaned += len(held)
            if cursor == 0:
                return cleaned
            await asyncio.sleep(_PAUSE)


def _names(text: bytes | None, node: str) -> bool:
    return text is not None and f'"{node}"'.encode() in text

"""Nodes of netty-websocket-cluster beside ours, found by the keys that they own in Redis."""

import asyncio
import logging
from collections.abc import Callable

from service.directory.redis_store import RedisStore, StoreError

log = logging.getLogger(__name__)

_PATTERN = "websocket:node:websocket_node_*"
_PREFIX = "websocket:node:"
_INTERVAL = 2.0
_COUNT = 1000


class ForeignNodes:
    """The queues of the Java nodes that are alive; looked for only while `enabled()`.

    They keep no index, so that finding them means walking through all keys. `in_use` gives the
    present server.
    """

    def __init__(self, in_use: Callable[[], RedisStore], enabled: Callable[[], bool]) -> None:
        self._in_use = in_use
        self._enabled = enabled
        self._known = False
        self.queues: tuple[str, ...] = ()

    @property
    def may_hold_users(self) -> bool:
        """Whether a push to users must go to every node because a Java node may hold one."""
        return self._enabled() and (bool(self.queues) or not self._known)

    async def watch(self) -> None:
        """Look again and again; runs until cancelled."""
        while True:
            if self._enabled():
                await self._look()
            else:
                self._known, self.queues = False, ()
            await asyncio.sleep(_INTERVAL)

    async def _look(self) -> None:
        found: set[str] = set()
        cursor = 0
        store = self._in_use()
        try:
            while True:
                cursor, keys = await store.scan(cursor, _PATTERN, _COUNT)
                found.update(key.removeprefix(_PREFIX) for key in keys)
                if cursor == 0:
                    break
        except StoreError as error:
            log.debug("%s; the last list of Java nodes stays in force", error)
            return
        self._known = True
        queues = tuple(sorted(found))
        if queues != self.queues:
            log.info("Java nodes: %s", ", ".join(queues) or "none")
        self.queues = queues

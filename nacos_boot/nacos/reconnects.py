"""Notice that the SDK's connection was lost and is there again. The SDK tells of it only then."""

import logging
from collections.abc import Awaitable, Callable

log = logging.getLogger(__name__)


class Reconnects:
    """A listener for the SDK's connection, of the shape that its RpcClient calls.

    `redo` has the SDK subscribe and register again at once; by itself it looks only every 30 s.
    """

    def __init__(self) -> None:
        self._callbacks: list[Callable[[], None]] = []
        self._lost = False
        self.redo: Callable[[], Awaitable[None]] | None = None

    def add(self, callback: Callable[[], None]) -> None:
        """Have `callback()` called each time that a lost connection is there again."""
        self._callbacks.append(callback)

    async def on_connected(self) -> None:
        """Tell of a connection that replaces a lost one; called by the SDK."""
        if not self._lost:
            return
        self._lost = False
        for callback in self._callbacks:
            try:
                callback()
            except Exception:
                log.exception("a component could not follow the new connection to Nacos")
        if self.redo is not None:
            await self.redo()

    async def on_disconnect(self) -> None:
        """Note that the connection was lost; called by the SDK."""
        self._lost = True

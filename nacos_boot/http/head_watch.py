"""The clock for connections that have not yet said what they want."""

import asyncio
from typing import ClassVar, Protocol, Self
from weakref import WeakKeyDictionary

from uvicorn.server import ServerState

_PRECISION = 0.25  # seconds by which a timeout may be late


class Awaited(Protocol):
    """A connection that owes a request head."""

    head_timeout: ClassVar[float]

    def head_overdue(self) -> None:
        """Act on a head that did not come within `head_timeout` seconds."""


class HeadWatch:
    """One timer for all connections of a server that owe it a request head.

    A timer for each would cost a new connection a tenth of its CPU time. The connections stand in
    the order of their start, so the first is the next one due.
    """

    _watches: ClassVar[WeakKeyDictionary[ServerState, Self]] = WeakKeyDictionary()

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._since: dict[Awaited, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    @classmethod
    def of(cls, server: ServerState, loop: asyncio.AbstractEventLoop) -> Self:
        """Give the watch that all connections of one server share."""
        watch = cls._watches.get(server)
        if watch is None:
            watch = cls._watches[server] = cls(loop)
        return watch

    def start(self, connection: Awaited) -> None:
        """Start the clock of a connection, unless it runs."""
        self._since.setdefault(connection, self._loop.time())
        if self._timer is None:
            self._timer = self._loop.call_later(_PRECISION, self._check)

    def stop(self, connection: Awaited) -> None:
        """Stop the clock of a connection, if it runs."""
        self._since.pop(connection, None)

    def _check(self) -> None:
        self._timer = None
        now = self._loop.time()
        for connection, since in list(self._since.items()):
            if now - since < connection.head_timeout:
                break
            del self._since[connection]
            connection.head_overdue()
        if self._since:
            self._timer = self._loop.call_later(_PRECISION, self._check)

"""Find clients that are gone without a word: one wheel of pings for all connections."""

import asyncio
import math
from collections.abc import Callable

from service import metrics
from service.clients import close_codes
from service.clients.row import Socket
from service.settings import PingSection

_TICK = 1.0

_SLICE = 500
"""Connections looked at in one turn of the event loop: 2 ms, where all of them must be pinged."""


class PingWheel:
    """Holds each connection in the slot of the second in which it must be looked at again.

    So a tick costs what is due, not what is there. What a client sends moves nothing: when its slot
    comes, it moves on by as much as it was heard of later.
    """

    def __init__(self) -> None:
        # The seconds of the loop's clock; infinity while nobody is to be pinged.
        self._slots: dict[float, dict[Socket, None]] = {}
        self._new: dict[Socket, None] = {}
        self._due: list[Socket] = []
        self._times = (0.0, 0.0)

    def add(self, connection: Socket) -> None:
        """Take in a connection that has opened."""
        self._new[connection] = None
        connection.slot = self._new

    def remove(self, connection: Socket) -> None:
        """Let a connection go, if it is here."""
        if connection.slot is not None:
            connection.slot.pop(connection, None)

    def turn(self, now: float, settings: PingSection) -> bool:
        """Ping who was quiet for the interval, close who left a ping unanswered for the timeout.

        Looks at some hundreds; tells whether more are due.
        """
        times = (settings.interval.total_seconds(), settings.timeout.total_seconds())
        # Where the settings have changed, everyone is in a slot of the old ones.
        due = [slot for slot in self._slots if slot <= now or times != self._times]
        self._times = times
        for slot in due:
            self._due += self._slots.pop(slot)
        self._due += self._new
        self._new.clear()
        looked_at = self._due[-_SLICE:]
        del self._due[-_SLICE:]
        for connection in looked_at:
            if connection.open:
                self._look(connection, now)
        return bool(self._due)

    def _look(self, connection: Socket, now: float) -> None:
        interval, timeout = self._times
        if connection.ping_sent_at:
            if now - connection.ping_sent_at >= timeout:
                connection.close(close_codes.PING_TIMEOUT, "ping timeout")
                metrics.UNANSWERED_PINGS.inc()
        elif interval and now - connection.alive_at >= interval:
            connection.ping(now)
        if not connection.open:
            return
        # Who has a ping to answer may do so at once, and is quiet from then on.
        quiet_since = now if connection.ping_sent_at else connection.alive_at
        due = quiet_since + interval if interval else math.inf
        if connection.ping_sent_at:
            due = min(due, connection.ping_sent_at + timeout)
        second = due if due == math.inf else math.ceil(due)
        connection.slot = self._slots.setdefault(second, {})
        connection.slot[connection] = None


async def ping_clients(wheel: PingWheel, settings: Callable[[], PingSection]) -> None:
    """Turn the wheel once a second; runs until cancelled."""
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(_TICK)
        while wheel.turn(loop.time(), settings()):  # noqa: ASYNC110 - others have their turn between
            await asyncio.sleep(0)

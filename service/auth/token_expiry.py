"""Close connections whose token has expired: one wheel of seconds for all of them."""

import asyncio
import time
from collections.abc import Callable

from service import metrics
from service.clients import close_codes
from service.clients.row import Socket

_TICK = 1.0
_SLICE = 500
"""Connections looked at in one turn of the event loop, as for pings."""

_FAR = 3600.0
"""Seconds: who expires later than that is looked at again by then, so that slots stay few."""


class ExpiryWheel:
    """Holds the connections that came in with a token, by the second of their next look.

    The clock is that of tokens, Unix time; where it is stepped, the wheel goes by the new time
    within an hour at the latest.
    """

    def __init__(self) -> None:
        self._expires: dict[Socket, tuple[float, dict[Socket, None]]] = {}
        self._slots: dict[float, dict[Socket, None]] = {}

    def __len__(self) -> int:
        """Give the number of connections held."""
        return len(self._expires)

    def add(self, connection: Socket, expires: float, now: float) -> None:
        """Hold a connection until `expires`; both are Unix time."""
        second = float(-(-min(expires, now + _FAR) // 1))
        slot = self._slots.setdefault(second, {})
        slot[connection] = None
        self._expires[connection] = (expires, slot)

    def remove(self, connection: Socket) -> None:
        """Let a connection go, if it is held."""
        held = self._expires.pop(connection, None)
        if held is not None:
            held[1].pop(connection, None)

    def turn(self, now: float) -> bool:
        """Close who has expired, some hundreds at most; tells whether more are due."""
        room = _SLICE
        for second in sorted(second for second in self._slots if second <= now):
            slot = self._slots[second]
            while slot and room:
                connection, _ = slot.popitem()
                room -= 1
                self._look(connection, now)
            if slot:
                return True
            del self._slots[second]
        return False

    def _look(self, connection: Socket, now: float) -> None:
        expires, _ = self._expires.pop(connection)
        if now < expires:
            self.add(connection, expires, now)
            return
        metrics.TOKENS_EXPIRED.inc()
        connection.close(close_codes.NOT_AUTHENTICATED, "the token has expired")


async def close_expired(wheel: ExpiryWheel, clock: Callable[[], float] = time.time) -> None:
    """Turn the wheel once a second; runs until cancelled."""
    while True:
        await asyncio.sleep(_TICK)
        while wheel.turn(clock()):  # noqa: ASYNC110 - others have their turn between
            await asyncio.sleep(0)

"""Find clients that are gone without a word: one wheel of pings for all connections."""

import asyncio
from collections.abc import Callable, Collection

from service import close_codes, metrics
from service.hub import Socket
from service.settings import PingSection

_TICK = 1.0


def turn(connections: Collection[Socket], now: float, settings: PingSection) -> tuple[int, int]:
    """Ping who was quiet for the interval, close who left a ping unanswered for the timeout.

    Gives the numbers of both. A client that sends anything needs no ping.
    """
    interval = settings.interval.total_seconds()
    timeout = settings.timeout.total_seconds()
    pinged = closed = 0
    for connection in list(connections):
        if not connection.open:
            continue
        if connection.ping_sent_at:
            if now - connection.ping_sent_at >= timeout:
                connection.close(close_codes.PING_TIMEOUT, "ping timeout")
                closed += 1
        elif interval and now - connection.alive_at >= interval:
            connection.ping(now)
            pinged += 1
    return pinged, closed


async def ping_clients(
    connections: Callable[[], Collection[Socket]], settings: Callable[[], PingSection]
) -> None:
    """Turn the wheel once a second; runs until cancelled."""
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(_TICK)
        _, closed = turn(connections(), loop.time(), settings())
        if closed:
            metrics.UNANSWERED_PINGS.inc(closed)

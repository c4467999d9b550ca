"""Send clients away in order: told with 4001, spread over a window, so that no one is stormed."""

import asyncio
from collections.abc import Collection
from datetime import timedelta

from service import close_codes
from service.hub import Socket

_STEP = 0.05


async def send_away(sockets: Collection[Socket], window: timedelta) -> None:
    """Close every connection, evenly over the window."""
    waiting = list(sockets)
    steps = max(1, round(window.total_seconds() / _STEP))
    share = -(-len(waiting) // steps)
    while waiting:
        group, waiting = waiting[:share], waiting[share:]
        for socket in group:
            socket.close(close_codes.DRAINING, "this node is leaving; reconnect")
        if waiting:
            await asyncio.sleep(_STEP)

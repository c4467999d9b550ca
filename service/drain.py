"""Send clients away in order: told with 4001, spread over a window, so that no one is stormed."""

import asyncio
from collections.abc import Collection
from datetime import timedelta

from service import close_codes
from service.row import Socket

_STEP = 0.05


async def send_away(sockets: Collection[Socket], window: timedelta) -> None:
    """Close every connection, evenly over the window."""
    waiting = list(sockets)
    steps = min(len(waiting), max(1, round(window.total_seconds() / _STEP)))
    sent = 0
    for step in range(1, steps + 1):
        due = -(-len(waiting) * step // steps)
        for socket in waiting[sent:due]:
            socket.close(close_codes.DRAINING, "this node is leaving; reconnect")
        sent = due
        if step < steps:
            await asyncio.sleep(window.total_seconds() / steps)

"""Send clients away in order: told with 4001, spread over a window, so that no one is stormed.

The reason says when to return. The closes may have to be done soon, since whoever stops the node
waits for it; the returns need not, and the nodes that stay take them over a longer window.
"""

import asyncio
from collections.abc import Collection
from datetime import timedelta

from service.clients import close_codes
from service.clients.row import Socket

_STEP = 0.05


async def send_away(
    sockets: Collection[Socket], window: timedelta, return_window: timedelta
) -> None:
    """Close every connection, evenly over the window.

    Each is asked to come back at its place in the return window, which begins with the first close.
    """
    waiting = list(sockets)
    closing, returning = window.total_seconds(), return_window.total_seconds()
    steps = min(len(waiting), max(1, round(closing / _STEP)))
    sent = 0
    for step in range(1, steps + 1):
        due = -(-len(waiting) * step // steps)
        closed_at = closing * (step - 1) / steps
        for place in range(sent, due):
            pause = max(0.0, returning * place / len(waiting) - closed_at)
            waiting[place].close(close_codes.DRAINING, farewell(pause))
        sent = due
        if step < steps:
            await asyncio.sleep(closing / steps)


def farewell(pause: float) -> str:
    """Give the reason of the close, with the seconds that the client should stay away."""
    return f"this node is leaving; return in {pause:.1f} s"

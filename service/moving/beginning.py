"""A start while the other nodes move to another server: begin when they are heard, and hear."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import timedelta

log = logging.getLogger(__name__)

_LOOK = 0.1


async def begin_together(
    may_begin: Mapping[str, Callable[[], bool]], limit: Callable[[], timedelta]
) -> None:
    """Wait until every kind of server says that the node may begin, for `limit` at most."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    told: list[str] = []
    while kinds := [kind for kind, may in may_begin.items() if not may()]:
        names = " and ".join(kinds)
        if loop.time() - began >= limit().total_seconds():
            log.warning("the other nodes still use another %s; starting all the same", names)
            return
        if kinds != told:
            log.info("waiting until the other nodes have moved to the same %s", names)
            told = kinds
        await asyncio.sleep(_LOOK)

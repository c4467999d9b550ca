"""Looks on during a row: readiness, an API call that needs Redis, and how many are connected."""

import asyncio
import time
from dataclasses import dataclass, field

from tests.e2e.faults.client import Crowd
from tests.e2e.faults.fleet import Fleet, Program

_LOOK = 0.5
_COUNT = 0.05
_LONGEST = 40.0


@dataclass(slots=True)
class Seen:
    """What was seen of the nodes.

    `unready` and `refusing` name those whose readiness was false, and that answered a look-up with
    503 and Retry-After; `slowest` is the longest answer in seconds; `connected` the fewest clients.
    """

    unready: set[str] = field(default_factory=set)
    refusing: set[str] = field(default_factory=set)
    slowest: float = 0.0
    connected: int = 0


class Watch:
    """Looks from `start` to `stop`, at each node for itself, so that one that hangs is seen."""

    def __init__(self, fleet: Fleet, crowd: Crowd) -> None:
        self._fleet = fleet
        self._crowd = crowd
        self._tasks: list[asyncio.Task[None]] = []
        self.seen = Seen()

    def start(self) -> None:
        """Begin anew."""
        self.seen = Seen(connected=self._crowd.connected)
        self._tasks = [asyncio.create_task(self._count())]
        self._tasks += [asyncio.create_task(self._look_at(node)) for node in self._fleet.nodes]

    async def stop(self) -> None:
        """End."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _count(self) -> None:
        while True:
            self.seen.connected = min(self.seen.connected, self._crowd.connected)
            await asyncio.sleep(_COUNT)

    async def _look_at(self, node: Program) -> None:
        while True:
            await asyncio.sleep(_LOOK)
            if not node.wanted:
                continue
            if (await self._ask(node, "/actuator/health/readiness"))[0] == 503:
                self.seen.unready.add(node.name)
            if await self._ask(node, "/api/users/u1") == (503, True):
                self.seen.refusing.add(node.name)

    async def _ask(self, node: Program, path: str) -> tuple[int, bool]:
        began = time.monotonic()
        status, _, retry_after = await self._fleet.get(node, path, _LONGEST)
        if status or node.wanted:
            self.seen.slowest = max(self.seen.slowest, time.monotonic() - began)
        return status, retry_after

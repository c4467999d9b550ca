"""Pushes at a steady rate through the API of the nodes that live, each noted with its outcome."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

import aiohttp

from devtools.ports import LOOPBACK
from tests.e2e.faults.ledger import Push

_TICK = 0.05
_ANSWER_LIMIT = 40.0
_AVOIDED = 1.0
_AGAIN = frozenset((0, 409, 503))
_INSIST_LIMIT = 60.0
_INSIST_PAUSE = 1.0


@dataclass(slots=True)
class Try:
    """One request: to which node, what came (0: no answer), and how many seconds it took."""

    sent_at: float
    node: str
    status: int
    seconds: float
    retry_after: bool = False
    problem: bool = False


class Pusher:
    """Sends `rate` pushes a second: most to one user, some to a few, now and then one to all.

    `nodes` gives the ports of the nodes that may be asked, by name. A node that cannot be reached
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        nodes: Callable[[], dict[str, int]],
        users: int,
        rate: float,
    ) -> None:
        self._session = session
        self._nodes = nodes
        self._users = users
        self._rate = rate
        self._random = Random(7)  # noqa: S311 - to choose users
        self._number = 0
        self._avoided: dict[str, float] = {}
        self._under_way: set[asyncio.Task[None]] = set()
        self._running: asyncio.Task[None] | None = None
        self.insists = False
        """Whether a push that failed is tried again, elsewhere, under one Idempotency-Key."""
        self.pushes: list[Push] = []
        self.tries: list[Try] = []

    def start(self) -> None:
        """Begin a new row."""
        self.pushes, self.tries = [], []
        self._running = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """End, and wait for the answers that are still to come."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
        await asyncio.gather(*self._under_way, return_exceptions=True)

    @property
    def statuses(self) -> Counter[int]:
        """How often each status came; 0 stands for no answer."""
        return Counter(item.status for item in self.tries)

    async def _run(self) -> None:
        due = 0.0
        last = time.monotonic()
        while True:
            await asyncio.sleep(_TICK)
            now = time.monotonic()
            # A stall of the harness is not made up for by a flood.
            due += min(now - last, 5 * _TICK) * self._rate
            last = now
            while due >= 1:
                due -= 1
                task = asyncio.create_task(self._push())
                self._under_way.add(task)
                task.add_done_callback(self._under_way.discard)

    def _choose(self) -> tuple[str, int] | None:
        now = time.monotonic()
        nodes = [item for item in self._nodes().items() if self._avoided.get(item[0], 0.0) <= now]
        return self._random.choice(nodes) if nodes else None

    def _targets(self) -> tuple[int, ...] | None:
        dice = self._random.random()
        if dice < 0.01:
            return None
        count = 1 if dice < 0.8 else self._random.randint(2, 5)
        return tuple(self._random.sample(range(self._users), count))

    async def _push(self) -> None:
        chosen = self._choose()
        if chosen is None:
            return
        self._number += 1
        push = Push(self._number, self._targets(), time.monotonic())
        self.pushes.append(push)
        headers = {"Idempotency-Key": f"push-{push.number}"} if self.insists else {}
        status = await self._try(push, chosen, headers)
        while self.insists and status in _AGAIN and time.monotonic() < push.sent_at + _INSIST_LIMIT:
            await asyncio.sleep(_INSIST_PAUSE * (0.5 + self._random.random()))
            if (chosen := self._choose()) is not None:
                status = await self._try(push, chosen, headers)

    async def _try(self, push: Push, chosen: tuple[str, int], headers: dict[str, str]) -> int:
        name, port = chosen
        body: dict[str, object] = {"content": push.number}
        if push.targets is None:
            body["allUser"] = True
        else:
            body["targetUserList"] = [f"u{number}" for number in push.targets]
        outcome = Try(time.monotonic(), name, 0, 0.0)
        try:
            async with self._session.post(
                f"http://{LOOPBACK}:{port}/api/push",
                json=body,
                headers=headers,
                timeout=aiohttp.ClientTimeout(total=_ANSWER_LIMIT),
            ) as answer:
                outcome.status = answer.status
                outcome.retry_after = "Retry-After" in answer.headers
                outcome.problem = answer.content_type == "application/problem+json"
                told = await answer.json(content_type=None)
                if answer.status == 202:
                    push.mode = told["mode"]
                    push.accepted_at = time.monotonic()
        except (aiohttp.ClientError, TimeoutError, ValueError):
            self._avoided[name] = time.monotonic() + _AVOIDED
        outcome.seconds = time.monotonic() - outcome.sent_at
        self.tries.append(outcome)
        return outcome.status


def answered(tries: Sequence[Try]) -> list[float]:
    """Give the seconds that answers took, where the node was there to give one."""
    return [item.seconds for item in tries if item.status]

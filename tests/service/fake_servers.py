"""Redis and RabbitMQ in memory. tests/contract holds them to what the real ones do."""

import asyncio
import fnmatch
import itertools
import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from nacos_boot.start.startup import StartError
from service.broker.amqp import DIRECT, FANOUT
from service.broker.amqp_consumer import Handler
from service.broker.confirms import Outcome
from service.broker.publication import Publication
from service.directory.redis_store import StoreError

_numbers = itertools.count(1)


class FakeStore:
    """Redis. `away` makes every command fail; `gate` holds commands up while it is cleared."""

    def __init__(self) -> None:
        self.address = "fake:6379"
        self.away = False
        self.gate = asyncio.Event()
        self.gate.set()
        self.commands: list[str] = []
        self._places: dict[str, int] = {}
        self.run_id = ""
        self.restart()

    def restart(self) -> None:
        """Lose everything, as another server process."""
        self.run_id = f"run-{next(_numbers)}"
        self.lose()

    def lose(self) -> None:
        """Lose the data, as FLUSHALL does."""
        self.texts: dict[str, bytes] = {}
        self.expiry: dict[str, float] = {}
        self.sets: dict[str, set[str]] = {}

    def expire(self, key: str) -> None:
        """Let a key's time be over."""
        self.expiry[key] = 0.0

    def homes(self, key: str) -> dict[str, Any]:
        """Show a user's entry."""
        return dict(json.loads(self.texts.get(key, b"{}")))

    async def connect(self) -> None:
        try:
            await self._command("connect")
        except StoreError as error:
            raise StartError(f"{error}: check spring.data.redis.host") from error

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        await self._command("get_many")
        return [self._get(key) for key in keys]

    async def set_homes(
        self, node: str, entries: Mapping[str, bytes], most: int = 0
    ) -> dict[str, bytes]:
        await self._command("set_homes")
        over: dict[str, bytes] = {}
        for key, entry in entries.items():
            homes = self.homes(key)
            homes.pop(node, None)
            if entry:
                homes[node] = json.loads(entry)
            self.texts.pop(key, None)
            if homes:
                self.texts[key] = json.dumps(homes, separators=(",", ":")).encode()
                known = (home for home in homes.values() if isinstance(home, dict))
                if most and sum(home.get("connections", 0) for home in known) > most:
                    over[key] = self.texts[key]
        return over

    async def beat(
        self, key: str, record: bytes, ttl: timedelta, index: str, node: str
    ) -> tuple[bool, str]:
        await self._command("beat")
        known = self._get(key) is not None
        self.texts[key] = record
        self.expiry[key] = _now() + ttl.total_seconds()
        self.sets.setdefault(index, set()).add(node)
        return known, self.run_id

    async def members(self, index: str) -> tuple[set[str], str]:
        await self._command("members")
        return set(self.sets.get(index, ())), self.run_id

    async def forget(self, key: str, index: str, node: str) -> None:
        await self._command("forget")
        self.texts.pop(key, None)
        self.sets.get(index, set()).discard(node)

    async def claim(self, key: str, ttl: timedelta) -> bool:
        await self._command("claim")
        if self._get(key) is not None:
            return False
        self.texts[key] = b"1"
        self.expiry[key] = _now() + ttl.total_seconds()
        return True

    async def scan(self, cursor: int, pattern: str, count: int) -> tuple[int, list[str]]:
        await self._command("scan")
        # A key keeps its place, so that a walk misses none however many go meanwhile.
        places = sorted(
            (self._places.setdefault(key, len(self._places) + 1), key) for key in self.texts
        )
        page = [item for item in places if item[0] > cursor][:count]
        more = page and page[-1] != places[-1]
        return page[-1][0] if more else 0, [
            key for _, key in page if fnmatch.fnmatchcase(key, pattern)
        ]

    async def close(self) -> None:
        pass

    async def _command(self, name: str) -> None:
        self.commands.append(name)
        await asyncio.sleep(0)
        await self.gate.wait()
        if self.away:
            raise StoreError(f"Redis at {self.address} does not answer (away)")

    def _get(self, key: str) -> bytes | None:
        if self.expiry.get(key, float("inf")) <= _now():
            self.texts.pop(key, None)
            self.expiry.pop(key, None)
        return self.texts.get(key)


class FakeRabbit:
    """RabbitMQ: the queue of each node is its consumer, called at once.

    With `failing`, nothing is taken or confirmed; `lose_confirms` takes without confirming.
    """

    def __init__(self) -> None:
        self.handlers: dict[str, Handler] = {}
        self.failing = False
        self.lose_confirms = False
        self.gate = asyncio.Event()
        self.gate.set()
        self.published: list[Publication] = []

    def publish(self, node: str, item: Publication) -> Outcome:
        if self.failing:
            return Outcome.FAILED
        self.published.append(item)
        exchange = FANOUT if item.way == "fanout" else DIRECT
        others = {key: handler for key, handler in self.handlers.items() if key != node}
        if item.way == "direct":
            if item.node not in self.handlers:
                return Outcome.RETURNED
            others = {item.node: self.handlers[item.node]}
        for handler in others.values():
            handler(exchange, item.body, item.message_id)
        return Outcome.FAILED if self.lose_confirms else Outcome.CONFIRMED


class FakeBroker:
    """A node's Broker at a FakeRabbit."""

    address = "fake:5672"

    def __init__(self, rabbit: FakeRabbit, node: str, handler: Handler) -> None:
        self._rabbit = rabbit
        self._node = node
        self._handler = handler
        self.publishing = False
        self.consuming = False

    async def connect(self) -> None:
        self._rabbit.handlers[self._node] = self._handler
        self.publishing = self.consuming = True

    async def publish(self, publications: Sequence[Publication]) -> list[Outcome]:
        return await (await self.send(publications))

    async def send(self, publications: Sequence[Publication]) -> asyncio.Future[list[Outcome]]:
        return asyncio.ensure_future(self._publish(publications))

    async def _publish(self, publications: Sequence[Publication]) -> list[Outcome]:
        await asyncio.sleep(0)
        await self._rabbit.gate.wait()
        if not self.publishing:
            return [Outcome.FAILED] * len(publications)
        return [self._rabbit.publish(self._node, item) for item in publications]

    async def close(self) -> None:
        self._rabbit.handlers.pop(self._node, None)
        self.publishing = self.consuming = False


def _now() -> float:
    return asyncio.get_running_loop().time()

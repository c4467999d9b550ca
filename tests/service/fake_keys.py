"""The store of Idempotency-Keys in memory. tests/contract holds it to the real one."""

import asyncio
import itertools
from datetime import timedelta

from service.directory.redis_store import StoreError
from service.push.tries import Tries


class FakeKeyStore:
    """`away` makes every call fail; `late` has a name taken, and its taker told of a failure."""

    def __init__(self) -> None:
        self.away = False
        self.late = False
        self._texts: dict[str, tuple[bytes, float]] = {}
        self._tries: dict[str, tuple[Tries, float]] = {}
        self._seeds = itertools.count(1)

    async def take(
        self, name: str, request: str, lease: bytes, ttl: timedelta, life: timedelta
    ) -> bytes | Tries:
        found = await self._get(name)
        if found is None or found == lease:
            self._put(name, lease, ttl)
            if self.late:
                raise StoreError("Redis at fake:6379 does not answer (no answer in time)")
            key = f"{name}:{request}"
            tries, until = self._tries.get(key, (None, 0.0))
            if tries is None or until <= _now():
                tries = Tries(key, f"seed-{next(self._seeds)}")
            self._tries[key] = (tries, _now() + life.total_seconds())
            return tries
        return found

    async def keep(
        self, name: str, lease: bytes, kept: bytes, ttl: timedelta, over: Tries | None = None
    ) -> bool:
        if await self._get(name) not in {None, lease}:
            return False
        self._put(name, kept, ttl)
        self._end(over)
        return True

    async def free(self, name: str, lease: bytes, over: Tries | None = None) -> None:
        found = await self._get(name)
        if found == lease:
            del self._texts[name]
        if found in {None, lease}:
            self._end(over)

    def _end(self, over: Tries | None) -> None:
        if over is not None:
            self._tries.pop(over.key, None)

    async def _get(self, name: str) -> bytes | None:
        await asyncio.sleep(0)
        if self.away:
            raise StoreError("Redis at fake:6379 does not answer (away)")
        text, until = self._texts.get(name, (None, 0.0))
        return text if until > _now() else None

    def _put(self, name: str, text: bytes, ttl: timedelta) -> None:
        self._texts[name] = (text, _now() + ttl.total_seconds())


def _now() -> float:
    return asyncio.get_running_loop().time()

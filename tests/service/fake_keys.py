"""The store of Idempotency-Keys in memory. tests/contract holds it to the real one."""

import asyncio
from datetime import timedelta

from service.directory.redis_store import StoreError


class FakeKeyStore:
    """`away` makes every call fail; `late` has a name taken, and its taker told of a failure."""

    def __init__(self) -> None:
        self.away = False
        self.late = False
        self._texts: dict[str, tuple[bytes, float]] = {}

    async def take(self, name: str, lease: bytes, ttl: timedelta) -> bytes | None:
        found = await self._get(name)
        if found is None or found == lease:
            self._put(name, lease, ttl)
            if self.late:
                raise StoreError("Redis at fake:6379 does not answer (no answer in time)")
            return None
        return found

    async def keep(self, name: str, lease: bytes, kept: bytes, ttl: timedelta) -> bool:
        if await self._get(name) not in {None, lease}:
            return False
        self._put(name, kept, ttl)
        return True

    async def free(self, name: str, lease: bytes) -> None:
        if await self._get(name) == lease:
            del self._texts[name]

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

"""Idempotency-Keys in Redis: taken, kept, and given free by their owner only."""

from collections.abc import Callable
from datetime import timedelta
from typing import Protocol

from service.directory.redis_store import RedisStore

_TAKE = """
local found = redis.call('GET', KEYS[1])
if found then return found end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return ''
"""

_REPLACE = """
local found = redis.call('GET', KEYS[1])
if found and found ~= ARGV[1] then return 0 end
if ARGV[2] == '' then redis.call('DEL', KEYS[1])
else redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) end
return 1
"""


class KeyStore(Protocol):
    """What Idempotency needs of a store that all nodes share. Every call raises StoreError."""

    async def take(self, name: str, lease: bytes, ttl: timedelta) -> bytes | None:
        """Take a name for `ttl`; None where it is taken now, else what stands there."""

    async def keep(self, name: str, lease: bytes, kept: bytes, ttl: timedelta) -> bool:
        """Put something in the place of the lease; False where that ended and another came."""

    async def free(self, name: str, lease: bytes) -> None:
        """Give a name free, unless the lease has ended and another came."""


class RedisKeyStore:
    """The KeyStore of the cluster. `store` gives the Redis in use."""

    def __init__(self, prefix: str, store: Callable[[], RedisStore]) -> None:
        self._prefix = f"{prefix}idempotency:"
        self._store = store

    async def take(self, name: str, lease: bytes, ttl: timedelta) -> bytes | None:
        """Take a name for `ttl`; None where it is taken now, else what stands there."""
        found = await self._run(_TAKE, name, lease, _milliseconds(ttl))
        # Our own stands there where the connection broke before the answer came, and it was asked
        # again.
        return None if found in {b"", lease} else bytes(found)

    async def keep(self, name: str, lease: bytes, kept: bytes, ttl: timedelta) -> bool:
        """Put something in the place of the lease; False where that ended and another came."""
        return bool(await self._run(_REPLACE, name, lease, kept, _milliseconds(ttl)))

    async def free(self, name: str, lease: bytes) -> None:
        """Give a name free, unless the lease has ended and another came."""
        await self._run(_REPLACE, name, lease, b"", 1)

    async def _run(self, script: str, name: str, *arguments: bytes | int) -> bytes | int:
        [found] = await self._store().run_script(script, [([self._prefix + name], arguments)])
        assert isinstance(found, bytes | int)  # noqa: S101 - what both scripts return
        return found


def _milliseconds(ttl: timedelta) -> int:
    return max(1, round(ttl.total_seconds() * 1000))

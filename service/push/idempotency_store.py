"""Idempotency-Keys in Redis: taken, kept, and given free by their owner only."""

import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Protocol

from service.directory.redis_store import RedisStore
from service.push.tries import Tries

# KEYS: of the name, of the tries. ARGV: the lease and its life in ms; a new seed, the life of the
# tries in ms. Gives what stands there, or nothing and the seed.
_TAKE = """
local found = redis.call('GET', KEYS[1])
if found and found ~= ARGV[1] then return {found} end
if not found then redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) end
redis.call('HSETNX', KEYS[2], 'seed', ARGV[3])
redis.call('PEXPIRE', KEYS[2], ARGV[4])
return {'', redis.call('HGET', KEYS[2], 'seed')}
"""

# KEYS: of the name, of tries that are over, if they are. ARGV: the lease; what comes in its place,
# or nothing, and its life in ms.
_REPLACE = """
local found = redis.call('GET', KEYS[1])
if found and found ~= ARGV[1] then return 0 end
if ARGV[2] == '' then redis.call('DEL', KEYS[1])
else redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) end
if KEYS[2] then redis.call('UNLINK', KEYS[2]) end
return 1
"""


class KeyStore(Protocol):
    """What Idempotency needs of a store that all nodes share. Every call raises StoreError."""

    async def take(
        self, name: str, request: str, lease: bytes, ttl: timedelta, life: timedelta
    ) -> bytes | Tries:
        """Take a name for `ttl`; gives what stands there, or where it is taken now, the Tries.

        They are the same for each try of a `request` (a fingerprint) under this name, for `life`
        from the last one, or until they are over.
        """

    async def keep(
        self, name: str, lease: bytes, kept: bytes, ttl: timedelta, over: Tries | None = None
    ) -> bool:
        """Put something in the place of the lease; False where that ended and another came."""

    async def free(self, name: str, lease: bytes, over: Tries | None = None) -> None:
        """Give a name free, unless the lease has ended and another came."""


class RedisKeyStore:
    """The KeyStore of the cluster. `store` gives the Redis in use."""

    def __init__(self, prefix: str, store: Callable[[], RedisStore]) -> None:
        self._prefix = f"{prefix}idempotency:"
        self._store = store

    async def take(
        self, name: str, request: str, lease: bytes, ttl: timedelta, life: timedelta
    ) -> bytes | Tries:
        """Take a name for `ttl`; gives what stands there, or where it is taken now, the Tries."""
        tries = f"{self._prefix}{name}:{request[:32]}"
        seed = uuid.uuid4().hex
        arguments = (lease, _milliseconds(ttl), seed, _milliseconds(life))
        # Our own lease stands there where the connection broke before the answer came, and it was
        # asked again: the script takes that for free.
        found, *seeds = await self._run(_TAKE, [self._prefix + name, tries], *arguments)
        return Tries(tries, seeds[0].decode()) if seeds else bytes(found)

    async def keep(
        self, name: str, lease: bytes, kept: bytes, ttl: timedelta, over: Tries | None = None
    ) -> bool:
        """Put something in the place of the lease; False where that ended and another came."""
        keys = self._keys(name, over)
        return bool(await self._run(_REPLACE, keys, lease, kept, _milliseconds(ttl)))

    async def free(self, name: str, lease: bytes, over: Tries | None = None) -> None:
        """Give a name free, unless the lease has ended and another came."""
        await self._run(_REPLACE, self._keys(name, over), lease, b"", 1)

    def _keys(self, name: str, over: Tries | None) -> list[str]:
        return [self._prefix + name] if over is None else [self._prefix + name, over.key]

    async def _run(self, script: str, keys: list[str], *arguments: bytes | str | int) -> Any:
        [found] = await self._store().run_script(script, [(keys, arguments)])
        return found


def _milliseconds(ttl: timedelta) -> int:
    return max(1, round(ttl.total_seconds() * 1000))

"""The few things that the Directory does with Redis. The only importer of the Redis client."""

import time
from collections.abc import Awaitable, Mapping, Sequence
from datetime import timedelta
from typing import Any, cast

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, NoScriptError, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError

from nacos_boot.start.startup import StartError
from service.settings import RedisSection

_CONNECTIONS = 64
_REFUSED_PAUSE = 1.0

# One user's homes are one JSON object by node id; each node writes its own member only.
_SET_HOME = """
local homes = {}
local text = redis.pcall('GET', KEYS[1])
if text then
  local read, found = pcall(cjson.decode, text)
  if read and type(found) == 'table' then homes = found end
end
if ARGV[2] == '' then homes[ARGV[1]] = nil else homes[ARGV[1]] = cjson.decode(ARGV[2]) end
if next(homes) == nil then
  redis.call('DEL', KEYS[1])
else
  redis.call('SET', KEYS[1], cjson.encode(homes))
end
"""


class _Pool(BlockingConnectionPool):
    """Makes do with the connections that it has when the server's password has been changed.

    Redis asks new connections for it only.
    """

    _refused_at = float("-inf")

    async def get_connection(self, *_names: Any, **_options: Any) -> Any:
        try:
            return await super().get_connection()  # type: ignore[no-untyped-call]  # typed in part
        except AuthenticationError:
            if not self._held():
                raise
            self._refused_at = time.monotonic()
        return await super().get_connection()  # type: ignore[no-untyped-call]  # as above

    async def release(self, connection: Any) -> None:
        await super().release(connection)
        free = self._available_connections
        if not connection.is_connected and connection in free:
            # To be taken last.
            free.remove(connection)
            free.insert(0, connection)

    def can_get_connection(self) -> bool:
        if time.monotonic() - self._refused_at < _REFUSED_PAUSE and self._held():
            return any(map(_is_connected, self._available_connections))
        return bool(super().can_get_connection())

    def _held(self) -> bool:
        held = (*self._available_connections, *self._in_use_connections)
        return any(map(_is_connected, held))


def _is_connected(connection: Any) -> bool:
    return bool(connection.is_connected)


class StoreError(Exception):
    """Redis did not do what was asked. The message names its address."""


class RedisStore:
    """A connection pool. Every command is bounded by the timeout and raises StoreError."""

    def __init__(self, settings: RedisSection) -> None:
        self.address = f"{settings.host}:{settings.port}"
        timeout = settings.timeout.total_seconds()
        # A pool that blocks: a crowd of callers is no sign that Redis is away.
        pool = _Pool(
            max_connections=_CONNECTIONS,
            timeout=timeout,
            host=settings.host,
            port=settings.port,
            db=settings.database,
            username=settings.username or None,
            password=settings.password.get_secret_value() or None,
            # All three limits: by default a hanging server holds a command for most of a minute.
            # What is tried again is a connection that ended while it was idle.
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            retry=Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,)),
        )
        self._redis: Redis = Redis.from_pool(pool)
        self._set_home = self._redis.register_script(_SET_HOME)

    async def connect(self) -> None:
        """Check that Redis answers. Raises StartError, final for a wrong password."""
        try:
            await self._bounded(self._redis.ping())
        except StoreError as error:
            cause = error.__cause__
            if isinstance(cause, AuthenticationError) or "NOAUTH" in str(cause):
                raise StartError(
                    f"Redis at {self.address} refuses the account: check"
                    " spring.data.redis.username and spring.data.redis.password",
                    final=True,
                ) from error
            if "DB index" in str(cause):
                raise StartError(f"{error}: check spring.data.redis.database") from error
            raise StartError(
                f"{error}: check spring.data.redis.host and spring.data.redis.port"
            ) from error

    async def close(self) -> None:
        """Close every connection."""
        await self._bounded(self._redis.aclose())

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """Read string keys in one command; None for an absent one."""
        return cast("list[bytes | None]", await self._bounded(self._redis.mget(keys)))

    async def set_homes(self, node: str, entries: Mapping[str, bytes]) -> None:
        """Write one node's member of many users' entries (by key) in one round trip.

        Empty bytes remove the member, and the key with its last member.
        """

        async def write() -> None:
            try:
                await self._run_set_home(node, entries)
            except NoScriptError:
                # A new server, or one whose scripts were flushed.
                await self._redis.script_load(_SET_HOME)
                await self._run_set_home(node, entries)

        await self._bounded(write())

    async def _run_set_home(self, node: str, entries: Mapping[str, bytes]) -> None:
        async with self._redis.pipeline(transaction=False) as pipeline:
            for key, entry in entries.items():
                pipeline.evalsha(self._set_home.sha, 1, key, node, entry)
            await pipeline.execute()

    async def beat(
        self, key: str, record: bytes, ttl: timedelta, index: str, node: str
    ) -> tuple[bool, str]:
        """Write a record that lives for `ttl`, and its name in an index.

        Gives whether the record was there before, and the run id of the server.
        """

        async def write() -> tuple[bool, str]:
            async with self._redis.pipeline(transaction=False) as pipeline:
                pipeline.set(key, record, px=ttl, get=True)
                pipeline.sadd(index, node)
                pipeline.info("server")
                previous, _, info = await pipeline.execute()
            return previous is not None, str(info["run_id"])

        return cast("tuple[bool, str]", await self._bounded(write()))

    async def members(self, index: str) -> tuple[set[str], str]:
        """Read an index, and the run id of the server."""

        async def read() -> tuple[set[str], str]:
            async with self._redis.pipeline(transaction=False) as pipeline:
                pipeline.smembers(index)
                pipeline.info("server")
                found, info = await pipeline.execute()
            return {_text(item) for item in found}, str(info["run_id"])

        return cast("tuple[set[str], str]", await self._bounded(read()))

    async def forget(self, key: str, index: str, node: str) -> None:
        """Remove a record and its name in the index."""

        async def write() -> None:
            async with self._redis.pipeline(transaction=False) as pipeline:
                pipeline.delete(key)
                pipeline.srem(index, node)
                await pipeline.execute()

        await self._bounded(write())

    async def claim(self, key: str, ttl: timedelta) -> bool:
        """Take a lock that ends by itself; True where it was free."""
        return bool(await self._bounded(self._redis.set(key, b"1", nx=True, px=ttl)))

    async def scan(self, cursor: int, pattern: str, count: int) -> tuple[int, list[str]]:
        """Walk through keys: gives the next cursor (0 at the end) and some keys."""
        following, keys = await self._bounded(self._redis.scan(cursor, match=pattern, count=count))
        return int(following), [_text(key) for key in keys]

    async def _bounded(self, command: Awaitable[Any]) -> Any:
        try:
            return await command
        except (RedisError, OSError, TimeoutError) as error:
            reason = str(error).rstrip(".") or "no answer in time"
            raise StoreError(f"Redis at {self.address} does not answer ({reason})") from error


def _text(name: bytes) -> str:
    # Of a name that is not UTF-8, and hence not ours, nothing is found.
    return name.decode(errors="replace")

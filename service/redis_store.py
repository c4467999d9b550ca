"""The few things that the Directory does with Redis. The only importer of the Redis client."""

import time
from collections.abc import Awaitable, Mapping, Sequence
from datetime import timedelta
from typing import Any, cast

import hiredis
from redis.asyncio import BlockingConnectionPool, Connection, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, NoScriptError, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError

from nacos_boot.start.startup import StartError
from service.settings_servers import RedisSection

_CONNECTIONS = 64
_REFUSED_PAUSE = 1.0

# Users per call of the script. Measured: one call for all costs this node a fifth of a call for
# each, and Redis two thirds; this many hold Redis up for a third of a millisecond.
_USERS_PER_CALL = 100

# One user's homes are one JSON object by node id; each node writes its own member only.
# Keys: users' entries. Arguments: the node, then what it says of each of them.
_SET_HOMES = """
local node = ARGV[1]
for place, key in ipairs(KEYS) do
  local said = ARGV[place + 1]
  local homes = {}
  local text = redis.pcall('GET', key)
  if text then
    local read, found = pcall(cjson.decode, text)
    if read and type(found) == 'table' then homes = found end
  end
  if said == '' then homes[node] = nil else homes[node] = cjson.decode(said) end
  if next(homes) == nil then
    redis.call('DEL', key)
  else
    redis.call('SET', key, cjson.encode(homes))
  end
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


class _Connection(Connection):
    """Writes commands at a fifth of the cost: 70 instead of 430 µs for the keys of 500 users."""

    def pack_command(self, *args: Any) -> list[bytes]:
        # In C. A name of two words, such as SCRIPT LOAD, are two arguments.
        return [hiredis.pack_command((*args[0].split(), *args[1:]))]

    async def send_packed_command(self, command: Any, check_health: bool = True) -> None:
        writer = self._writer
        if writer is None or check_health is False or writer.transport.get_write_buffer_size():
            await super().send_packed_command(command, check_health)
            return
        # With nothing to wait for there is no need of a task and a timer that bound the wait.
        writer.writelines(command)


def _is_connected(connection: Any) -> bool:
    return bool(connection.is_connected)


async def _ask(connection: Connection, *command: str) -> Any:
    if await connection.can_read():
        raise RedisConnectionError("it has ended, or says what nobody has asked")
    await connection.send_command(*command)
    return await connection.read_response()


class StoreError(Exception):
    """Redis did not do what was asked. The message names its address."""


class RedisStore:
    """A connection pool. Every command is bounded by the timeout and raises StoreError."""

    def __init__(self, settings: RedisSection) -> None:
        self.address = f"{settings.host}:{settings.port}"
        timeout = settings.timeout.total_seconds()
        # A pool that blocks: a crowd of callers is no sign that Redis is away.
        self._pool = pool = _Pool(
            connection_class=_Connection,
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
        self._set_homes = self._redis.register_script(_SET_HOMES)
        self._for_look_ups: Any = None
        self._looking_up = False

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
        return cast("list[bytes | None]", await self._bounded(self._look_up(keys)))

    async def _look_up(self, keys: Sequence[str]) -> Any:
        if self._looking_up:
            return await self._redis.mget(keys)
        # Each batch of pushes waits for this. On a connection of its own, past the pool's lock and
        # the client's measuring, it costs 20 µs instead of 60.
        self._looking_up = True
        try:
            connection = self._for_look_ups = (
                self._for_look_ups or await self._pool.get_connection()
            )
            try:
                return await _ask(connection, "MGET", *keys)
            except BaseException:
                self._for_look_ups = None
                await connection.disconnect(nowait=True)
                await self._pool.release(connection)
                raise
        except RedisConnectionError:
            # It ended while it was idle.
            return await self._redis.mget(keys)
        finally:
            self._looking_up = False

    async def set_homes(self, node: str, entries: Mapping[str, bytes]) -> None:
        """Write one node's member of many users' entries (by key) in one round trip.

        Empty bytes remove the member, and the key with its last member.
        """

        async def write() -> None:
            try:
                await self._run_set_homes(node, entries)
            except NoScriptError:
                # A new server, or one whose scripts were flushed.
                await self._redis.script_load(_SET_HOMES)
                await self._run_set_homes(node, entries)

        await self._bounded(write())

    async def _run_set_homes(self, node: str, entries: Mapping[str, bytes]) -> None:
        keys, sayings = list(entries), list(entries.values())
        async with self._redis.pipeline(transaction=False) as pipeline:
            for start in range(0, len(keys), _USERS_PER_CALL):
                some = slice(start, start + _USERS_PER_CALL)
                arguments: list[str | bytes] = [*keys[some], node, *sayings[some]]
                pipeline.evalsha(self._set_homes.sha, len(keys[some]), *arguments)
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

"""The few things that a node does with Redis. It and `redis_pool` alone import the client."""

from collections.abc import Awaitable, Mapping, Sequence
from datetime import timedelta
from functools import cache
from hashlib import sha1
from typing import Any, cast

from redis.asyncio import Connection, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, NoScriptError, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError

from nacos_boot.start.startup import StartError
from service.directory.redis_pool import Pool, way_to
from service.settings_servers import RedisSection

_CONNECTIONS = 64

# Users per call of the script. Measured: one call for all costs this node a fifth of a call for
# each, and Redis two thirds; this many hold Redis up for a third of a millisecond.
_USERS_PER_CALL = 100

# One user's homes are one JSON object by node id; each node writes its own member only.
# Keys: users' entries. Arguments: the node, then what it says of each of them, then how many
# connections a user may have, 0 for any number. Gives place and entry of each who has more.
_SET_HOMES = """
local node = ARGV[1]
local most = tonumber(ARGV[#KEYS + 2])
local over = {}
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
    local now = cjson.encode(homes)
    redis.call('SET', key, now)
    if most > 0 then
      local sum = 0
      for _, home in pairs(homes) do
        if type(home) == 'table' then sum = sum + (tonumber(home.connections) or 0) end
      end
      if sum > most then
        over[#over + 1] = place
        over[#over + 1] = now
      end
    end
  end
end
return over
"""


async def _ask(connection: Connection, *command: str) -> Any:
    if await connection.can_read():
        raise RedisConnectionError("it has ended, or says what nobody has asked")
    await connection.send_command(*command)
    return await connection.read_response()


Call = tuple[Sequence[str], Sequence[str | bytes | int]]
"""The keys and the arguments of one call of a script."""


class StoreError(Exception):
    """Redis did not do what was asked. The message names its address."""


class RedisStore:
    """A connection pool. Every command is bounded by the timeout and raises StoreError."""

    def __init__(self, settings: RedisSection) -> None:
        self.address = f"{settings.host}:{settings.port}"
        timeout = settings.timeout.total_seconds()
        # A pool that blocks: a crowd of callers is no sign that Redis is away.
        self._pool = pool = Pool(
            **way_to(settings),
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

    async def set_homes(
        self, node: str, entries: Mapping[str, bytes], most: int = 0
    ) -> dict[str, bytes]:
        """Write one node's member of many users' entries (by key) in one round trip.

        Empty bytes remove the member, and the key with its last member. Where a user may have
        `most` connections, 0 for any number, gives the entries of those who have more.
        """
        keys, sayings = list(entries), list(entries.values())
        calls: list[Call] = []
        for start in range(0, len(keys), _USERS_PER_CALL):
            some = slice(start, start + _USERS_PER_CALL)
            calls.append((keys[some], [node, *sayings[some], str(most)]))
        over: dict[str, bytes] = {}
        for number, found in enumerate(await self.run_script(_SET_HOMES, calls)):
            first = number * _USERS_PER_CALL - 1
            for place, text in zip(found[::2], found[1::2], strict=True):
                over[keys[first + place]] = text
        return over

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

    async def run_script(self, script: str, calls: Sequence[Call]) -> list[Any]:
        """Run a Lua script with (keys, arguments), many times in one round trip."""
        sha = _name_of(script)

        async def run() -> list[Any]:
            async with self._redis.pipeline(transaction=False) as pipeline:
                for keys, arguments in calls:
                    pipeline.evalsha(sha, len(keys), *keys, *arguments)
                return await pipeline.execute()

        async def load_and_run() -> list[Any]:
            try:
                return await run()
            except NoScriptError:
                # A new server, or one whose scripts were flushed.
                await self._redis.script_load(script)
                return await run()

        return cast("list[Any]", await self._bounded(load_and_run()))

    async def run_commands(self, commands: Sequence[Sequence[str | bytes | int]]) -> list[Any]:
        """Run commands in one round trip; gives their replies."""

        async def run() -> list[Any]:
            async with self._redis.pipeline(transaction=False) as pipeline:
                for command in commands:
                    pipeline.execute_command(*command)
                return await pipeline.execute()

        return cast("list[Any]", await self._bounded(run()))

    async def _bounded(self, command: Awaitable[Any]) -> Any:
        try:
            return await command
        except (RedisError, OSError, TimeoutError) as error:
            reason = str(error).rstrip(".") or "no answer in time"
            raise StoreError(f"Redis at {self.address} does not answer ({reason})") from error


@cache
def _name_of(script: str) -> str:
    return sha1(script.encode(), usedforsecurity=False).hexdigest()


def _text(name: bytes) -> str:
    # Of a name that is not UTF-8, and hence not ours, nothing is found.
    return name.decode(errors="replace")

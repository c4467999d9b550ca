"""What Redis spends on what nodes ask of it: CPU of its process, through the nodes' own store."""

import asyncio
import os
import random
import tempfile
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from statistics import median

from redis.asyncio import Redis

from bench.cpu import Cores, confined, cpu_seconds
from bench.scale.measure.measured import Measured
from devtools.ports import LOOPBACK, Ports
from devtools.redis import RedisServer
from service.directory.directory import Keys
from service.directory.node_record import NodeRecord, write_record
from service.directory.redis_store import RedisStore
from service.settings_servers import RedisSection

_USERS = 100_000
_RUNS = 5
_NODE = "0123456789abcdef0123456789abcdef"
HOME = b'{"connections":1,"since":1790000000.123,"addresses":["203.0.113.17"]}'
_MICRO = 1e6

_keys = Keys("websocket:")


def measure() -> list[Measured]:
    """Start a Redis of its own, measure, stop it. Raises StartError."""
    with tempfile.TemporaryDirectory(prefix="scale-", ignore_cleanup_errors=True) as folder:
        ports = Ports.free()
        server = RedisServer(Path(folder), ports)
        try:
            server.start()
            cores = Cores.of_machine()
            with confined([server.pid or 0], [cores.tested]), confined([os.getpid()], cores.others):
                return asyncio.run(_Measuring(server, ports.redis).run())
        finally:
            server.stop()


class _Measuring:
    def __init__(self, server: RedisServer, port: int) -> None:
        self._pid = server.pid or 0
        self._store = RedisStore(RedisSection(host=LOOPBACK, port=port, timeout=timedelta(20)))
        self._redis: Redis = Redis(host=LOOPBACK, port=port)

    async def run(self) -> list[Measured]:
        before = await self._memory()
        await self._write(0, _USERS, 1000)
        user_bytes = (await self._memory() - before) / _USERS
        many = await self._each(5000, self._write_in(1000))
        few = await self._each(1000, self._write_in(4))
        keys = await self._each(20_000, self._read_in(500))
        small = await self._each(2000, self._read_in(4))
        single = await self._each(10_000, self._read_one_by_one)
        looked = await self._each(20_000, self._look_at(1000))
        await self._store.close()
        await self._redis.aclose()
        call = max(small - keys, 0) * 4
        return [
            Measured("redis.user_bytes", user_bytes, "memory of one user's entry, key and all"),
            Measured("redis.lookup_user", keys, "one user of an MGET of 500"),
            Measured("redis.lookup_call", call, "an MGET, its users not counted"),
            Measured("redis.lookup_alone", single, "one user by a GET, 500 in a pipeline"),
            Measured("redis.write_user", many, "one user's entry, 1,000 written together"),
            Measured("redis.write_alone", few, "one user's entry, 4 written together"),
            Measured("redis.look_record", looked, "one of 1,000 node records, index and all"),
            Measured("redis.record_bytes", float(len(record(_NODE))), "a node record"),
        ]

    async def _memory(self) -> int:
        return int((await self._redis.info("memory"))["used_memory"])

    async def _each(self, count: int, work: Callable[[int], Awaitable[None]]) -> float:
        """Give microseconds of Redis's CPU for one of `count`, the median of some runs."""
        took = []
        for _ in range(_RUNS + 1):
            began = cpu_seconds([self._pid])
            await work(count)
            took.append((cpu_seconds([self._pid]) - began) / count * _MICRO)
        # The first one pays for what is new.
        return median(took[1:])

    async def _write(self, first: int, count: int, together: int) -> None:
        for start in range(first, first + count, together):
            entries = {_user(n): HOME for n in range(start, start + together)}
            await self._store.set_homes(_NODE, entries)

    def _write_in(self, together: int) -> Callable[[int], Awaitable[None]]:
        return lambda count: self._write(random.randrange(_USERS - count), count, together)

    def _read_in(self, together: int) -> Callable[[int], Awaitable[None]]:
        async def read(count: int) -> None:
            for _ in range(count // together):
                await self._store.get_many(_some(together))

        return read

    async def _read_one_by_one(self, count: int) -> None:
        for _ in range(count // 500):
            async with self._redis.pipeline(transaction=False) as pipeline:
                for key in _some(500):
                    pipeline.get(key)
                await pipeline.execute()

    def _look_at(self, nodes: int) -> Callable[[int], Awaitable[None]]:
        names = [f"{n:032x}" for n in range(nodes)]
        ready = False

        async def look(count: int) -> None:
            nonlocal ready
            if not ready:
                for name in names:
                    key = _keys.node(name)
                    await self._store.beat(
                        key, record(_NODE), timedelta(hours=1), _keys.nodes, name
                    )
                ready = True
                return
            for _ in range(count // nodes):
                found, _run_id = await self._store.members(_keys.nodes)
                await self._store.get_many([_keys.node(name) for name in found])

        return look


def _some(count: int) -> list[str]:
    return [_user(random.randrange(_USERS)) for _ in range(count)]


def _user(number: int) -> str:
    return _keys.user(f"user-{number:08d}")


def record(node: str) -> bytes:
    """Write the record of a node."""
    return write_record(
        NodeRecord(
            node_id=node,
            address="203.0.113.17:8081",
            public_url="",
            started_at=1790000000.123,
            written_at=1790000000.123,
            connections=50_000,
            users=50_000,
            mode="routed",
            config_md5=_NODE,
            version="0.1.0",
            run_id=_NODE,
        )
    )

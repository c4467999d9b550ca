"""What a node spends on the Directory: CPU of this process, with a Redis beside it."""

import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from statistics import median

import uvloop

from bench.scale.measure.measured import Measured
from bench.scale.measure.redis_costs import HOME, record
from devtools.ports import LOOPBACK, Ports
from devtools.redis import RedisServer
from service.directory.directory import Directory, Keys
from service.directory.redis_store import RedisStore
from service.settings_servers import RedisSection

_USERS = 10_000
_NODES = 1000
_TOGETHER = 500
_RUNS = 7
_MICRO = 1e6


def measure() -> list[Measured]:
    """Start a Redis of its own, measure, stop it. Raises StartError."""
    with tempfile.TemporaryDirectory(prefix="scale-", ignore_cleanup_errors=True) as folder:
        ports = Ports.free()
        server = RedisServer(Path(folder), ports)
        try:
            server.start()
            return uvloop.run(_measure(ports.redis))
        finally:
            server.stop()


async def _measure(port: int) -> list[Measured]:
    store = RedisStore(RedisSection(host=LOOPBACK, port=port, timeout=timedelta(seconds=20)))
    keys = Keys("websocket:")
    nodes = [f"{n:032x}" for n in range(_NODES)]
    users = [f"user-{n:08d}" for n in range(_USERS)]
    for node in nodes:
        await store.beat(keys.node(node), record(node), timedelta(hours=1), keys.nodes, node)
    for start in range(0, _USERS, _TOGETHER):
        some = users[start : start + _TOGETHER]
        await store.set_homes(nodes[start % _NODES], {keys.user(user): HOME for user in some})
    directory = Directory(store, keys, nodes[0], expected=lambda: None, lost=lambda: None)

    async def look_up(together: int, count: int) -> None:
        for start in range(0, count, together):
            await directory.homes(users[start : start + together])

    look = await _each(directory.look, _NODES)
    user = await _each(lambda: look_up(_TOGETHER, _USERS), _USERS)
    alone = await _each(lambda: look_up(1, _NODES), _NODES)
    await store.close()
    return [
        Measured("node.look_record", look, f"each node record of a look at {_NODES:,}"),
        Measured("node.lookup_user", user, f"each user of a look-up of {_TOGETHER}"),
        Measured("node.lookup_call", alone - user, "a look-up in Redis, its users not counted"),
    ]


async def _each(work: Callable[[], Awaitable[None]], count: int) -> float:
    """Give microseconds of CPU for one of `count`, the median of some runs."""
    took = []
    for _ in range(_RUNS):
        began = time.process_time()
        await work()
        took.append((time.process_time() - began) / count * _MICRO)
    return median(took)

"""`python -m bench.soak`: twenty minutes of clients, pushes and edits, and what they leave behind.

Two nodes and a gateway on servers of their own. Nobody is connected at a rest, so that what is
left there is kept by the programs themselves: memory, open files, Redis keys, queues, instances.
The first rest is after a warm-up, in which everything that is made once has been made.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import redis

from bench.cpu import resident_bytes
from bench.soak_figures import Done, Rest, growths, table, told
from bench.soak_traffic import Traffic
from devtools.ports import LOOPBACK, Ports
from devtools.report import say
from devtools.servers import Servers
from tests.cluster import ClusterUnderTest, Program
from tests.nacos_admin import NacosAdmin
from tests.waiting import eventually

_SETTLE = 10.0
"""Seconds between the last client's end and the reading: sweeps and idle connections end."""

_EMPTY_LIMIT = 60.0
_SERVICES = ("websocket-service", "websocket-gateway")


def main(arguments: Sequence[str]) -> int:
    """Run it; returns 0 where everything stayed flat and nothing went missing."""
    parser = argparse.ArgumentParser(prog="python -m bench.soak")
    parser.add_argument("--minutes", type=float, default=20.0, help="behind the warm-up")
    parser.add_argument("--warm-up", type=float, default=3.0, help="minutes before the first rest")
    parser.add_argument("--rests", type=int, default=4, help="how often to look, behind the first")
    parser.add_argument("--clients", type=int, default=100, help="connected at once")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    options = parser.parse_args(arguments)
    with (
        tempfile.TemporaryDirectory(prefix="soak-") as folder,
        Servers(Path(folder), Ports.free()) as servers,
    ):
        servers.start(say)
        rests, done = asyncio.run(_soak(servers, options))
    say(f"\n{table(rests)}\n\n{told(done)}")
    faults = growths(rests)
    if done.missed:
        faults.append(f"{done.missed} messages did not reach clients who stayed")
    if options.json:
        figures = {"rests": [asdict(rest) for rest in rests], "done": asdict(done)}
        options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    say("\n".join(faults) or "Flat.")
    return 1 if faults else 0


async def _soak(servers: Servers, options: argparse.Namespace) -> tuple[list[Rest], Done]:
    began = time.monotonic()
    done = Done()
    rests: list[Rest] = []
    async with ClusterUnderTest(servers, NacosAdmin(servers.nacos.url)) as cluster:
        await cluster.start(nodes=2)
        traffic = Traffic(cluster, options.clients, done)
        spans = [options.warm_up, *[options.minutes / options.rests] * options.rests]
        for span in spans:
            await traffic.start()
            await asyncio.sleep(span * 60)
            await traffic.stop()
            rests.append(await rest(cluster, (time.monotonic() - began) / 60))
            say(f"{rests[-1]}")
    return rests, done


async def rest(cluster: ClusterUnderTest, minute: float) -> Rest:
    """Wait until nobody is left, and read what the servers hold."""
    servers = cluster.servers
    with redis.Redis(LOOPBACK, servers.ports.redis) as store:
        await eventually(lambda: _is_empty(cluster, store), _EMPTY_LIMIT, 0.5)
        await asyncio.sleep(_SETTLE)
        keys = int(str(store.dbsize()))
    queues = await asyncio.to_thread(servers.rabbitmq.control, "list_queues", "name", "messages")
    found = [line.split("\t") for line in queues.splitlines()[1:]]
    return Rest(
        minute=minute,
        node=max(resident_bytes(node.child.pid) for node in cluster.nodes),
        gateway=resident_bytes(cluster.gateway.child.pid),
        node_files=max(map(_files, cluster.nodes)),
        gateway_files=_files(cluster.gateway),
        redis_keys=keys,
        queues=len(found),
        messages=sum(int(messages) for _, messages in found),
        instances=sum(len(cluster.nacos.instances(service)) for service in _SERVICES),
    )


async def _is_empty(cluster: ClusterUnderTest, store: redis.Redis) -> bool:
    connected = [await node.metric("websocket_connections") for node in cluster.nodes]
    return not any(connected) and not store.keys("websocket:directory:*")


def _files(program: Program) -> int:
    return sum(1 for _ in Path(f"/proc/{program.child.pid}/fd").iterdir())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

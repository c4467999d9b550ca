"""The faults, each for real."""

import asyncio
import contextlib
import shutil
import time
from pathlib import Path

from devtools.processes import Child
from tests.e2e.faults.client import DRAINING, until
from tests.e2e.faults.clock import stepped_clock, turn
from tests.e2e.faults.fault import Fault, Scene, Step
from tests.e2e.faults.fleet import NODES

VICTIM = "node-3"
SERVERS = ("nacos", "redis", "rabbitmq")
_DRAIN_LIMIT = 40.0


async def _well_again(scene: Scene, limit: float = 90.0) -> None:
    deadline = time.monotonic() + limit
    while not await scene.fleet.is_well():
        assert time.monotonic() < deadline, "the cluster does not become well again"
        await asyncio.sleep(0.2)


def _kill(name: str) -> Step:
    async def kill(scene: Scene) -> None:
        await scene.fleet.kill(name)

    return kill


def _start(name: str) -> Step:
    async def start(scene: Scene) -> None:
        await scene.fleet.start(name)
        await scene.fleet.started(name)

    return start


def _server(scene: Scene, server: str) -> Child:
    child = getattr(scene.fleet.servers, server)
    assert isinstance(child, Child)
    return child


def _stop_server(server: str) -> Step:
    async def stop(scene: Scene) -> None:
        await asyncio.to_thread(_server(scene, server).stop)

    return stop


def _start_server(server: str) -> Step:
    async def start(scene: Scene) -> None:
        await asyncio.to_thread(getattr(scene.fleet.servers, server).start)

    return start


async def _start_empty_redis(scene: Scene) -> None:
    shutil.rmtree(scene.fleet.redis.data)
    await asyncio.to_thread(scene.fleet.redis.start)


async def _stop_redis_and_a_gateway(scene: Scene) -> None:
    await _stop_server("redis")(scene)
    await scene.fleet.kill("gateway-2")


async def _start_both(scene: Scene) -> None:
    await _start_empty_redis(scene)
    await _start("gateway-2")(scene)


def _pause(server: str) -> Step:
    async def pause(scene: Scene) -> None:
        _server(scene, server).pause()

    return pause


def _resume(server: str) -> Step:
    async def resume(scene: Scene) -> None:
        _server(scene, server).resume()

    return resume


def _cut(server: str) -> Step:
    async def cut(scene: Scene) -> None:
        scene.fleet.network.cable(VICTIM, server).cut()

    return cut


def _heal(server: str) -> Step:
    async def heal(scene: Scene) -> None:
        scene.fleet.network.cable(VICTIM, server).heal()

    return heal


async def _restart_all(scene: Scene) -> None:
    for name in NODES:
        began = time.monotonic()
        await scene.fleet.stop(name)
        took = time.monotonic() - began
        assert took < _DRAIN_LIMIT, f"{name} took {took:.0f} s to leave"
        await scene.fleet.start(name)
        await scene.fleet.started(name)
        await _well_again(scene)


async def _gather_at_victim(scene: Scene) -> None:
    await scene.fleet.weigh(node_1=0, node_2=0)
    for client in scene.clients:
        client.end()
    assert await until(lambda: scene.crowd.connected < len(scene.clients) / 2, 10)
    assert await until(lambda: scene.crowd.connected == len(scene.clients), 60)
    await scene.fleet.weigh(node_1=1, node_2=1)
    await _well_again(scene)


async def _drain(scene: Scene) -> None:
    codes, hints = scene.crowd.codes.copy(), len(scene.crowd.hints)
    began = time.monotonic()
    await scene.fleet.stop(VICTIM)
    took = time.monotonic() - began
    assert took < _DRAIN_LIMIT, f"it took {took:.0f} s to leave"
    assert scene.fleet.programs[VICTIM].child.exit_code == 0
    told = scene.crowd.codes[DRAINING] - codes[DRAINING]
    given = scene.crowd.hints[hints:]
    scene.notes.append(
        f"left in {took:.1f} s; {told} clients told with 4001, hints up to"
        f" {max(given, default=0):.1f} s"
    )
    assert told == len(scene.clients), f"only {told} of {len(scene.clients)} got 4001"
    assert len(given) == told, f"only {len(given)} of {told} were told when to return"


async def _leave_alone(scene: Scene) -> None:
    for server in SERVERS:
        _server(scene, server).pause()
    began = time.monotonic()
    await scene.fleet.stop(VICTIM)
    took = time.monotonic() - began
    scene.notes.append(f"left in {took:.1f} s")
    assert took < _DRAIN_LIMIT, f"it took {took:.0f} s to leave"


async def _wake_all(scene: Scene) -> None:
    for server in SERVERS:
        _server(scene, server).resume()
    await _start(VICTIM)(scene)


async def _fill_disk(scene: Scene) -> None:
    filler = scene.fleet.small_disk / "filler"
    assert scene.fleet.small_disk.is_mount(), "a small disk needs root, to mount it"
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    assert shutil.disk_usage(filler.parent).free < 4096
    await _set_ping_interval(scene, "26s")
    child = scene.fleet.programs["node-1"].child
    assert await until(lambda: "cannot be written" in child.output(), 10), "node-1 says nothing"


async def _free_disk(scene: Scene) -> None:
    (scene.fleet.small_disk / "filler").unlink()
    await _set_ping_interval(scene, "25s")

    def saved() -> bool:
        return any("interval: 25s" in _text(file) for file in scene.fleet.small_disk.iterdir())

    assert await until(saved, 10), "node-1 does not save its snapshot again"


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""


async def _set_ping_interval(scene: Scene, interval: str) -> None:
    wanted = await scene.fleet.publish({"websocket": {"ping": {"interval": interval}}})
    for node in scene.fleet.nodes:
        deadline = time.monotonic() + 15
        while True:
            _, body, _ = await scene.fleet.get(node, "/actuator/nacosconfig", 5)
            if wanted in {document["md5"] for document in body["documents"]}:
                break
            assert time.monotonic() < deadline, f"{node.name} does not apply an edit"
            await asyncio.sleep(0.1)


async def _step_clock(scene: Scene) -> None:
    turn(scene.fleet, "+3600")
    await asyncio.sleep(6)
    turn(scene.fleet, "-3600")


async def _with_stepped_clock(scene: Scene) -> None:
    await scene.fleet.stop(VICTIM)
    await scene.fleet.start(VICTIM, **stepped_clock(scene.fleet))
    await scene.fleet.started(VICTIM)
    await _well_again(scene)


async def _with_own_clock(scene: Scene) -> None:
    await scene.fleet.stop(VICTIM)
    await scene.fleet.start(VICTIM)
    await scene.fleet.started(VICTIM)


async def _clock_right(scene: Scene) -> None:
    turn(scene.fleet, "+0")


_ALL = (
    Fault(
        "node-killed",
        "`kill -9` of a node",
        _kill(VICTIM),
        _start(VICTIM),
        since="begin",
        stay=False,
        affected=("node-1", "node-2"),
        again_limit=5,
    ),
    Fault(
        "gateway-killed",
        "`kill -9` of a gateway",
        _kill("gateway-2"),
        _start("gateway-2"),
        since="begin",
        stay=False,
        again_limit=5,
    ),
    Fault(
        "rabbitmq-restarted",
        "RabbitMQ stopped and started",
        _stop_server("rabbitmq"),
        _start_server("rabbitmq"),
        seconds=10,
        quick_seconds=4,
        unready=NODES,
        refuse="pushes",
    ),
    Fault(
        "redis-restarted",
        "Redis stopped and started, its data kept",
        _stop_server("redis"),
        _start_server("redis"),
        quick_seconds=4,
        unready=NODES,
        refuse="look-ups",
    ),
    Fault(
        "redis-emptied",
        "Redis stopped and started, its data gone",
        _stop_server("redis"),
        _start_empty_redis,
        unready=NODES,
        refuse="look-ups",
        keeps=False,
    ),
    Fault(
        "redis-emptied-gateway-killed",
        "the same, and meanwhile `kill -9` of a gateway",
        _stop_redis_and_a_gateway,
        _start_both,
        stay=False,
        unready=NODES,
        refuse="look-ups",
        keeps=False,
    ),
    Fault(
        "nacos-restarted",
        "Nacos stopped",
        _stop_server("nacos"),
        _start_server("nacos"),
        seconds=60,
    ),
    Fault(
        "rabbitmq-hangs",
        "RabbitMQ hangs",
        _pause("rabbitmq"),
        _resume("rabbitmq"),
        seconds=20,
        quick_seconds=8,
        refuse="pushes",
    ),
    Fault(
        "redis-hangs",
        "Redis hangs",
        _pause("redis"),
        _resume("redis"),
        seconds=20,
        quick_seconds=6,
        unready=NODES,
        refuse="look-ups",
    ),
    Fault(
        "nacos-hangs",
        "Nacos hangs",
        _pause("nacos"),
        _resume("nacos"),
        seconds=60,
    ),
    Fault(
        "rabbitmq-cut",
        "a node cut from RabbitMQ",
        _cut("rabbitmq"),
        _heal("rabbitmq"),
        seconds=30,
        affected=(VICTIM,),
        unready=(VICTIM,),
        refuse="pushes",
        again_limit=30,
    ),
    Fault(
        "redis-cut",
        "a node cut from Redis",
        _cut("redis"),
        _heal("redis"),
        seconds=30,
        quick_seconds=8,
        affected=(VICTIM,),
        unready=(VICTIM,),
        refuse="look-ups",
    ),
    Fault(
        "nacos-cut",
        "a node cut from Nacos",
        _cut("nacos"),
        _heal("nacos"),
        seconds=30,
        affected=(VICTIM,),
    ),
    Fault(
        "rolling-restart",
        "every node restarted, one after the other",
        _restart_all,
        seconds=0,
        since="begin",
        stay=False,
        again_limit=5,
    ),
    Fault(
        "drain",
        "SIGTERM of the node that holds all clients",
        _drain,
        _start(VICTIM),
        seconds=3,
        since="begin",
        prepare=_gather_at_victim,
        spread=False,
        stay=False,
        affected=("node-1", "node-2"),
        again_limit=5,
    ),
    Fault(
        "drain-alone",
        "SIGTERM of a node while all three servers hang",
        _leave_alone,
        _wake_all,
        seconds=1,
        stay=False,
        unready=("node-1", "node-2"),
    ),
    Fault(
        "disk-full",
        "disk full for a node's snapshot",
        _fill_disk,
        _free_disk,
        seconds=2,
        since="begin",
        again_limit=5,
    ),
    Fault(
        "clock-stepped",
        "a node's clock stepped by an hour, back by two, and right",
        _step_clock,
        _clock_right,
        seconds=6,
        since="begin",
        prepare=_with_stepped_clock,
        tidy=_with_own_clock,
        again_limit=5,
    ),
)

FAULTS = {fault.name: fault for fault in _ALL}

QUICK = ("node-killed", "rabbitmq-restarted", "redis-hangs", "drain")
"""The most telling ones, for the short form."""

QUICK_WITH_HISTORY = ("node-killed", "redis-restarted")
"""Those that the short form lets happen once more, with history."""

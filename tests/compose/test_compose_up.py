"""docker-compose.yml for real, on stand-ins for the official images. Some minutes, as root.

Not part of a plain run: `./dev test --only-pytest -m compose`. docs/compose.md has the last result.
"""

import asyncio
import os
import shutil
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path

import aio_pika
import aiohttp
import pytest
import yaml
from websockets.asyncio.client import ClientConnection

from devtools.paths import ROOT
from devtools.ports import LOOPBACK, Ports
from devtools.waiting import Progress
from tests.compose.engine import Engine
from tests.compose.stack import NODES_DOCUMENT, PROGRAMS, Container, Endpoint, Stack
from tests.compose.standins.images import build_standins
from tests.waiting import eventually

pytestmark = [pytest.mark.compose, pytest.mark.timeout(900)]

DRAINING = 4001


@pytest.fixture(scope="module")
def progress(request: pytest.FixtureRequest) -> Progress:
    capture = request.config.pluginmanager.getplugin("capturemanager")

    def show(line: str) -> None:
        with capture.global_and_fixture_disabled():
            print(f"  [compose] {line}", flush=True)  # noqa: T201 - it takes minutes

    return show


@pytest.fixture(scope="module")
def engine(progress: Progress) -> Iterator[Engine]:
    """A Docker engine with all images: the stand-ins, and ours by the real Dockerfile."""
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        pytest.skip("needs root on Debian: it starts an engine and builds images of its packages")
    # Not pytest's folder, which would keep gigabytes, and whose path is long for a socket.
    with (
        tempfile.TemporaryDirectory(prefix="compose-") as folder,
        Engine(Path(folder), progress) as engine,
    ):
        build_standins(engine, Path(folder), progress)
        progress("building our image")
        # With a network inside; compose then finds every step of it done.
        engine.build("websocket-cluster", ROOT)
        yield engine


@pytest.fixture(scope="module")
async def stack(engine: Engine, progress: Progress) -> AsyncIterator[Stack]:
    """The cluster as the file says, on free ports."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=15)) as session:
        stack = Stack(engine, Ports.free(), session)
        try:
            progress("compose up")
            began = time.monotonic()
            stack.compose("up", "-d", "--build")
            await eventually(stack.all_well, limit=120, interval=0.5)
            await stack.settled(nodes=3)
            progress(f"the cluster is up ({time.monotonic() - began:.0f} s)")
            yield stack
        finally:
            stack.compose("down", "--volumes")


async def received(client: ClientConnection, count: int) -> list[str]:
    async with asyncio.timeout(5):
        return [str(await client.recv()) for _ in range(count)]


async def test_every_service_is_well_and_published_on_loopback_only(stack: Stack) -> None:
    containers = stack.containers()
    services = sorted(container.service for container in containers)
    assert services == sorted(["config", "gateway", "nacos", "rabbitmq", "redis", *["node"] * 3])
    assert all(container.well for container in containers)
    hosts = {host for container in containers for _, host, _ in container.published}
    assert hosts == {LOOPBACK}


async def test_our_programs_run_as_a_user_of_their_own_on_a_read_only_root(stack: Stack) -> None:
    for container in (item for item in stack.containers() if item.service in PROGRAMS):
        assert container.user == "10001:10001"
        assert container.host["ReadonlyRootfs"]
        assert container.host["CapDrop"] == ["ALL"]
        assert "no-new-privileges:true" in container.host["SecurityOpt"]
    status = stack.execute("gateway", "cat", "/proc/1/status")
    facts = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert facts["Uid"].split() == ["10001"] * 4
    assert int(facts["CapEff"], 16) == 0


@pytest.mark.parametrize("mode", ["fanout", "routed"])
async def test_pushes_reach_clients_on_different_nodes(
    stack: Stack, progress: Progress, mode: str
) -> None:
    document = yaml.safe_load((ROOT / "nacos-config" / NODES_DOCUMENT).read_text(encoding="utf-8"))
    document["websocket"]["push"]["mode"] = mode
    took = await stack.publish(yaml.safe_dump(document))
    progress(f"{mode} is in force on every node after {took:.2f} s")
    alice, bob = await stack.gateway.connect("alice"), await stack.gateway.connect("bob")
    async with alice, bob:
        assert await stack.home("alice") != await stack.home("bob")
        for sender in (stack.gateway, *stack.nodes().values()):
            await push_one_batch_and_all(sender, mode)
            assert await received(alice, 3) == ["one", "both", "all"]
            assert await received(bob, 2) == ["both", "all"]


async def push_one_batch_and_all(sender: Endpoint, mode: str) -> None:
    status, answer = await sender.post("/api/push", {"content": "one", "targetUserList": ["alice"]})
    assert (status, answer["mode"], answer["targets"]) == (202, mode, 1)
    batch = [
        {"content": "both", "targetUserList": ["alice", "bob"]},
        {"content": "all", "allUser": True},
    ]
    status, answer = await sender.post("/api/push/batch", batch)
    assert (status, answer["accepted"]) == (202, 2)


async def test_a_foreign_publisher_is_served(stack: Stack) -> None:
    async with (
        await stack.gateway.connect("alice") as alice,
        await aio_pika.connect(host=LOOPBACK, port=stack.ports.rabbitmq) as connection,
    ):
        channel = await connection.channel()
        exchange = await channel.get_exchange("web_socket_exchange")
        body = b'{"content": "from afar", "allUser": false, "targetUserList": ["alice"]}'
        await exchange.publish(aio_pika.Message(body), routing_key="")
        assert await received(alice, 1) == ["from afar"]


async def test_more_nodes_join_and_the_others_stay(stack: Stack) -> None:
    before = stack.nodes()
    async with await stack.gateway.connect("alice") as alice:
        stack.compose("up", "-d", "--scale", "node=5")
        await eventually(stack.all_well, limit=60, interval=0.5)
        await stack.settled(nodes=5)
        after = stack.nodes()
        assert set(before) < set(after)
        for address in set(after) - set(before):
            await push_to(after[address], "from a new node", "alice")
            assert await received(alice, 1) == ["from a new node"]


async def push_to(sender: Endpoint, content: str, user: str) -> None:
    body = {"content": content, "targetUserList": [user]}
    status, answer = await sender.post("/api/push", body)
    assert status == 202, answer
    assert answer["offline"] in (None, [])


async def test_a_stopped_node_says_goodbye(stack: Stack) -> None:
    async with await stack.gateway.connect("leaver") as client:
        _, address = await stack.home("leaver")
        node = at(stack, address)
        _, code = await asyncio.gather(asyncio.to_thread(stack.stop, node), closed(client))
        assert code == DRAINING
    [ended] = [item for item in stack.containers("node") if item.id == node.id]
    assert ended.state["ExitCode"] == 0


async def test_a_killed_node_is_left_behind(stack: Stack, progress: Progress) -> None:
    client = await stack.gateway.connect("alice")
    node_id, address = await stack.home("alice")
    began = time.monotonic()
    stack.kill(at(stack, address))
    assert await closed(client) != DRAINING
    async with await stack.gateway.connect("alice") as again:
        progress(f"a node killed: its client is back after {time.monotonic() - began:.2f} s")
        # Where the old node's record still lives, alice is known there, too.
        await push_to(stack.gateway, "still here", "alice")
        assert await received(again, 1) == ["still here"]
        for is_gone in (queue_is_gone, record_is_gone):
            look = partial(asyncio.to_thread, is_gone, stack, node_id)
            await eventually(look, limit=30, interval=0.5)
        progress(f"its queue and its record are gone after {time.monotonic() - began:.0f} s")
        _, new_address = await stack.home("alice")
        assert new_address != address
        for sender in (stack.gateway, *stack.nodes().values()):
            await push_to(sender, "without it", "alice")
            assert await received(again, 1) == ["without it"]


def queue_is_gone(stack: Stack, node_id: str) -> bool:
    names = stack.execute("rabbitmq", "rabbitmqctl", "-q", "list_queues", "name")
    return f"websocket_node_{node_id}" not in names.split()


def record_is_gone(stack: Stack, node_id: str) -> bool:
    answer = stack.execute("redis", "redis-cli", "exists", f"websocket:node:{node_id}")
    return answer.strip() == "0"


def at(stack: Stack, address: str) -> Container:
    """Find the container of a running node."""
    containers = stack.containers("node")
    [found] = [item for item in containers if f"{item.address}:8081" == address]
    return found


async def closed(client: ClientConnection) -> int | None:
    """Wait until a client's connection is closed, and give the code."""
    async with asyncio.timeout(30):
        await client.wait_closed()
    return client.close_code


async def test_down_leaves_nothing(stack: Stack) -> None:
    places = {port for item in stack.containers() for _, _, port in item.published}
    stack.compose("down", "--volumes")
    assert [stack.left(kind) for kind in ("container", "network", "volume")] == [[], [], []]
    for port in places:
        with socket.socket() as probe:
            assert probe.connect_ex((LOOPBACK, port)) != 0

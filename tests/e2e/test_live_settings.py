"""Settings of nodes published in Nacos, and seen in what the nodes do. None of them restarts.

Every live setting has such a test, marked with the keys that it shows: `@pytest.mark.shows(…)`.
"""

import asyncio
import importlib
import json
import os
import pkgutil
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress

import pytest
import redis.asyncio as redis
from pydantic import BaseModel
from websockets.asyncio.client import ClientConnection
from websockets.frames import Opcode

from devtools.ports import LOOPBACK
from gateway_lb.settings import GatewaySettings
from nacos_boot.settings.framework import FrameworkSettings
from nacos_boot.settings.section import OpenSection, Section, kebab_case
from nacos_boot.settings.setting import effect_of
from service.settings import NodeSettings
from tests import e2e
from tests.cluster import ClusterUnderTest, Program
from tests.raw_client import raw_client
from tests.waiting import eventually

MODELS = (NodeSettings, GatewaySettings, FrameworkSettings)


@pytest.mark.parametrize("model", MODELS)
def test_every_live_setting_is_seen_in_behaviour(model: type[BaseModel]) -> None:
    shown: set[str] = set()
    for module in pkgutil.iter_modules(e2e.__path__, f"{e2e.__name__}."):
        for test in vars(importlib.import_module(module.name)).values():
            marks = getattr(test, "pytestmark", [])
            shown.update(key for mark in marks if mark.name == "shows" for key in mark.args)
    assert not sorted(set(live_keys(model)) - shown), "no test in tests/e2e shows these"
    known = {key for each in MODELS for key in live_keys(each)}
    assert not sorted(shown - known), "these are no live settings"


def live_keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        key, kind = f"{prefix}{kebab_case(name)}", field.annotation
        if isinstance(kind, type) and issubclass(kind, OpenSection | Section):
            yield from live_keys(kind, f"{key}.")
        elif effect_of(field).live:
            yield key


class Watcher:
    """Watches a node record in Redis: when it was refreshed, for how long, and that it is there."""

    def __init__(self, store: redis.Redis, key: str) -> None:
        self._store = store
        self._key = key
        self.missing = 0
        self.beats: list[tuple[float, float]] = []
        """The instant of each beat, and the life that it gave, in seconds."""

    async def run(self) -> None:
        expires = 0.0
        while True:
            left = await self._store.pttl(self._key) / 1000
            now = time.monotonic()
            self.missing += left < 0
            # The same life looked at later expires at the same instant, give or take the look.
            if abs(now + left - expires) > 0.25:
                self.beats.append((now, left))
            expires = now + left
            await asyncio.sleep(0.03)

    def since(self, instant: float) -> list[tuple[float, float]]:
        return [beat for beat in self.beats if beat[0] > instant]


@pytest.fixture
async def store(cluster: ClusterUnderTest) -> AsyncIterator[redis.Redis]:
    client = redis.Redis(port=cluster.servers.ports.redis, decode_responses=True)
    yield client
    await client.aclose()


@pytest.mark.shows("websocket.node.heartbeat-cron", "websocket.node.ttl")
async def test_the_heartbeat_takes_another_rhythm_and_the_record_is_never_missing(
    cluster: ClusterUnderTest, store: redis.Redis
) -> None:
    node_id = await node_id_of(cluster, cluster.nodes[0])
    watcher = Watcher(store, f"websocket:node:{node_id}")
    watching = asyncio.create_task(watcher.run())
    try:
        # Every 2 s for 6 s is in force; now every second for 3 s.
        await heartbeat(cluster, "* * * * * *", "3s")
        edited = time.monotonic()
        # By the old rhythm this would take more than 8 s, by the new one it takes 4 to 5.
        await eventually(lambda: len(watcher.since(edited)) >= 5, limit=6.9)
        assert all(life <= 3 for _, life in watcher.since(edited))

        published = time.monotonic()
        await heartbeat(cluster, "*/10 * * * * *", "25s")
        # At once: the record would expire before the next beat otherwise.
        await eventually(lambda: watcher.beats[-1][1] > 20, limit=2)
        assert watcher.beats[-1][0] - published < 2
        longer = time.monotonic()
        await asyncio.sleep(3.5)
        # By the rhythm before it would have been three or four.
        assert len(watcher.since(longer)) <= 1
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
    assert watcher.missing == 0


async def heartbeat(cluster: ClusterUnderTest, cron: str, ttl: str) -> None:
    await cluster.edit_nodes({"websocket": {"node": {"heartbeat-cron": cron, "ttl": ttl}}})


@pytest.mark.shows("websocket.ping.interval", "websocket.ping.timeout")
async def test_clients_see_another_ping_interval_and_go_by_another_timeout(
    cluster: ClusterUnderTest,
) -> None:
    node = cluster.nodes[0]
    before = await node.metric("websocket_unanswered_pings_total")
    async with raw_client(node.port, "silent") as silent, raw_client(node.port, "polite") as polite:
        # Connected while it was 25 s. The wheel of pings turns once a second.
        await ping(cluster, interval="1s")
        for _ in range(2):
            assert await polite.frame(limit=4) == (Opcode.PING, b"")
            polite.send(Opcode.PONG)
        assert await silent.frame(limit=4) == (Opcode.PING, b"")
        # The timeout is still 20 s.
        assert await silent.silence(1.5)
        await ping(cluster, interval="1s", timeout="2s")
        assert await silent.close_code(limit=4) == 1001
        # It has another ping or two to answer; then it may speak.
        polite.send(Opcode.TEXT, b"ping")
        while (await polite.frame(limit=4))[0] is Opcode.PING:
            pass
        assert await node.metric("websocket_unanswered_pings_total") == before + 1


async def ping(cluster: ClusterUnderTest, **ping: str) -> None:
    await cluster.edit_nodes({"websocket": {"ping": ping}})


@pytest.mark.shows(
    "websocket.limits.max-message",
    "websocket.limits.max-body",
    "websocket.limits.max-batch",
    "websocket.limits.max-targets",
)
async def test_limits_of_messages_and_requests(cluster: ClusterUnderTest) -> None:
    node = cluster.nodes[0]
    push = {"content": "x" * 3000, "allUser": True}
    few = {"content": "x", "targetUserList": ["a", "b", "c", "d"]}
    requests = [("/api/push", push), ("/api/push/batch", [few] * 3), ("/api/push", few)]
    assert [(await node.post(path, body))[0] for path, body in requests] == [202, 202, 202]
    async with await node.connect("early") as early:
        await cluster.edit_nodes(
            {
                "websocket": {
                    "limits": {
                        "max-message": 1000,
                        "max-body": 2048,
                        "max-batch": 2,
                        "max-targets": 3,
                    }
                }
            }
        )
        status, problem = await node.post(*requests[0])
        assert (status, problem["status"]) == (413, 413)
        assert "2048 bytes (websocket.limits.max-body)" in problem["detail"]
        for (path, body), limit in zip(
            requests[1:],
            (
                "2 at most in one batch (websocket.limits.max-batch)",
                "3 at most (websocket.limits.max-targets)",
            ),
            strict=True,
        ):
            status, problem = await node.post(path, body)
            assert (status, limit in str(problem)) == (413, True)

        # The length of messages is for connections from now on.
        async with await node.connect("late") as late:
            await late.send("y" * 3000)
            await late.wait_closed()
            assert late.close_code == 1009
        await early.send("y" * 3000)
        await early.send("ping")
        while await early.recv() != "pong":
            pass


@pytest.mark.shows("websocket.limits.send-buffer")
async def test_a_client_that_reads_too_slowly_is_closed_by_the_limit_in_force(
    cluster: ClusterUnderTest,
) -> None:
    node = cluster.nodes[0]
    name = "websocket_slow_clients_total"
    before = await node.metric(name)
    await send_buffer(cluster, 65_536)
    async with raw_client(node.port, "slow") as slow, await node.connect("quick") as quick:

        async def closed(content: str) -> bool:
            await node.push(content, "slow", "quick")
            assert await quick.recv() == content
            return await node.metric(name) == before + 1

        await eventually(lambda: closed("x" * 60_000), limit=20)
        assert await slow.close_code() == 4008
        await send_buffer(cluster, 64 * 1024 * 1024)
        async with raw_client(node.port, "slow"):
            # More than all buffers on the way hold.
            for _ in range(16):
                # The one of before, and no other.
                assert await closed("x" * 1_000_000)


async def send_buffer(cluster: ClusterUnderTest, size: int) -> None:
    await cluster.edit_nodes({"websocket": {"limits": {"send-buffer": size}}})


@pytest.mark.shows(
    "websocket.drain.notice",
    "websocket.drain.window",
    "websocket.drain.return-window",
    "gateway.drain.notice",
    "gateway.drain.window",
)
async def test_a_node_and_a_gateway_leave_by_the_times_in_force(cluster: ClusterUnderTest) -> None:
    gateway = cluster.spawn("gateway_lb")
    await eventually(gateway.ready, limit=20)
    behind = [await gateway.connect(f"behind-{number}") for number in range(20)]
    node = await cluster.add_node()
    direct = [await node.connect(f"direct-{number}") for number in range(20)]
    # Both were started with 0 to 300 ms.
    drain = {"notice": "1500ms", "window": "1s"}
    await cluster.edit_nodes({"websocket": {"drain": {**drain, "return-window": "5s"}}})
    await cluster.edit_gateway({"gateway": {"drain": drain}})
    await in_force(node, cluster.nodes[0])
    await in_force(gateway, cluster.gateway)
    left = await asyncio.gather(leave(node, direct), leave(gateway, behind))
    for first, last in left:
        assert first > 1.4
        assert last - first > 0.7
    hints = [float(str(client.close_reason).split()[-2]) for client in direct]
    # The last of 20 is closed after almost a second, to be back after almost five.
    assert 3.5 < max(hints) < 4.0


async def in_force(program: Program, like: Program) -> None:
    """Wait until an added program has what one of the cluster has."""

    async def same() -> bool:
        (_, own), (_, other) = [await p.get("/actuator/nacosconfig") for p in (program, like)]
        return bool(own["md5"] == other["md5"])

    await eventually(same, limit=10)


async def leave(program: Program, clients: list[ClientConnection]) -> tuple[float, float]:
    """Have a program end; give the seconds until its first and its last client were sent away."""
    began = time.monotonic()
    os.kill(program.child.pid, signal.SIGTERM)

    async def gone(client: ClientConnection) -> float:
        await client.wait_closed()
        assert client.close_code == 4001
        return time.monotonic() - began

    times = await asyncio.gather(*(gone(client) for client in clients))
    return min(times), max(times)


@pytest.mark.shows("logging.level", "logging.group", "logging.structured.format.console")
async def test_log_settings_are_in_force_for_the_next_line(cluster: ClusterUnderTest) -> None:
    node, gateway = cluster.nodes[0], cluster.gateway

    def debug_lines() -> list[str]:
        """What the scheduler of the heartbeat says at each beat, but not by itself."""
        lines = node.child.output().splitlines()
        return [line for line in lines if "DEBUG" in line and "apscheduler" in line]

    before = len(debug_lines())
    await cluster.edit_nodes({"logging": {"level": {"apscheduler": "DEBUG"}}})
    await eventually(lambda: len(debug_lines()) > before, limit=6)
    assert not debug_lines()[-1].startswith("{")
    await cluster.edit_nodes(
        {
            "logging": {
                "group": {"beats": "apscheduler"},
                "level": {"beats": "DEBUG"},
                "structured": {"format": {"console": "ecs"}},
            }
        }
    )
    before = len(debug_lines())
    await eventually(lambda: len(debug_lines()) > before, limit=6)
    assert json.loads(debug_lines()[-1])["message"]
    await cluster.edit_nodes({})
    told = len(debug_lines())
    # Meanwhile some beats go by.
    await a_warning_less(cluster, gateway)
    await asyncio.sleep(2)
    assert len(debug_lines()) == told
    assert not node.child.output().splitlines()[-1].startswith("{")


async def a_warning_less(cluster: ClusterUnderTest, gateway: Program) -> None:
    """Have the gateway warn, warn no more, and warn again."""

    def warnings() -> int:
        return gateway.child.output().count("cannot be reached")

    async def push_to_nobody() -> None:
        status, _ = await gateway.post("/api/push", {"content": 1, "allUser": True})
        assert status == 503

    dead = "dead-nodes"
    cluster.nacos.register(dead, 1)
    try:
        alone = {"service-name": dead, "set-aside": "0s"}
        await cluster.edit_gateway({"gateway": alone})
        await eventually(lambda: cluster.lists(1))
        before = warnings()
        await push_to_nobody()
        await eventually(lambda: warnings() == before + 1)
        levels = {"level": {"gateway_lb": "ERROR"}}
        await cluster.edit_gateway({"gateway": alone, "logging": levels})
        await push_to_nobody()
        await cluster.edit_gateway({"gateway": alone})
        await push_to_nobody()
        await eventually(lambda: warnings() == before + 2)
    finally:
        cluster.nacos.deregister(dead, 1)


async def node_id_of(cluster: ClusterUnderTest, node: Program) -> str:
    _, body = await cluster.gateway.get("/api/nodes")
    address = f"{LOOPBACK}:{node.port}"
    return next(str(item["nodeId"]) for item in body["nodes"] if item["address"] == address)

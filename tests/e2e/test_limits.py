"""Limits published in Nacos, and how nodes and gateway answer what goes beyond them.

Limits of messages and requests, and of what waits for a client, are in test_live_settings.py.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.frames import Close, Opcode

from devtools.ports import LOOPBACK
from tests.cluster import OPERATOR_KEY, ClusterUnderTest, Program
from tests.raw_client import RawClient, raw_client, raw_status
from tests.service.tcp_proxy import TcpProxy
from tests.waiting import eventually


async def limits(cluster: ClusterUnderTest, **limits: Any) -> None:
    spelled = {name.replace("_", "-"): value for name, value in limits.items()}
    await cluster.edit_nodes({"websocket": {"limits": spelled}})


async def limited(node: Program, limit: str) -> float:
    return await node.metric("websocket_limited_total", limit=limit)


async def refused(program: Program, user: str, address: str = "") -> int | None:
    """Connect, and give the code by which the client is refused; None where it is let in."""
    headers = {"X-Forwarded-For": address} if address else {}
    url = f"ws://{LOOPBACK}:{program.port}/websocket/{user}"
    async with connect(url, additional_headers=headers) as client:
        try:
            assert await client.recv() == "pong"
        except ConnectionClosed:
            return client.close_code
        return None


@contextlib.asynccontextmanager
async def clients(*places: tuple[Program, str], **options: Any) -> AsyncIterator[None]:
    """Hold clients: each at a program, of a user."""
    held: list[ClientConnection] = []
    try:
        for program, user in places:
            held.append(await program.connect(user, **options))
        yield
    finally:
        await asyncio.gather(*(client.close() for client in held))


@pytest.mark.shows("websocket.limits.max-connections-per-user")
async def test_a_user_has_so_many_connections_in_the_cluster(cluster: ClusterUnderTest) -> None:
    first, second = cluster.nodes
    async with clients((first, "alice"), (second, "alice")):
        assert await refused(first, "alice") is None
        before = await limited(second, "max-connections-per-user")
        await limits(cluster, max_connections_per_user=2)
        for program in (first, second, cluster.gateway):
            # The directory lets go of the client before a moment after it.
            await eventually(lambda: directory_has(cluster, "alice", 2))
            assert await refused(program, "alice") == 4429
        assert await refused(first, "bob") is None
        assert await limited(second, "max-connections-per-user") > before
        await eventually(lambda: directory_has(cluster, "alice", 2))
        # Those who were there before stay.
        await limits(cluster, max_connections_per_user=1)
        async with clients((first, "carol")):
            assert await refused(second, "carol") == 4429
        await eventually(lambda: directory_has(cluster, "carol", 0))
        assert await refused(second, "carol") is None
    assert await first.metric("websocket_connections") == 0


async def directory_has(cluster: ClusterUnderTest, user: str, connections: int) -> bool:
    status, body = await cluster.nodes[0].get(f"/api/users/{user}")
    return bool((body["connections"] if status == 200 else 0) == connections)


@pytest.mark.shows("websocket.limits.max-connections-per-address")
async def test_an_address_has_so_many_connections_of_a_node(cluster: ClusterUnderTest) -> None:
    node = cluster.nodes[0]
    near, far = "192.0.2.7", "192.0.2.8"
    async with clients((node, "a"), (node, "b"), additional_headers={"X-Forwarded-For": near}):
        assert await refused(node, "c", near) is None
        await limits(cluster, max_connections_per_address=2)
        assert await refused(node, "c", near) == 4429
        assert await refused(node, "c", far) is None
        assert await limited(node, "max-connections-per-address") == 1
    await eventually(lambda: lets_in(node, near))
    await limits(cluster)


async def lets_in(node: Program, address: str) -> bool:
    return await refused(node, "c", address) is None


@pytest.mark.shows("websocket.limits.handshakes-per-second", "websocket.limits.handshake-burst")
async def test_clients_are_let_in_at_a_pace(cluster: ClusterUnderTest) -> None:
    node, other = cluster.nodes
    await limits(cluster, handshakes_per_second=1, handshake_burst=3)
    answers = [await refused(node, "a") for _ in range(8)]
    assert answers[:3] == [None] * 3
    assert 4429 in answers
    assert await limited(node, "handshakes-per-second") == answers.count(4429)
    # The gateway finds the node that has room.
    assert await refused(cluster.gateway, "a") is None
    assert await limited(other, "handshakes-per-second") == 0
    await limits(cluster, handshakes_per_second=1, handshake_burst=100)
    assert [await refused(node, "a") for _ in range(20)] == [None] * 20


@pytest.mark.shows("websocket.limits.messages-per-second", "websocket.limits.message-burst")
async def test_a_client_may_send_at_a_pace(cluster: ClusterUnderTest) -> None:
    node = cluster.nodes[0]
    async with raw_client(node.port, "chatty") as chatty, raw_client(node.port, "calm") as calm:
        await send(chatty, 100)
        await limits(cluster, messages_per_second=1, message_burst=20)
        # What came before does not count.
        await send(chatty, 15)
        await limits(cluster, messages_per_second=1, message_burst=200)
        await send(chatty, 150)
        # One by one: what arrives in one piece is taken or refused as a whole.
        taken = -1
        opcode, data = Opcode.TEXT, b"pong"
        while opcode is Opcode.TEXT:
            taken += 1
            chatty.send(Opcode.TEXT, b"ping")
            opcode, data = await chatty.frame()
        assert Close.parse(data).code == 4429
        assert 50 <= taken <= 60
        await send(calm, 1)
    assert await limited(node, "messages-per-second") == 1


async def send(client: RawClient, times: int) -> None:
    """Send so many messages, and take the answers."""
    for _ in range(times):
        client.send(Opcode.TEXT, b"ping")
        assert await client.frame() == (Opcode.TEXT, b"pong")


@pytest.mark.shows("websocket.limits.pushes-per-second", "websocket.limits.push-burst")
async def test_a_caller_may_push_at_a_pace(cluster: ClusterUnderTest) -> None:
    node = cluster.nodes[0]
    push = {"content": 1, "targetUserList": ["nobody"]}
    headers = {"X-API-Key": OPERATOR_KEY}
    async with aiohttp.ClientSession(f"http://{LOOPBACK}:{node.port}", headers=headers) as session:

        async def answer(body: Any, caller: str, path: str = "/api/push") -> tuple[int, str]:
            told = {"X-Forwarded-For": caller}
            async with session.post(path, json=body, headers=told) as response:
                return response.status, response.headers.get("Retry-After", "")

        await limits(cluster, pushes_per_second=1, push_burst=3)
        answers = [await answer(push, "10.0.0.1") for _ in range(6)]
        assert answers[:3] == [(202, "")] * 3
        assert (429, "1") in answers
        # A batch goes as a whole, and is paid for afterwards.
        assert await answer([push] * 50, "10.0.0.2", "/api/push/batch") == (202, "")
        status, later = await answer(push, "10.0.0.2")
        assert (status, 40 <= int(later) <= 49) == (429, True)
        assert await limited(node, "pushes-per-second") >= 2
        await limits(cluster, pushes_per_second=1, push_burst=100)
        assert [await answer(push, "10.0.0.2") for _ in range(6)] == [(202, "")] * 6


@pytest.mark.shows("websocket.limits.max-content")
async def test_how_large_the_content_of_a_push_may_be(cluster: ClusterUnderTest) -> None:
    node = cluster.nodes[0]
    large, small = ({"content": "x" * size, "targetUserList": ["a"]} for size in (3000, 3))
    assert (await node.post("/api/push", large))[0] == 202
    await limits(cluster, max_content=2000)
    before = await limited(node, "max-content")
    status, problem = await node.post("/api/push", large)
    assert (status, problem["errors"][0]["field"]) == (413, "content")
    assert "3002 bytes; expected 2000 at most (websocket.limits.max-content)" in problem["detail"]
    status, answer = await node.post("/api/push/batch", [small, large])
    assert (status, answer["accepted"]) == (202, 1)
    assert "expected 2000 at most" in answer["results"][1]["error"]
    assert await limited(node, "max-content") == before + 2


@pytest.mark.shows("websocket.limits.head-size", "websocket.limits.head-timeout")
async def test_how_long_a_head_may_be_and_take(cluster: ClusterUnderTest) -> None:
    node = cluster.nodes[0]
    long = b"GET /actuator/health/liveness HTTP/1.1\r\nHost: x\r\nA: %s\r\n\r\n" % (b"a" * 3000)
    assert await raw_status(node.port, long) == 200
    half = long[:100]
    with pytest.raises(TimeoutError):
        await raw_status(node.port, half, limit=1)
    await limits(cluster, head_size=2048, head_timeout="300ms")
    assert await raw_status(node.port, long) == 431
    assert await raw_status(node.port, half) == 408
    assert await limited(node, "head-size") == await limited(node, "head-timeout") == 1


SLOW = 500
BROADCASTS = 250
CONTENT = "x" * 40_000
SEND_BUFFER = 262_144


@pytest.mark.shows("websocket.limits.slow-client")
@pytest.mark.parametrize("how", ["close", "drop-oldest"])
async def test_clients_that_never_read_cost_little_and_hold_up_nobody(
    cluster: ClusterUnderTest, how: str
) -> None:
    node = cluster.nodes[0]
    await limits(cluster, slow_client=how, send_buffer=SEND_BUFFER)
    names = ("websocket_slow_clients_total", "websocket_messages_dropped_total")
    before = [await node.metric(name) for name in names]
    async with contextlib.AsyncExitStack() as ending:
        slow = [
            await ending.enter_async_context(raw_client(node.port, f"slow-{number}"))
            for number in range(SLOW)
        ]
        quick = await ending.enter_async_context(await node.connect("quick"))
        for client in slow:
            client.reader._transport.pause_reading()  # type: ignore[attr-defined]  # to read nothing at all
        resident = memory(node)
        peak = longest = 0.0
        for _ in range(BROADCASTS):
            began = time.monotonic()
            await node.push(CONTENT)
            assert await quick.recv() == CONTENT
            longest = max(longest, time.monotonic() - began)
            peak = max(peak, memory(node))
        closed, dropped = [
            await node.metric(name) - old for name, old in zip(names, before, strict=True)
        ]
        print(f"{how}: {peak - resident:.1f} MB more, {longest:.3f} s at most, {closed} {dropped}")  # noqa: T201 - the figures of docs/limits.md
        # 10 MB were sent to each of them.
        assert peak - resident < 60
        assert longest < 2
        if how == "close":
            assert (closed, dropped) == (SLOW, 0)
            slow[0].reader._transport.resume_reading()  # type: ignore[attr-defined]  # as above
            assert await slow[0].close_code() == 4008
        else:
            assert closed == 0
            assert dropped > SLOW * BROADCASTS / 10
            # Whole messages, with a gap; the last is there.
            slow[0].reader._transport.resume_reading()  # type: ignore[attr-defined]  # as above
            await node.push("end")
            while (frame := await slow[0].frame()) != (Opcode.TEXT, b"end"):
                assert frame == (Opcode.TEXT, CONTENT.encode())


def memory(node: Program) -> float:
    """Give the megabytes that a program holds."""
    text = Path(f"/proc/{node.child.pid}/status").read_text(encoding="ascii")
    return int(text.partition("VmRSS:")[2].split()[0]) / 1024


async def test_clients_behind_a_dead_network_go_by_the_ping_timeout(
    cluster: ClusterUnderTest,
) -> None:
    node, gateway = cluster.nodes[0], cluster.gateway
    await cluster.edit_nodes({"websocket": {"ping": {"interval": "1s", "timeout": "1s"}}})
    await cluster.edit_gateway({"gateway": {"half-close-timeout": "500ms"}})
    async with TcpProxy(node.port) as to_node, TcpProxy(gateway.port) as to_gateway:
        far = [
            await connect(f"ws://{LOOPBACK}:{proxy.port}/websocket/far")
            for proxy in (to_node, to_gateway)
        ]
        async with await gateway.connect("near") as near:
            assert [await client.recv() for client in far] == ["pong", "pong"]
            assert await gateway.metric("gateway_relays_open") == 2
            assert await directory_has(cluster, "far", 2)
            # From here on nothing passes, and nobody says that they have gone.
            to_node.hang()
            to_gateway.hang()
            await eventually(lambda: directory_has(cluster, "far", 0), limit=10)
            # The gateway lets go when the node has, which waits five seconds for an answer.
            await eventually(lambda: relays_are(gateway, 1), limit=15)
            await near.send("ping")
            assert await near.recv() == "pong"
        for client in far:
            client.transport.abort()


async def relays_are(gateway: Program, number: int) -> bool:
    return await gateway.metric("gateway_relays_open") == number

"""A node is cut off from RabbitMQ, its queue vanishes, or RabbitMQ hangs: what clients see."""

import asyncio
import json
import time
from collections.abc import AsyncIterator

import aio_pika
import aiohttp
import pytest

from devtools.ports import LOOPBACK
from tests.cluster import ClusterUnderTest, Program
from tests.service.tcp_proxy import TcpProxy
from tests.waiting import eventually


@pytest.fixture
async def proxy(cluster: ClusterUnderTest) -> AsyncIterator[TcpProxy]:
    async with TcpProxy(cluster.servers.ports.rabbitmq) as proxy:
        yield proxy


@pytest.fixture
async def node(cluster: ClusterUnderTest, proxy: TcpProxy) -> Program:
    """One more node, which reaches RabbitMQ over the proxy."""
    return await cluster.add_node(SPRING_RABBITMQ_PORT=str(proxy.port))


@pytest.mark.shows("websocket.resend.buffer", "websocket.resend.age")
async def test_what_a_node_missed_is_sent_again_as_long_as_the_settings_say(
    cluster: ClusterUnderTest, proxy: TcpProxy, node: Program
) -> None:
    async def blip(*contents: str) -> None:
        """Push while the node hears nothing, and have its queue vanish with what lies in it."""
        proxy.hang()
        for content in contents:
            await cluster.nodes[0].push(content)
        await delete_queues(cluster, node)
        proxy.cut()
        proxy.flow()

    async def metric(name: str) -> float:
        return await node.metric(f"websocket_messages_{name}_total")

    async def loses(count: int) -> None:
        lost = await metric("lost") + count
        await blip(*["gone"] * count)

        async def counted() -> bool:
            return await metric("lost") == lost

        await eventually(counted, limit=20)

    async with await node.connect("carol") as carol:
        await cluster.nodes[0].push("before")
        assert await carol.recv() == "before"
        resent = await metric("resent")
        await blip("one", "two", "three")
        for expected in ("one", "two", "three"):
            assert await asyncio.wait_for(carol.recv(), 20) == expected
        assert await metric("resent") == resent + 3
        assert await metric("lost") == 0
        await cluster.edit_nodes({"websocket": {"resend": {"buffer": 0}}})
        await loses(2)
        await cluster.edit_nodes({"websocket": {"resend": {"age": "1ms"}}})
        await loses(1)
        await cluster.edit_nodes({"websocket": {"resend": {"age": "1m", "buffer": 100_000}}})
        await blip("four")
        assert await asyncio.wait_for(carol.recv(), 20) == "four"
        assert await metric("repeated") == 0


async def delete_queues(cluster: ClusterUnderTest, node: Program) -> None:
    _, body = await cluster.gateway.get("/api/nodes")
    [node_id] = [
        item["nodeId"] for item in body["nodes"] if item["address"] == f"{LOOPBACK}:{node.port}"
    ]
    port = cluster.servers.ports.rabbitmq
    async with await aio_pika.connect(host=LOOPBACK, port=port) as connection:
        channel = await connection.channel()
        for suffix in ("", "-1", "-2", "-3"):
            await channel.queue_delete(f"websocket_node_{node_id}{suffix}")


async def test_while_rabbitmq_hangs_pushes_are_refused_in_time_and_clients_stay(
    cluster: ClusterUnderTest, proxy: TcpProxy, node: Program
) -> None:
    async def push(session: aiohttp.ClientSession) -> tuple[int, str | None, float]:
        begun = time.monotonic()
        body = {"content": "x", "allUser": True}
        async with session.post(f"{node.url}/api/push", json=body) as response:
            await response.read()
            waited = time.monotonic() - begun
            return response.status, response.headers.get("Retry-After"), waited

    async with await node.connect("dave") as dave, aiohttp.ClientSession() as session:
        proxy.hang()
        first = await push(session)
        assert first[:2] == (503, "1")
        assert first[2] < 9
        # From then on nobody waits, be they ever so many.
        for status, retry_after, waited in await asyncio.gather(
            *(push(session) for _ in range(50))
        ):
            assert (status, retry_after) == (503, "1")
            assert waited < 4
        assert not await node.ready()
        status, health = await node.get("/actuator/health")
        assert status == 503
        details = json.dumps(health["components"]["rabbit"]["details"])
        assert "does not answer" in details
        await dave.send("ping")
        assert await dave.recv() == "pong"
        proxy.flow()
        await eventually(node.ready, limit=30)
        # Those refused may come late: nobody knew whether RabbitMQ had them.
        await node.push("last")
        async with asyncio.timeout(10):
            while await dave.recv() != "last":
                pass

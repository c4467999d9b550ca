"""Flow 1: a start in order, and starts that cannot succeed."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import aio_pika
import pytest
import redis.asyncio as redis

from devtools.ports import LOOPBACK, free_port
from tests.cluster import TTL, ClusterUnderTest, Program
from tests.waiting import eventually


@pytest.fixture
async def store(cluster: ClusterUnderTest) -> AsyncIterator[redis.Redis]:
    client = redis.Redis(port=cluster.servers.ports.redis, decode_responses=True)
    yield client
    await client.aclose()


async def test_a_node_is_known_in_nacos_redis_and_rabbitmq(
    cluster: ClusterUnderTest, store: redis.Redis
) -> None:
    node = cluster.nodes[0]
    [instance] = [i for i in cluster.nacos.instances("websocket-service") if i["port"] == node.port]
    assert instance["ip"] == LOOPBACK
    assert instance["healthy"]
    assert instance["enabled"]
    metadata = instance["metadata"]
    assert metadata["preserved.register.source"] == "SPRING_CLOUD"
    assert metadata["management.context-path"] == "/actuator"

    node_id = metadata["websocket.node-id"]
    key = f"websocket:node:{node_id}"
    assert await store.sismember("websocket:nodes", node_id)
    assert 0 < await store.pttl(key) <= TTL * 1000

    async with await amqp(cluster) as connection:
        channel = await connection.channel()
        queue = await channel.get_queue(f"websocket_node_{node_id}")
        assert queue.declaration_result.consumer_count == 1
        # The same declarations again: any difference would be an error.
        for name, kind in (
            ("web_socket_exchange", "fanout"),
            ("web_socket_exchange.direct", "direct"),
        ):
            await channel.declare_exchange(name, kind, durable=True)
        await channel.declare_queue(f"websocket_node_{node_id}", durable=True, auto_delete=True)


async def test_the_node_record_is_refreshed_before_it_expires(
    cluster: ClusterUnderTest, store: redis.Redis
) -> None:
    [key, *_] = [name async for name in store.scan_iter("websocket:node:*")]
    lowest = TTL * 1000
    rises = 0
    last = await store.pttl(key)

    async def refreshed_twice() -> bool:
        nonlocal last, lowest, rises
        now = await store.pttl(key)
        rises += now > last
        last, lowest = now, min(lowest, now)
        return rises >= 2

    await eventually(refreshed_twice, limit=TTL * 2)
    assert lowest > 1000


async def test_a_node_that_ends_leaves_nothing_behind(
    cluster: ClusterUnderTest, store: redis.Redis
) -> None:
    node = await cluster.add_node()
    node_id = await node_id_of(cluster, node)
    client = await node.connect("leaver")
    await asyncio.to_thread(node.child.stop)
    assert node.child.exit_code == 0
    await client.wait_closed()
    assert client.close_code == 4001
    assert not await store.exists(f"websocket:node:{node_id}", "websocket:directory:leaver")
    assert not await store.sismember("websocket:nodes", node_id)

    def listed() -> list[int]:
        return [instance["port"] for instance in cluster.nacos.instances("websocket-service")]

    # Nacos makes its list anew a moment after it has answered.
    await eventually(lambda: node.port not in listed(), limit=5)
    async with await amqp(cluster) as connection:
        channel = await connection.channel()
        with pytest.raises(aio_pika.exceptions.ChannelNotFoundEntity):
            await channel.get_queue(f"websocket_node_{node_id}")


async def fails(program: Program, *expected: str) -> str:
    """Wait for a start to fail, and give the one sentence that it ends with."""
    await eventually(lambda: program.child.exit_code is not None, limit=25)
    assert program.child.exit_code == 1, program.child.output()
    output = program.child.output()
    sentences = [line for line in output.splitlines() if line.startswith("cannot start: ")]
    assert len(sentences) == 1, output
    assert "Traceback" not in output
    for part in expected:
        assert part in sentences[0]
    return sentences[0]


SOON = {"SPRING_CLOUD_NACOS_STARTTIMEOUT": "1s"}


async def test_a_start_without_nacos_says_where_it_looked(cluster: ClusterUnderTest) -> None:
    nowhere = f"{LOOPBACK}:{free_port()}"
    node = cluster.spawn("service", NACOS_SERVER_ADDR=nowhere, **SOON)
    await fails(node, nowhere, "spring.cloud.nacos.server-addr")


async def test_a_start_with_a_wrong_nacos_password_names_user_and_setting(
    cluster: ClusterUnderTest,
) -> None:
    node = cluster.spawn("service", NACOS_PASSWORD="wrong", **SOON)
    sentence = await fails(node, "'nacos'", "password", cluster.servers.nacos.address)
    assert "wrong" not in sentence


async def test_a_start_without_its_document_names_the_data_id(cluster: ClusterUnderTest) -> None:
    node = cluster.spawn("service", SPRING_APPLICATION_NAME="no-such-service", **SOON)
    await fails(node, "no-such-service.yml", "DEFAULT_GROUP")


async def test_a_start_with_bad_settings_names_document_key_and_value(
    cluster: ClusterUnderTest,
) -> None:
    cluster.publish("bad-service.yml", {"websocket": {"push": {"mode": "sideways"}}})
    node = cluster.spawn("service", SPRING_APPLICATION_NAME="bad-service", **SOON)
    await fails(node, "bad-service.yml", "websocket.push.mode", "'sideways'", "'fanout'")


async def test_a_start_on_a_taken_port_names_the_port_and_the_setting(
    cluster: ClusterUnderTest,
) -> None:
    taken = cluster.nodes[0].port
    node = cluster.spawn("service", SERVER_PORT=str(taken), **SOON)
    await fails(node, str(taken), "server.port")


async def test_a_start_without_redis_says_where_it_looked(cluster: ClusterUnderTest) -> None:
    port = free_port()
    node = cluster.spawn("service", REDIS_PORT=str(port), **SOON)
    await fails(node, f"Redis at {LOOPBACK}:{port}", "spring.data.redis.host")


async def test_a_start_without_rabbitmq_says_where_it_looked(cluster: ClusterUnderTest) -> None:
    port = free_port()
    node = cluster.spawn("service", RABBITMQ_PORT=str(port), **SOON)
    await fails(node, f"RabbitMQ at {LOOPBACK}:{port}", "spring.rabbitmq.host")


async def test_a_start_with_a_wrong_rabbitmq_password_names_the_setting(
    cluster: ClusterUnderTest,
) -> None:
    node = cluster.spawn("service", RABBITMQ_PASSWORD="wrong", **SOON)
    await fails(node, "'guest'", "spring.rabbitmq.password")


async def test_a_start_without_a_rabbitmq_account_uses_none_that_everybody_knows(
    cluster: ClusterUnderTest,
) -> None:
    node = cluster.spawn("service", RABBITMQ_USERNAME="", RABBITMQ_PASSWORD="", **SOON)
    await fails(node, "no account for RabbitMQ", "spring.rabbitmq.username")


async def test_a_start_waits_for_a_server_that_comes_within_the_window(
    cluster: ClusterUnderTest,
) -> None:
    await asyncio.to_thread(cluster.servers.redis.pause)
    try:
        node = cluster.spawn("service")
        await eventually(lambda: "waiting for Redis" in node.child.output(), limit=20)
        assert node.child.alive
    finally:
        await asyncio.to_thread(cluster.servers.redis.resume)
    await eventually(node.ready, limit=20)
    await cluster.settled()


async def test_a_node_starts_from_its_snapshot_while_nacos_is_away(
    cluster: ClusterUnderTest, tmp_path: Path
) -> None:
    env = {"SPRING_CLOUD_NACOS_CONFIG_SNAPSHOTDIR": str(tmp_path)}
    node = await cluster.add_node(**env)
    await asyncio.to_thread(node.child.stop)
    env |= SOON | {"NACOS_SERVER_ADDR": f"{LOOPBACK}:{free_port()}"}
    again = cluster.spawn("service", **env)
    await eventually(again.ready, limit=20)
    assert "starting from the snapshot" in again.child.output()
    async with await again.connect("alice") as alice:
        await cluster.nodes[0].push("found", "alice")
        assert await alice.recv() == "found"


async def test_the_gateway_fails_as_clearly(cluster: ClusterUnderTest) -> None:
    taken = cluster.gateway.port
    await fails(
        cluster.spawn("gateway_lb", SERVER_PORT=str(taken), **SOON), str(taken), "server.port"
    )


async def test_a_second_signal_ends_a_drain(cluster: ClusterUnderTest) -> None:
    await cluster.edit_nodes({"websocket": {"drain": {"notice": "60s"}}})
    node = await cluster.add_node()
    async with await node.connect("stayer"):
        os.kill(node.child.pid, signal.SIGTERM)
        await eventually(lambda: "shutting down" in node.child.output())
        assert node.child.alive
        os.kill(node.child.pid, signal.SIGTERM)
        await eventually(lambda: not node.child.alive)


async def node_id_of(cluster: ClusterUnderTest, node: Program) -> str:
    _, body = await cluster.gateway.get("/api/nodes")
    address = f"{LOOPBACK}:{node.port}"
    return next(str(item["nodeId"]) for item in body["nodes"] if item["address"] == address)


async def amqp(cluster: ClusterUnderTest) -> aio_pika.abc.AbstractConnection:
    return await aio_pika.connect(host=LOOPBACK, port=cluster.servers.ports.rabbitmq)

"""The gateway: strategies, nodes that fail, the API behind it."""

import asyncio
from collections import Counter

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosedError

from devtools.ports import LOOPBACK
from tests.cluster import ClusterUnderTest, Program
from tests.waiting import eventually


async def nodes_of(cluster: ClusterUnderTest, users: list[str]) -> list[str]:
    """Connect users through the gateway one after the other, and tell where each one sat."""
    clients = [await cluster.gateway.connect(user) for user in users]
    homes = []
    for user in users:
        _, body = await cluster.gateway.get(f"/api/users/{user}")
        homes.append(body["nodes"][0]["nodeId"])
    await asyncio.gather(*(client.close() for client in clients))
    return homes


@pytest.mark.shows("gateway.strategy")
async def test_strategies_are_switched_live(cluster: ClusterUnderTest) -> None:
    users = [f"user-{number}" for number in range(12)]
    for strategy in ("round-robin", "least-connections"):
        await cluster.edit_gateway({"gateway": {"strategy": strategy}})
        spread = Counter(await nodes_of(cluster, users))
        assert set(spread.values()) == {6}, strategy
    await cluster.edit_gateway({"gateway": {"strategy": "consistent-hash"}})
    # So many that not all of them hash to one node, whatever the ports of this run are.
    crowd = [f"user-{number}" for number in range(48)]
    homes = await nodes_of(cluster, crowd)
    assert homes == await nodes_of(cluster, crowd)
    assert len(set(homes)) == 2
    await cluster.edit_gateway({"gateway": {"strategy": "weighted-random"}})
    assert len(await nodes_of(cluster, users)) == len(users)


async def test_a_killed_node_is_passed_over_at_once(cluster: ClusterUnderTest) -> None:
    await cluster.edit_gateway({"gateway": {"strategy": "round-robin"}})
    victim = await cluster.add_node()
    await asyncio.to_thread(victim.child.kill)
    # Whether Nacos has told the gateway already or not.
    clients = [await cluster.gateway.connect(f"user-{number}") for number in range(6)]
    await asyncio.gather(*(client.close() for client in clients))


async def test_a_hanging_node_costs_its_share_of_the_time_only(cluster: ClusterUnderTest) -> None:
    await cluster.edit_gateway(
        {"gateway": {"strategy": "round-robin", "handshake-timeout": "2s", "set-aside": "30s"}}
    )
    victim = await cluster.add_node()
    victim.child.pause()
    try:
        async with asyncio.timeout(15):
            clients = [await cluster.gateway.connect(f"user-{number}") for number in range(6)]
    finally:
        victim.child.resume()
    await asyncio.gather(*(client.close() for client in clients))


async def test_without_a_node_http_gets_503_and_a_websocket_4503(
    cluster: ClusterUnderTest,
) -> None:
    await cluster.edit_gateway({"gateway": {"service-name": "nobody-is-called-so"}})
    try:

        async def refused() -> bool:
            status, body = await cluster.gateway.post("/api/push", {"content": 1, "allUser": True})
            return bool(status == 503 and body["status"] == 503)

        await eventually(refused)
        client = await connect(f"ws://{LOOPBACK}:{cluster.gateway.port}/websocket/alice")
        with pytest.raises(ConnectionClosedError):
            await client.recv()
        assert client.close_code == 4503
        status, _ = await cluster.gateway.get("/discover/alice")
        assert status == 503
    finally:
        await cluster.edit_gateway({})
    await eventually(lambda: cluster.lists(len(cluster.nodes)), limit=20)


async def test_a_draining_node_takes_nobody_and_says_4001(cluster: ClusterUnderTest) -> None:
    await cluster.edit_nodes({"websocket": {"drain": {"notice": "1s", "window": "1s"}}})
    await cluster.edit_gateway({"gateway": {"strategy": "round-robin"}})
    node = await cluster.add_node()
    clients = [await connect_until_on(cluster, node, f"user-{number}") for number in range(3)]
    stopping = asyncio.create_task(asyncio.to_thread(node.child.stop))
    for client in clients:
        await client.wait_closed()
        assert client.close_code == 4001
        # Back through the gateway, at once.
        async with await cluster.gateway.connect("back"):
            pass
    await stopping


async def connect_until_on(cluster: ClusterUnderTest, node: Program, user: str) -> ClientConnection:
    """Connect through the gateway until the client sits on a node."""
    _, nodes = await cluster.gateway.get("/api/nodes")
    wanted = next(
        item["nodeId"] for item in nodes["nodes"] if item["address"] == f"{LOOPBACK}:{node.port}"
    )
    for _ in range(20):
        client = await cluster.gateway.connect(user)
        _, body = await cluster.gateway.get(f"/api/users/{user}")
        if wanted in [home["nodeId"] for home in body["nodes"]]:
            return client
        await client.close()
    raise AssertionError(f"{user} never came to the node")


async def test_the_api_is_the_same_through_the_gateway(cluster: ClusterUnderTest) -> None:
    status, body = await cluster.gateway.post("/api/push", b"no json")
    assert (status, body["status"]) == (400, 400)
    assert body["errors"]
    status, body = await cluster.gateway.get("/openapi.json")
    assert status == 200
    assert "/api/push" in body["paths"]
    status, body = await cluster.gateway.get("/nothing")
    assert (status, body["status"]) == (404, 404)
    status, body = await cluster.gateway.get("/actuator/health")
    assert (status, body["status"]) == (200, "UP")


async def test_a_leaving_gateway_has_the_nodes_say_4001(cluster: ClusterUnderTest) -> None:
    gateway = cluster.spawn("gateway_lb")
    await eventually(gateway.ready, limit=20)
    clients = [await gateway.connect(f"user-{number}") for number in range(4)]
    await asyncio.to_thread(gateway.child.stop)
    assert gateway.child.exit_code == 0
    for client in clients:
        await client.wait_closed()
        assert client.close_code == 4001

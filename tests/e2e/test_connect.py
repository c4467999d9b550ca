"""Flow 2: a client connects through the gateway."""

import asyncio
import json
from contextlib import AsyncExitStack

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedError, InvalidStatus

from devtools.ports import LOOPBACK
from tests.cluster import ClusterUnderTest
from tests.raw_client import raw_client
from tests.waiting import eventually


async def test_two_clients_sit_on_different_nodes_and_are_in_the_directory(
    cluster: ClusterUnderTest,
) -> None:
    async with (
        await cluster.gateway.connect("alice?device=phone&access_token=secret"),
        await cluster.gateway.connect("bob"),
    ):
        status, alice = await cluster.gateway.get("/api/users/alice")
        assert status == 200
        _, bob = await cluster.gateway.get("/api/users/bob")
        [home], [other] = alice["nodes"], bob["nodes"]
        assert home["nodeId"] != other["nodeId"]
        assert home["connections"] == 1
        assert home["addresses"] == [LOOPBACK]
        assert home["since"] > 1_600_000_000
        assert home["attributes"] == {"device": "phone"}
        assert "secret" not in json.dumps(alice)
        assert await every_user(cluster, limit=1) >= {"alice", "bob"}

    async def gone() -> bool:
        status, _ = await cluster.gateway.get("/api/users/alice")
        return status == 404

    await eventually(gone)


async def every_user(cluster: ClusterUnderTest, limit: int) -> set[str]:
    """Walk through the pages of `/api/users`."""
    users: set[str] = set()
    cursor = "0"
    while cursor is not None:
        status, page = await cluster.nodes[0].get(f"/api/users?limit={limit}&cursor={cursor}")
        assert status == 200
        users |= {user["userId"] for user in page["users"]}
        cursor = page["cursor"]
    return users


async def test_ping_is_answered_and_nonsense_ignored(cluster: ClusterUnderTest) -> None:
    async with await cluster.gateway.connect("alice") as client:
        for text in ("nonsense", "{", '{"type":"ack","id":"x"}', "ping"):
            await client.send(text)
        await client.send(b"\x00\xff")
        assert await client.recv() == "pong"
        await client.ping()


async def test_the_subprotocol_answers_resume_with_reset(cluster: ClusterUnderTest) -> None:
    async with await cluster.gateway.connect("alice", subprotocols=["x", "cluster.v1"]) as client:
        assert client.subprotocol == "cluster.v1"
        await client.send('{"type":"resume","token":"t"}')
        assert json.loads(await client.recv()) == {"type": "reset"}
        await client.send("ping")
        assert await client.recv() == "pong"


@pytest.mark.parametrize("user", ["", "a%2Fb", "%0d%0a", "x" * 129, "a%20b", "%ff", "ü"])
async def test_a_user_id_that_is_not_allowed_is_refused_after_the_handshake(
    cluster: ClusterUnderTest, user: str
) -> None:
    for program in (cluster.nodes[0], cluster.gateway):
        client = await connect(f"ws://{LOOPBACK}:{program.port}/websocket/{user}")
        with pytest.raises(ConnectionClosedError) as caught:
            await client.recv()
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == 4403


async def test_percent_encoded_ids_are_decoded(cluster: ClusterUnderTest) -> None:
    async with await cluster.gateway.connect("a%40b.c%2B1") as client:
        await cluster.nodes[1].push("hi", "a@b.c+1")
        assert await client.recv() == "hi"


async def test_other_paths_are_not_found(cluster: ClusterUnderTest) -> None:
    for program in (cluster.nodes[0], cluster.gateway):
        with pytest.raises(InvalidStatus) as caught:
            await connect(f"ws://{LOOPBACK}:{program.port}/elsewhere")
        assert caught.value.response.status_code == 404


async def test_discover_gives_a_url_that_serves(cluster: ClusterUnderTest) -> None:
    status, found = await cluster.gateway.get("/discover/carol")
    assert status == 200
    async with connect(found["url"]) as client:
        assert await client.recv() == "pong"
        _, carol = await cluster.gateway.get("/api/users/carol")
        assert [home["nodeId"] for home in carol["nodes"]] == [found["nodeId"]]


async def test_disconnect_closes_every_connection_everywhere(cluster: ClusterUnderTest) -> None:
    first, second = cluster.nodes
    clients = [await first.connect("alice"), await second.connect("alice")]
    async with await second.connect("bob") as bob:
        assert await cluster.gateway.delete("/api/users/alice") == 204
        for client in clients:
            await client.wait_closed()
            assert client.close_code == 4403
        await bob.send("ping")
        assert await bob.recv() == "pong"


@pytest.mark.shows("websocket.limits.max-connections")
async def test_a_full_node_sends_clients_elsewhere(cluster: ClusterUnderTest) -> None:
    await cluster.edit_nodes({"websocket": {"limits": {"max-connections": 2}}})
    clients = [await cluster.gateway.connect(f"user-{number}") for number in range(4)]
    # Without the gateway's mark, the client is accepted and told why.
    direct = await connect(f"ws://{LOOPBACK}:{cluster.nodes[0].port}/websocket/late")
    await direct.wait_closed()
    assert direct.close_code == 4429
    # All nodes are full: no node for the gateway.
    late = await connect(f"ws://{LOOPBACK}:{cluster.gateway.port}/websocket/late")
    await late.wait_closed()
    assert late.close_code == 4503
    await clients.pop().close()

    async def fits() -> bool:
        try:
            clients.append(await cluster.gateway.connect("late"))
        except ConnectionClosedError:
            return False
        return True

    await eventually(fits)
    await asyncio.gather(*(client.close() for client in clients))


async def test_a_crowd_that_comes_at_once_is_written_and_one_that_leaves_is_not_left_behind(
    cluster: ClusterUnderTest,
) -> None:
    users = {f"crowd-{number}" for number in range(300)}
    node = cluster.nodes[0]
    async with AsyncExitStack() as crowd:
        entered = [crowd.enter_async_context(raw_client(node.port, user)) for user in users]
        # Each has its `pong`, and hence is where every node can find it.
        await asyncio.gather(*entered)
        assert await every_user(cluster, limit=100) >= users
        assert await node.metric("websocket_connections") == len(users)

    async def all_gone() -> bool:
        return not users & await every_user(cluster, limit=100)

    await eventually(all_gone)
    assert await node.metric("websocket_connections") == 0

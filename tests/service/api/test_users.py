"""What can be asked and done about users, wherever they are."""

import pytest

from service.api.users import Users
from service.directory.foreign import ForeignNodes
from service.directory.redis_store import StoreError
from service.push.answers import PushesFailedError
from tests.service.cluster_in_memory import MemoryCluster, MemoryNode


def users_of(cluster: MemoryCluster, node: MemoryNode) -> Users:
    foreign = ForeignNodes(lambda: cluster.store, lambda: True)  # type: ignore[arg-type,return-value]  # held to the real one in tests/contract
    foreign.queues = ("websocket_node_java",)
    return Users(node.id, node.directory, node.broker, node.receiver, foreign)  # type: ignore[arg-type]  # the same


@pytest.fixture
async def users(cluster: MemoryCluster) -> Users:
    return users_of(cluster, cluster.nodes["a"])


async def test_a_user_is_described_with_every_node(cluster: MemoryCluster, users: Users) -> None:
    for node in cluster.nodes.values():
        await node.directory.write_homes({"x": b'{"connections":2,"since":1.5}'})
    assert await users.find("x") == {
        "userId": "x",
        "connections": 4,
        "nodes": [
            {"nodeId": "a", "connections": 2, "since": 1.5},
            {"nodeId": "b", "connections": 2, "since": 1.5},
        ],
    }
    assert await users.find("nobody") is None


async def test_pages_go_on_by_a_cursor_that_is_a_text(cluster: MemoryCluster, users: Users) -> None:
    for number in range(5):
        await cluster.nodes["b"].join(f"u{number}")
    found: set[str] = set()
    cursor, pages = "0", 0
    while cursor is not None:
        page = await users.page(int(cursor), 2)
        found.update(user["userId"] for user in page["users"])
        cursor = page["cursor"]
        assert cursor is None or isinstance(cursor, str)
        pages += 1
    assert found == {f"u{number}" for number in range(5)}
    assert pages > 2


async def test_disconnecting_closes_every_connection_on_every_node(
    cluster: MemoryCluster, users: Users
) -> None:
    a, b = cluster.nodes.values()
    gone = [await a.join("x"), await b.join("x"), await b.join("x")]
    stays = [await a.join("y"), await b.join("y")]
    await users.disconnect("x")
    assert all(socket.closed == [(4403, "disconnected by the API")] for socket in gone)
    assert not any(socket.closed for socket in stays)


async def test_a_node_that_is_gone_does_not_fail_a_disconnect(
    cluster: MemoryCluster, users: Users
) -> None:
    here = await cluster.nodes["a"].join("x")
    await cluster.nodes["b"].die()
    await users.disconnect("x")
    assert here.closed


async def test_without_the_broker_a_disconnect_says_how_far_it_came(
    cluster: MemoryCluster, users: Users
) -> None:
    here = await cluster.nodes["a"].join("x")
    cluster.rabbit.failing = True
    with pytest.raises(PushesFailedError, match="from this node only"):
        await users.disconnect("x")
    assert here.closed


async def test_nodes_are_listed_with_java_ones_marked(cluster: MemoryCluster, users: Users) -> None:
    listed = (await users.nodes())["nodes"]
    assert [(item["nodeId"], item["foreign"]) for item in listed] == [
        ("a", False),
        ("b", False),
        ("websocket_node_java", True),
    ]
    assert listed[0].keys() >= {"address", "startedAt", "connections", "mode", "configMd5"}


async def test_without_redis_nothing_is_guessed(cluster: MemoryCluster, users: Users) -> None:
    cluster.store.away = True
    for call in (users.find("x"), users.page(0, 10), users.nodes()):
        with pytest.raises(StoreError):
            await call

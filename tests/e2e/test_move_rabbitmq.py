"""RabbitMQ's address or account is edited in Nacos: the nodes move while everything goes on."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from devtools.ports import LOOPBACK, free_port
from devtools.rabbitmq import RabbitServer
from tests.cluster import ClusterUnderTest, Program
from tests.e2e.traffic import Traffic
from tests.waiting import eventually

MOVE_LIMIT = 40.0
"""Longer than HOLD and what else a move takes on a loaded machine."""


def edit(mode: str, **rabbitmq: Any) -> dict[str, Any]:
    return {"websocket": {"push": {"mode": mode}}, "spring": {"rabbitmq": rabbitmq}}


async def rabbit_details(node: Program) -> dict[str, Any]:
    _, health = await node.get("/actuator/health")
    return dict(health["components"]["rabbit"]["details"])


async def is_at(node: Program, port: int, host: str = LOOPBACK, name: str = "") -> bool:
    """Tell whether a node uses this broker, and nothing else any more; `name` is the vhost."""
    details = await rabbit_details(node)
    assert details == {"address": f"{host}:{port}{name}", "publishing": True, "consuming": True}
    return True


async def all_at(cluster: ClusterUnderTest, port: int, host: str = LOOPBACK) -> None:
    for node in cluster.nodes:
        await eventually(lambda node=node: is_at(node, port, host), limit=MOVE_LIMIT)


def queues_at(broker: RabbitServer) -> set[str]:
    """Give the queues of nodes, by what stands behind `websocket_node_`."""
    lines = broker.control("list_queues", "name").splitlines()
    return {line.removeprefix("websocket_node_") for line in lines if "websocket_node_" in line}


async def node_ids(cluster: ClusterUnderTest) -> list[str]:
    _, body = await cluster.gateway.get("/api/nodes")
    by_address = {item["address"]: item["nodeId"] for item in body["nodes"]}
    return [by_address[f"{LOOPBACK}:{node.port}"] for node in cluster.nodes]


@pytest.fixture
async def home(cluster: ClusterUnderTest) -> AsyncIterator[int]:
    """The port of the broker where the nodes are, and to which they return in the end."""
    port = cluster.servers.ports.rabbitmq
    yield port
    await cluster.edit_nodes({}, limit=30)
    await all_at(cluster, port)


@pytest.mark.shows("spring.rabbitmq.port")
async def test_nodes_move_to_another_broker_and_back_at_different_moments_and_lose_nothing(
    cluster: ClusterUnderTest, home: int, second_rabbitmq: RabbitServer
) -> None:
    first, second = cluster.nodes
    ids = await node_ids(cluster)
    away = second_rabbitmq.port
    await cluster.set_mode("fanout")
    async with Traffic(cluster) as traffic:
        await traffic.flows()

        # One node learns of it later: the other one goes on at the old broker till then.
        await asyncio.to_thread(second.child.pause)
        try:
            await cluster.edit_node(first, edit("fanout", port=away))

            async def waits() -> bool:
                details = await rabbit_details(first)
                moving_to = details.get("movingTo") == f"{LOOPBACK}:{away}"
                return moving_to and details.get("waitingFor") == [ids[1]]

            await eventually(waits, limit=10)
            await traffic.flows(sender=0)
            assert (await rabbit_details(first))["address"] == f"{LOOPBACK}:{home}"
            # One that starts meanwhile waits, too, before it takes anybody.
            third = cluster.spawn("service")
            said = "waiting until the other nodes have moved to the same RabbitMQ"
            await eventually(lambda: said in third.child.output(), limit=30)
            assert not await third.ready()
        finally:
            await asyncio.to_thread(second.child.resume)
        await eventually(third.ready, limit=MOVE_LIMIT)
        await all_at(cluster, away)
        await eventually(lambda: is_at(third, away), limit=MOVE_LIMIT)
        async with await third.connect("newcomer") as newcomer:
            await first.push("welcome", "newcomer")
            # Behind what goes to everybody meanwhile.
            async with asyncio.timeout(5):
                while await newcomer.recv() != "welcome":
                    pass
        await asyncio.to_thread(third.child.stop)
        await traffic.flows()
        assert not {name[:32] for name in queues_at(cluster.servers.rabbitmq)} & set(ids)
        assert {name[:32] for name in queues_at(second_rabbitmq)} == set(ids)

        await cluster.edit_nodes(edit("routed", port=away))
        await cluster.settled()
        await traffic.flows()
        await cluster.edit_nodes(edit("routed"))
        await all_at(cluster, home)
        assert not queues_at(second_rabbitmq)
        await asyncio.to_thread(second_rabbitmq.kill)
        await traffic.flows()
        for node in cluster.nodes:
            assert await node.ready()
        assert await traffic.end() > 200


@pytest.mark.shows("spring.rabbitmq.host", "spring.rabbitmq.username", "spring.rabbitmq.password")
async def test_another_account_or_name_of_the_same_broker_is_taken_over_at_once(
    cluster: ClusterUnderTest, home: int
) -> None:
    broker = cluster.servers.rabbitmq
    await asyncio.to_thread(broker.control, "add_user", "e2e", "another")
    await asyncio.to_thread(broker.control, "set_permissions", "e2e", ".*", ".*", ".*")
    ids = await node_ids(cluster)

    def connected() -> set[str]:
        return set(broker.control("list_connections", "user").split())

    async with Traffic(cluster) as traffic:
        await traffic.flows()
        await cluster.edit_nodes(edit("fanout", username="e2e", password="another"))
        await eventually(lambda: asyncio.to_thread(lambda: "e2e" in connected()), limit=20)
        await all_at(cluster, home)
        await traffic.flows()
        # One queue per node, as before; the account of before could be deleted now.
        assert queues_at(broker) >= set(ids)
        assert {name[:32] for name in queues_at(broker)} == queues_at(broker)
        await cluster.edit_nodes(edit("fanout", host="localhost"))
        await all_at(cluster, home, "localhost")
        await traffic.flows()
        await cluster.edit_nodes(edit("routed"))
        await all_at(cluster, home)
        await traffic.flows()
        assert await traffic.end() > 100
    await asyncio.to_thread(broker.control, "delete_user", "e2e")
    await all_at(cluster, home)


async def test_a_move_that_cannot_be_is_explained_and_changes_nothing(
    cluster: ClusterUnderTest, home: int
) -> None:
    wrong = free_port()
    node = cluster.nodes[0]
    async with Traffic(cluster) as traffic:
        for bad, words in (
            ({"port": wrong}, (f"{LOOPBACK}:{wrong}", "spring.rabbitmq.host")),
            ({"password": "not this"}, ("'guest'", "spring.rabbitmq.password")),
        ):
            await cluster.edit_nodes(edit("fanout", **bad))

            async def explained(words: tuple[str, ...] = words) -> bool:
                details = await rabbit_details(node)
                return all(word in details.get("error", "") for word in words)

            await eventually(explained, limit=10)
            details = await rabbit_details(node)
            assert details["movingTo"] == f"{LOOPBACK}:{bad.get('port', home)}"
            assert details["address"] == f"{LOOPBACK}:{home}"
            assert await node.ready()
            await traffic.flows()
            said = [
                line
                for line in node.child.output().splitlines()
                if "everything stays" in line and all(word in line for word in words)
            ]
            assert len(said) == 1
        await cluster.edit_nodes(edit("fanout"))
        await all_at(cluster, home)
        await traffic.end()
    assert "not this" not in node.child.output()


@pytest.mark.shows("spring.rabbitmq.virtual-host", "websocket.handover.limit")
async def test_a_node_that_cannot_follow_is_waited_for_up_to_the_limit(
    cluster: ClusterUnderTest, home: int
) -> None:
    broker = cluster.servers.rabbitmq
    await asyncio.to_thread(broker.control, "add_vhost", "other")
    await asyncio.to_thread(
        broker.control, "set_permissions", "-p", "other", "guest", ".*", ".*", ".*"
    )
    # What its environment pins, an edit in Nacos does not change.
    pinned = await cluster.add_node(SPRING_RABBITMQ_VIRTUALHOST="/")
    node = cluster.nodes[0]

    async def uses(address: str) -> bool:
        return bool((await rabbit_details(node))["address"] == address)

    async def move(name: str, limit: str) -> None:
        handover = {"websocket": {"handover": {"limit": limit}}}
        await cluster.edit_nodes({**edit("fanout", **{"virtual-host": name}), **handover})

    await move("other", "1m")

    async def waits() -> bool:
        details = await rabbit_details(node)
        return len(details.get("waitingFor", [])) == 1 and details["movingTo"].endswith("/other")

    await eventually(waits, limit=10)
    assert await uses(f"{LOOPBACK}:{home}")
    # The limit is live in the middle of a move.
    await move("other", "1s")
    await eventually(lambda: uses(f"{LOOPBACK}:{home}/other"), limit=10)
    await asyncio.to_thread(pinned.child.stop)
    await node.push("through the other one")
    for other in cluster.nodes:
        await eventually(lambda other=other: is_at(other, home, name="/other"), limit=MOVE_LIMIT)
    listed = await asyncio.to_thread(broker.control, "list_queues", "-p", "other", "name")
    assert all(identity in listed for identity in await node_ids(cluster))

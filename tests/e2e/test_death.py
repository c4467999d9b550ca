"""A node is killed: its clients move, its queue and record go, pushes go on."""

import asyncio

import aio_pika
import pytest
import redis.asyncio as redis

from devtools.ports import LOOPBACK
from tests.cluster import TTL, ClusterUnderTest, Program
from tests.waiting import eventually


async def node_id_of(cluster: ClusterUnderTest, node: Program) -> str:
    _, body = await cluster.gateway.get("/api/nodes")
    address = f"{LOOPBACK}:{node.port}"
    return next(str(item["nodeId"]) for item in body["nodes"] if item["address"] == address)


async def test_after_kill_9_clients_move_and_nothing_of_the_node_stays(
    cluster: ClusterUnderTest, mode: str
) -> None:
    victim = await cluster.add_node()
    await cluster.settled()
    victim_id = await node_id_of(cluster, victim)
    clients = [await victim.connect(f"user-{number}") for number in range(3)]
    async with await cluster.nodes[0].connect("stayer") as stayer:
        await asyncio.to_thread(victim.child.kill)
        for client in clients:
            await client.wait_closed()
        moved = [await cluster.gateway.connect(f"user-{number}") for number in range(3)]
        answer = await cluster.nodes[1].push("found you", "stayer", "user-0", "user-1", "user-2")
        assert answer["offline"] == (None if mode == "fanout" else [])
        for client in (stayer, *moved):
            assert await client.recv() == "found you"

        connection = await aio_pika.connect(host=LOOPBACK, port=cluster.servers.ports.rabbitmq)
        async with connection:

            async def queue_is_gone() -> bool:
                channel = await connection.channel()
                try:
                    await channel.get_queue(f"websocket_node_{victim_id}")
                except aio_pika.exceptions.ChannelNotFoundEntity:
                    return True
                return False

            await eventually(queue_is_gone)
        store = redis.Redis(port=cluster.servers.ports.redis)

        async def record_is_gone() -> bool:
            return not await store.exists(f"websocket:node:{victim_id}")

        await eventually(record_is_gone, limit=TTL + 2)
        await store.aclose()
        await cluster.nodes[0].push("after", "user-0")
        assert await moved[0].recv() == "after"
        await asyncio.gather(*(client.close() for client in moved))


async def test_a_home_that_died_unnoticed_is_noticed_by_the_push(cluster: ClusterUnderTest) -> None:
    await cluster.set_mode("routed")
    victim = await cluster.add_node()
    await cluster.settled()
    first, second = cluster.nodes
    ghost = await victim.connect("ghost")
    mover = await victim.connect("mover")
    async with await second.connect("mover") as movers_other:
        # Gone without a word: its record and its users' entries are still there.
        await asyncio.to_thread(victim.child.kill)
        await ghost.wait_closed()
        await mover.wait_closed()
        before = await first.metric("websocket_pushes_retried_total")
        pushing = asyncio.create_task(first.push("to you", "ghost", "mover"))

        async def retried() -> bool:
            return await first.metric("websocket_pushes_retried_total") > before

        await eventually(retried)
        answer = await pushing
        assert answer["offline"] == ["ghost"]
        assert await movers_other.recv() == "to you"
        # The next one is for the living only, and comes once.
        await first.push("next", "mover")
        assert await movers_other.recv() == "next"


async def test_a_push_follows_a_user_who_comes_back_elsewhere(cluster: ClusterUnderTest) -> None:
    await cluster.set_mode("routed")
    victim = await cluster.add_node()
    await cluster.settled()
    first, second = cluster.nodes
    client = await victim.connect("walker")
    await asyncio.to_thread(victim.child.kill)
    await client.wait_closed()
    before = await first.metric("websocket_pushes_retried_total")
    pushing = asyncio.create_task(first.push("wait for me", "walker"))

    async def retried() -> bool:
        return await first.metric("websocket_pushes_retried_total") > before

    await eventually(retried, interval=0.005)
    async with await second.connect("walker") as back:
        assert await back.recv() == "wait for me"
        assert (await pushing)["offline"] == []


@pytest.mark.parametrize("server", ["redis", "rabbitmq"])
async def test_a_restarted_server_is_recovered_from(cluster: ClusterUnderTest, server: str) -> None:
    await cluster.set_mode("routed")
    first, second = cluster.nodes
    child = getattr(cluster.servers, server)
    async with await first.connect("alice") as alice, await second.connect("bob") as bob:
        await asyncio.to_thread(child.kill)

        async def unready() -> bool:
            return not await first.ready() and not await second.ready()

        await eventually(unready, limit=15)
        if server == "redis":
            # Not known is not offline: the push goes to every node.
            answer = await first.push("by fanout", "alice", "bob")
            assert (answer["mode"], answer["offline"]) == ("fanout", None)
            assert [await alice.recv(), await bob.recv()] == ["by fanout"] * 2
        else:
            status, problem = await first.post("/api/push", {"content": 1, "allUser": True})
            assert (status, problem["status"]) == (503, 503)
        await asyncio.to_thread(child.start)
        for node in cluster.nodes:
            await eventually(node.ready, limit=30)
        await cluster.settled()
        # Redis has lost everything; the nodes have written it again.
        answer = await first.push("again", "alice", "bob", "nobody")
        assert (answer["mode"], answer["offline"]) == ("routed", ["nobody"])
        assert [await alice.recv(), await bob.recv()] == ["again"] * 2

"""Flows 3, 4 and 5: one user, a batch, everyone, in both modes."""

import asyncio
import json

import aio_pika
import pytest

from tests.cluster import ClusterUnderTest
from tests.waiting import eventually

FANOUT = "web_socket_exchange"
DIRECT = "web_socket_exchange.direct"


async def test_one_to_one_from_every_node_and_the_gateway(
    cluster: ClusterUnderTest, mode: str
) -> None:
    first, second = cluster.nodes
    async with await first.connect("alice") as alice:
        for sender in (first, second, cluster.gateway):
            answer = await sender.push({"from": sender.port}, "alice")
            assert answer["mode"] == mode
            assert answer["targets"] == 1
            assert answer["offline"] == (None if mode == "fanout" else [])
            assert json.loads(await alice.recv()) == {"from": sender.port}


async def test_a_batch_of_users_on_different_nodes(cluster: ClusterUnderTest, mode: str) -> None:
    first, second = cluster.nodes
    async with await first.connect("alice") as alice, await second.connect("bob") as bob:
        answer = await first.push("hello", "alice", "bob", "nobody", "alice")
        assert answer["targets"] == 3
        assert answer["offline"] == (None if mode == "fanout" else ["nobody"])
        assert await alice.recv() == "hello"
        assert await bob.recv() == "hello"
        # A repeated target gets it once: what comes next is the next push.
        await second.push("again", "alice")
        assert await alice.recv() == "again"


async def test_everyone(cluster: ClusterUnderTest, mode: str) -> None:
    assert mode
    first, second = cluster.nodes
    async with (
        await first.connect("alice") as alice,
        await second.connect("bob") as bob,
        await second.connect("bob", subprotocols=["cluster.v1"]) as bobs_other,
    ):
        answer = await cluster.gateway.push([1, None, "x"])
        assert answer["targets"] is None
        assert answer["mode"] == "fanout"
        assert json.loads(await alice.recv()) == [1, None, "x"]
        assert json.loads(await bob.recv()) == [1, None, "x"]
        assert json.loads(await bobs_other.recv()) == {
            "type": "message",
            "id": answer["id"],
            "token": None,
            "content": [1, None, "x"],
        }


async def test_every_connection_of_a_user_on_any_node_gets_it(
    cluster: ClusterUnderTest, mode: str
) -> None:
    assert mode
    first, second = cluster.nodes
    clients = [
        await first.connect("alice"),
        await first.connect("alice"),
        await second.connect("alice"),
    ]
    await first.push("all of you", "alice")
    assert [await client.recv() for client in clients] == ["all of you"] * 3
    # Closing one never touches the others' records.
    await clients[0].close()
    await first.push("the rest", "alice")
    assert [await client.recv() for client in clients[1:]] == ["the rest"] * 2
    for client in clients[1:]:
        await client.close()


async def test_pushes_of_a_batch_arrive_in_order(cluster: ClusterUnderTest, mode: str) -> None:
    assert mode
    first, second = cluster.nodes
    async with await first.connect("alice") as alice, await second.connect("bob") as bob:
        items = [
            {"content": number, "allUser": True}
            if number % 7 == 0
            else {"content": number, "targetUserList": ["alice", "bob"]}
            for number in range(200)
        ]
        body = "\n".join(json.dumps(item) for item in items)
        status, answer = await second.post("/api/push/batch", body)
        assert (status, answer["accepted"]) == (202, 200)
        for client in (alice, bob):
            assert [int(await client.recv()) for _ in items] == list(range(200))


async def test_bad_items_of_a_batch_do_not_cost_the_good_ones(cluster: ClusterUnderTest) -> None:
    first, second = cluster.nodes
    async with await second.connect("alice") as alice:
        status, answer = await first.post(
            "/api/push/batch",
            [
                {"content": "good", "targetUserList": ["alice"]},
                {"targetUserList": ["alice"]},
                {"content": "no target"},
                {"content": "both", "allUser": True, "targetUserList": ["alice"]},
                {"content": "bad id", "targetUserList": ["a/b"]},
                {"content": "also good", "targetUserList": [{"userId": "alice"}]},
            ],
        )
        assert (status, answer["accepted"]) == (202, 2)
        assert ["error" in item for item in answer["results"]] == [False, *[True] * 4, False]
        assert await alice.recv() == "good"
        assert await alice.recv() == "also good"


async def test_routed_pushes_reach_only_the_nodes_that_hold_a_target(
    cluster: ClusterUnderTest,
) -> None:
    await cluster.set_mode("routed")
    third = await cluster.add_node()
    first, second = cluster.nodes
    await cluster.settled()

    async def consumed() -> list[float]:
        return [
            await node.metric("websocket_messages_consumed_total", exchange=exchange)
            for node in (first, second, third)
            for exchange in (FANOUT, DIRECT)
        ]

    async with await second.connect("alice") as alice:
        before = await consumed()
        for number in range(10):
            answer = await first.push(number, "alice")
            assert (answer["mode"], answer["offline"]) == ("routed", [])
            assert await alice.recv() == str(number)
        after = await consumed()
    grown = [now - then for now, then in zip(after, before, strict=True)]
    # first: nothing; second: ten through the direct exchange; third: nothing.
    assert grown == [0, 0, 0, 10, 0, 0]


@pytest.mark.parametrize(
    ("body", "received"),
    [
        (b'{"content": "plain", "allUser": false, "targetUserList": ["alice"]}', "plain"),
        (b'{"content": {"a":1}, "targetUserList": [{"id": "alice"}], "more": 1}', '{"a":1}'),
        (b'{"allUser":true,"content":"from Java"}', "from Java"),
    ],
)
async def test_a_foreign_publisher_is_served_like_any_push(
    cluster: ClusterUnderTest, body: bytes, received: str
) -> None:
    async with await cluster.nodes[0].connect("alice") as alice:
        await publish(cluster, body, content_type="application/octet-stream")
        assert await alice.recv() == received


async def test_poison_is_set_aside_with_the_reason_and_blocks_nothing(
    cluster: ClusterUnderTest,
) -> None:
    poison = [
        b"no json",
        b"[]",
        b"null",
        b'{"content": 1}',
        b'{"content": 1, "targetUserList": []}',
    ]
    async with await cluster.nodes[0].connect("alice") as alice:
        before = await cluster.nodes[0].metric("websocket_messages_poisoned_total", exchange=FANOUT)
        for body in poison:
            await publish(cluster, body)
        await cluster.nodes[1].push("still here", "alice")
        assert await alice.recv() == "still here"
        after = await cluster.nodes[0].metric("websocket_messages_poisoned_total", exchange=FANOUT)
        assert after - before == len(poison)
    dead = await take_dead(cluster, len(poison) * len(cluster.nodes))
    assert {message.body for message in dead} == set(poison)
    assert all(message.headers["x-exchange"] == FANOUT for message in dead)
    assert all(message.headers["x-reason"] for message in dead)


@pytest.mark.parametrize("start", ["fanout", "routed"])
async def test_no_message_is_lost_while_the_mode_switches_under_load(
    cluster: ClusterUnderTest, start: str
) -> None:
    await cluster.set_mode(start)
    other = "routed" if start == "fanout" else "fanout"
    first, second = cluster.nodes
    users = [f"user-{number}" for number in range(20)]
    clients = [
        await (first if number % 2 else second).connect(user) for number, user in enumerate(users)
    ]
    sent = 0
    modes: set[str] = set()
    switching = asyncio.create_task(cluster.set_mode(other))
    while not (switching.done() and other in modes):
        answer = await (first, second, cluster.gateway)[sent % 3].push(sent, *users)
        assert answer["offline"] in (None, [])
        modes.add(answer["mode"])
        sent += 1
    await switching
    assert modes == {"fanout", "routed"}
    for client in clients:
        received = [int(await client.recv()) for _ in range(sent)]
        assert sorted(received) == list(range(sent))
        await client.close()


async def publish(cluster: ClusterUnderTest, body: bytes, **properties: str) -> None:
    """Publish as any AMQP client may."""
    async with await amqp(cluster) as connection:
        channel = await connection.channel()
        exchange = await channel.get_exchange(FANOUT)
        await exchange.publish(aio_pika.Message(body, **properties), routing_key="")  # type: ignore[arg-type]


async def take_dead(
    cluster: ClusterUnderTest, count: int
) -> list[aio_pika.abc.AbstractIncomingMessage]:
    """Take messages out of the dead queue."""
    taken: list[aio_pika.abc.AbstractIncomingMessage] = []
    async with await amqp(cluster) as connection:
        channel = await connection.channel()
        queue = await channel.get_queue("web_socket_exchange.dead")

        async def take() -> bool:
            message = await queue.get(no_ack=True, fail=False)
            if message is not None:
                taken.append(message)
            return len(taken) == count

        await eventually(take)
    return taken


async def amqp(cluster: ClusterUnderTest) -> aio_pika.abc.AbstractConnection:
    return await aio_pika.connect(host="127.0.0.1", port=cluster.servers.ports.rabbitmq)

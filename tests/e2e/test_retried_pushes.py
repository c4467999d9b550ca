"""A push that failed, and is sent again with its Idempotency-Key: one push, wherever it got to."""

import asyncio
import uuid
from collections import Counter
from typing import Any

import pytest
import redis.asyncio as redis
from websockets.asyncio.client import ClientConnection

from service.push.idempotency_keys import name_of
from tests.cluster import ClusterUnderTest, Program
from tests.e2e.test_broker_blip import node, proxy
from tests.e2e.test_idempotency import send, to
from tests.e2e.v1_client import V1Client
from tests.service.tcp_proxy import TcpProxy
from tests.waiting import eventually

__all__ = ["node", "proxy"]

Request = tuple[str, Any, str]


async def use(cluster: ClusterUnderTest, node: Program, mode: str, *, history: bool) -> None:
    changes = {"websocket": {"history": {"enabled": history}, "push": {"mode": mode}}}
    await cluster.edit_nodes(changes)
    await cluster.edit_node(node, changes)
    await cluster.settled()


async def fail(node: Program, proxy: TcpProxy, requests: list[Request]) -> None:
    """Have RabbitMQ take pushes, and its confirms not come."""
    proxy.hang()
    for _ in range(2):
        answers = await asyncio.gather(*(send(node, *request) for request in requests))
        assert [status for status, _, _ in answers] == [503] * len(requests)


async def heal(node: Program, proxy: TcpProxy) -> None:
    proxy.flow()
    await eventually(node.ready, limit=30)


async def has(client: V1Client, contents: list[str]) -> None:
    await eventually(lambda: Counter(client.contents) == Counter(contents), limit=15)


def id_of(client: V1Client, content: str) -> str:
    [found] = {frame["id"] for frame in client.frames if frame.get("content") == content}
    return str(found)


async def tries_noted(cluster: ClusterUnderTest, requests: list[Request]) -> int:
    async with redis.Redis(port=cluster.servers.ports.redis) as store:
        names = [name_of("", request[0].encode()) for request in requests]
        found = [await store.keys(f"websocket:idempotency:{name}:*") for name in names]
    return sum(map(len, found))


@pytest.mark.parametrize("mode", ["fanout", "routed"])
async def test_with_history_every_client_gets_it_once(
    cluster: ClusterUnderTest, proxy: TcpProxy, node: Program, mode: str
) -> None:
    first, second = cluster.nodes
    await use(cluster, node, mode, history=True)
    user = uuid.uuid4().hex
    clients = [V1Client(user), V1Client(user)]
    raws: list[ClientConnection] = []
    for client, place in zip(clients, (second, node), strict=True):
        await client.connect(place)
        raws.append(await place.connect(user))
    await first.push("before", user)
    requests: list[Request] = [
        (uuid.uuid4().hex, to("one", user), "/api/push"),
        (uuid.uuid4().hex, [to("two", user), to("three", user)], "/api/push/batch"),
        (uuid.uuid4().hex, {"content": "all", "allUser": True}, "/api/push"),
    ]
    await fail(node, proxy, requests)
    # What comes next shows that something is missing, and all of it is fetched: it is delivered.
    await first.push("then", user)
    await first.push("then all")
    seen = ["before", "one", "two", "three", "all", "then", "then all"]
    await has(clients[0], seen)
    assert await tries_noted(cluster, requests) == 3
    # Elsewhere while RabbitMQ still hangs for that node, and there when it does no more.
    elsewhere, *later = requests
    status, answer, replayed = await send(first, *elsewhere)
    assert (status, replayed) == (202, False)
    assert answer["id"] == id_of(clients[0], "one")
    await heal(node, proxy)
    for request in later:
        status, answer, replayed = await send(node, *request)
        assert (status, replayed) == (202, False)
    assert answer["id"] == id_of(clients[0], "all")
    for request in requests:
        status, _, replayed = await send(second, *request)
        assert (status, replayed) == (202, True)

    for place in (first, node):
        await place.push("end", user)
        await place.push("end all")
    expected = [*seen, "end", "end", "end all", "end all"]
    for client in clients:
        await has(client, expected)
        assert client.repeats == 0
    of_user = [content for content in clients[0].contents if "all" not in content]
    for raw in raws:
        got = [await asyncio.wait_for(raw.recv(), 15) for _ in expected]
        assert [content for content in got if "all" not in content] == of_user
        assert [content for content in got if "all" in content] == [
            content for content in expected if "all" in content
        ]
        await raw.send("ping")
        assert await raw.recv() == "pong"
        await raw.close()
    for client in clients:
        assert Counter(client.contents) == Counter(expected)
        await client.close()
    assert await tries_noted(cluster, requests) == 0


async def test_without_history_it_has_the_same_id_each_time(
    cluster: ClusterUnderTest, proxy: TcpProxy, node: Program
) -> None:
    first, second = cluster.nodes
    await use(cluster, node, "routed", history=False)
    client = V1Client(uuid.uuid4().hex)
    await client.connect(second)
    request: Request = (uuid.uuid4().hex, to("one", client.user), "/api/push")
    await fail(node, proxy, [request])
    status, answer, replayed = await send(first, *request)
    assert (status, replayed) == (202, False)
    await heal(node, proxy)
    await node.push("end", client.user)
    await client.gets("one", "end")
    await client.close()
    # RabbitMQ had what was sent first, and hands it out when the node is heard again.
    assert set(client.ids()[:-1]) == {answer["id"]}

"""At least once: what clients of cluster.v1 get when they come back, and what nobody loses."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from typing import Any

import aio_pika
import pytest
import redis.asyncio as redis

from devtools.ports import LOOPBACK
from devtools.redis import RedisServer
from tests.cluster import NODE_DOCUMENT, ClusterUnderTest, Program, merged
from tests.e2e.test_move_redis import move
from tests.e2e.v1_client import V1Client
from tests.waiting import eventually

_users = itertools.count(1)


def new_user() -> str:
    return f"returning-{next(_users)}"


def history(**settings: Any) -> dict[str, Any]:
    return {"history": {"enabled": True, **settings}}


@pytest.fixture(params=["fanout", "routed"])
async def on(request: pytest.FixtureRequest, cluster: ClusterUnderTest) -> ClusterUnderTest:
    """The cluster with its history on, in each mode."""
    await cluster.edit_nodes({"websocket": {**history(), "push": {"mode": request.param}}})
    await cluster.settled()
    return cluster


@pytest.fixture
async def on_once(cluster: ClusterUnderTest) -> ClusterUnderTest:
    """The cluster with its history on."""
    await cluster.edit_nodes({"websocket": {**history(), "push": {"mode": "routed"}}})
    await cluster.settled()
    return cluster


@pytest.fixture
async def store(cluster: ClusterUnderTest) -> AsyncIterator[redis.Redis]:
    client = redis.Redis(port=cluster.servers.ports.redis, decode_responses=True)
    yield client
    await client.aclose()


async def test_who_comes_back_through_another_node_gets_what_it_has_missed(
    on: ClusterUnderTest,
) -> None:
    first, second = on.nodes
    client = V1Client(new_user())
    answer = await client.connect(first)
    assert answer["type"] == "resumed"
    await first.push("one", client.user)
    await second.push("two", client.user)
    await second.push("to all")
    await client.gets("one", "two", "to all")
    await client.close()

    for number in range(60):
        await on.nodes[number % 2].push(number, client.user)
    await first.push("all again")
    await second.push("and again")
    assert (await client.connect(second))["type"] == "resumed"
    await client.gets(*range(60), "all again", "and again")
    await first.push("live", client.user)
    await client.gets("live")
    await client.close()
    await first.push("missed", client.user)

    # Without a round trip; twice with the same token.
    token = client.token
    assert (await client.connect(first, by_query=True))["type"] == "resumed"
    await client.gets("missed")
    await client.close()
    client.token = token
    assert (await client.connect(on.gateway))["type"] == "resumed"
    await second.push("end", client.user)
    await client.gets("end")
    assert client.repeats == 1
    # In the middle of its life, with an old token.
    await client.resume(token)
    assert client.repeats == 3
    await client.close()
    _, found = await first.get("/api/nodes")
    assert "resume" not in json.dumps(found)


async def test_users_who_were_offline_get_what_is_kept_for_them(on_once: ClusterUnderTest) -> None:
    first, second = on_once.nodes
    raw_user, client = new_user(), V1Client(new_user())
    for number in range(3):
        await keep(on_once.nodes[number % 2], number, raw_user, client.user)
        await first.push("not kept", raw_user, client.user)

    # The default form: right behind the first pong, and once it is written it is done with.
    async with await second.connect(raw_user) as raw:
        assert [json.loads(await raw.recv()) for _ in range(3)] == [0, 1, 2]
        await keep(second, "live", raw_user)
        assert await raw.recv() == "live"
    store = redis.Redis(port=on_once.servers.ports.redis)
    await eventually(lambda: gone(store, raw_user))
    async with await first.connect(raw_user) as raw:
        await raw.send("ping")
        assert await raw.recv() == "pong"

    # cluster.v1: until it is acknowledged.
    assert (await client.connect(first))["type"] == "resumed"
    await client.gets(0, 1, 2)
    ids = client.ids()
    await client.send({"type": "ack", "id": ids[0]})
    await eventually(lambda: left(store, client.user, 2))
    await client.close()
    client.token = None
    await client.connect(second)
    assert client.ids()[3:] == ids[1:]
    assert client.repeats == 2
    for push_id in ids[1:]:
        await client.send({"type": "ack", "id": push_id})
    await eventually(lambda: gone(store, client.user))
    await client.close()
    # With a token: what lies before it and was not acknowledged, too.
    await client.connect(first)
    await keep(first, "kept", client.user)
    await client.gets("kept")
    await client.close()
    await client.connect(second)
    assert client.repeats == 3
    await client.send({"type": "ack", "id": client.ids()[-1]})
    await eventually(lambda: gone(store, client.user))
    await client.close()
    await store.aclose()

    status, problem = await first.post(
        "/api/push", {"content": 1, "allUser": True, "keepForOffline": True}
    )
    assert (status, problem["errors"][0]["field"]) == (400, "keepForOffline")


async def keep(node: Program, content: Any, *users: str) -> None:
    body = {"content": content, "targetUserList": users, "keepForOffline": True}
    status, answer = await node.post("/api/push", body)
    assert status == 202, answer


async def left(store: redis.Redis, user: str, count: int) -> bool:
    return bool(await store.hlen(f"websocket:history:kept:{user}") == count)


async def gone(store: redis.Redis, user: str) -> bool:
    return await left(store, user, 0)


async def test_a_reset_where_what_was_missed_is_not_known(
    on_once: ClusterUnderTest, store: redis.Redis
) -> None:
    first, second = on_once.nodes
    client = V1Client(new_user())
    await client.connect(first)
    await first.push("seen", client.user)
    await client.gets("seen")
    await client.close()
    token = client.token
    assert token is not None
    for number in range(5):
        await first.push(number, client.user)

    resets = await resets_of(second)
    # No token, one of another data set, one that is ahead of the stream.
    ahead = f"{token[:-1]}9"
    for wrong in ("", "no token", "0" * 52, f"{token[:12]}{'f' * 40}", ahead):
        client.token = wrong
        assert (await client.connect(second))["type"] == "reset", wrong
        await client.close()
    # A type that a token never has, then the right one in the same life.
    client.token = token
    await client.connect(second, resume=False)
    await client.send({"type": "resume", "token": 7})
    assert (await client.answer(len(client.frames)))["type"] == "reset"
    assert (await client.resume(token))["type"] == "resumed"
    await client.gets(*range(5))
    await client.close()
    assert await resets_of(second) == resets + 6

    # Trimmed past: 1 to 3 of what was missed are gone.
    key = f"websocket:history:user:{client.user}"
    fifth = (await store.xrange(key))[4][0]
    await store.xtrim(key, minid=fifth, approximate=False)
    client.token = token
    answer = await client.connect(first)
    assert answer["type"] == "reset"
    # From here on it goes on.
    await client.close()
    await second.push("after", client.user)
    assert client.token == answer["token"]
    assert (await client.connect(second))["type"] == "resumed"
    await client.gets("after")
    await client.close()


async def resets_of(node: Program) -> float:
    return await node.metric("websocket_history_resumes_total", outcome="reset")


async def test_two_nodes_that_accept_at_once_keep_the_order_of_the_streams(
    on: ClusterUnderTest,
) -> None:
    first, second = on.nodes
    clients = [V1Client(new_user()) for _ in range(4)]
    for number, client in enumerate(clients):
        await client.connect(on.nodes[number % 2])
    raw_user = clients[0].user
    raws = [await node.connect(raw_user) for node in on.nodes]
    everyone = [client.user for client in clients]

    async def send(node: Program, name: str) -> None:
        for batch in range(15):
            items = [
                {"content": f"{name}{batch}.{number}", "targetUserList": everyone}
                for number in range(10)
            ]
            items.append({"content": f"{name}{batch}.all", "allUser": True})  # type: ignore[dict-item]  # another shape
            status, answer = await node.post("/api/push/batch", items)
            assert (status, answer["accepted"]) == (202, 11)

    await asyncio.gather(send(first, "a"), send(second, "b"))
    total = 2 * 15 * 11
    for client in clients:
        await eventually(lambda client=client: len(client.contents) == total)
        assert client.repeats == 0
        assert positions(client) == sorted(positions(client))
        # Of each node, in the order of its acceptance.
        for name in ("a", "b"):
            own = [text for text in client.contents if text[0] == name and "all" not in text]
            assert own == [f"{name}{b}.{n}" for b in range(15) for n in range(10)]
    assert len({tuple(t for t in c.contents if "all" not in t) for c in clients}) >= 1
    for raw in raws:
        got = [await raw.recv() for _ in range(total)]
        own = [text for text in clients[0].contents if "all" not in text]
        assert [text for text in got if "all" not in text] == own
        await raw.close()
    for client in clients:
        await client.close()


def positions(client: V1Client) -> list[tuple[str, str]]:
    """Give where the client was at each message, in either stream; a token never goes back."""
    tokens = [frame["token"] for frame in client.frames if frame["type"] == "message"]
    return [(token[12:32], token[32:]) for token in tokens]


async def test_nobody_misses_what_went_with_a_queue_deleted_by_hand(
    on: ClusterUnderTest,
) -> None:
    first, second = on.nodes
    client, raw_user = V1Client(new_user()), new_user()
    await client.connect(second)
    raw = await second.connect(raw_user)
    _, body = await first.get("/api/nodes")
    address = f"{LOOPBACK}:{second.port}"
    node_id = next(item["nodeId"] for item in body["nodes"] if item["address"] == address)
    accepted: list[int] = []
    pushing = True

    async def push() -> None:
        for number in itertools.count():
            if not pushing:
                return
            body = {"content": number, "targetUserList": [client.user, raw_user]}
            status, _ = await first.post("/api/push", body)
            if status == 202:
                accepted.append(number)

    task = asyncio.create_task(push())
    port = on.servers.ports.rabbitmq
    async with await aio_pika.connect(host=LOOPBACK, port=port) as connection:
        for _ in range(3):
            await asyncio.sleep(0.4)
            channel = await connection.channel()
            await channel.queue_delete(f"websocket_node_{node_id}")
    await asyncio.sleep(0.5)
    pushing = False
    await task
    await eventually(lambda: set(client.contents) >= set(accepted), limit=15)
    assert client.contents == sorted(client.contents)
    assert client.repeats == 0
    got: list[int] = []
    while not got or got[-1] < accepted[-1]:
        got.append(json.loads(await asyncio.wait_for(raw.recv(), 10)))
    assert got == sorted(set(got))
    assert set(accepted) <= set(got)
    await client.close()
    await raw.close()


async def test_a_redis_that_was_away_and_one_that_has_lost_its_data(
    on_once: ClusterUnderTest,
) -> None:
    first, second = on_once.nodes
    stayer, leaver = V1Client(new_user()), V1Client(new_user())
    await stayer.connect(second)
    await leaver.connect(first)
    await first.push("before", stayer.user, leaver.user)
    await stayer.gets("before")
    await leaver.gets("before")
    await leaver.close()
    held = V1Client(new_user())
    raw_user = new_user()
    await asyncio.to_thread(on_once.servers.redis.kill)
    try:
        # At least once cannot be promised now.
        for node in on_once.nodes:
            status, problem = await node.post(
                "/api/push", {"content": "x", "targetUserList": [stayer.user]}
            )
            assert (status, "Redis" in problem["detail"]) == (503, True)
        # Who does not resume is let in all the same; who does, waits.
        waiting = asyncio.create_task(held.connect(first))
        async with await first.connect(raw_user) as raw:
            await raw.send("ping")
            assert await raw.recv() == "pong"
        await asyncio.sleep(0.5)
        assert not waiting.done()
    finally:
        await asyncio.to_thread(on_once.servers.redis.start)
    assert (await waiting)["type"] == "resumed"

    async def accepted() -> bool:
        body = {"content": "again", "targetUserList": [stayer.user, leaver.user]}
        status, _ = await first.post("/api/push", body)
        return status == 202

    await eventually(accepted, limit=15)
    for number in range(20):
        await on_once.nodes[number % 2].push(number, stayer.user, leaver.user, held.user)
    await stayer.gets("again", *range(20))
    await held.gets(*range(20))
    assert stayer.repeats == held.repeats == 0
    lost = await second.metric("websocket_history_data_sets_total")
    assert lost >= 1
    assert (await leaver.connect(second))["type"] == "reset"
    # The tokens of who stayed are of the new data, too.
    await stayer.close()
    await first.push("new", stayer.user)
    assert (await stayer.connect(first))["type"] == "resumed"
    await stayer.gets("new")
    for client in (stayer, leaver, held):
        await client.close()


@pytest.mark.shows(
    "websocket.history.enabled",
    "websocket.history.length",
    "websocket.history.all-length",
    "websocket.history.age",
    "websocket.history.resume-wait",
)
async def test_the_settings_of_the_history_are_in_force_at_once(  # noqa: PLR0915 - one cluster shows them all
    cluster: ClusterUnderTest, store: redis.Redis
) -> None:
    first, second = cluster.nodes
    client = V1Client(new_user())
    early = V1Client(new_user())
    stream = f"websocket:history:user:{client.user}"

    # Off: nothing is kept, and nothing can be asked for.
    assert (await client.connect(first))["type"] == "reset"
    await client.close()
    client.token = "any"
    assert (await client.connect(first, by_query=True))["type"] == "reset"
    await first.push("plain", client.user)
    await client.gets("plain")
    assert client.frames[-1]["token"] is None
    await client.close()
    dto = {"content": 1, "targetUserList": [client.user], "keepForOffline": True}
    status, problem = await first.post("/api/push", dto)
    assert (status, problem["errors"][0]["field"]) == (400, "keepForOffline")
    status, answer = await first.post("/api/push/batch", [dto, {**dto, "keepForOffline": False}])
    assert (status, answer["accepted"]) == (202, 1)
    await early.connect(first)
    assert not await store.exists(stream)

    async def fill(count: int) -> None:
        for target in ({"targetUserList": [client.user]}, {"allUser": True}):
            items = [{"content": number, **target} for number in range(count)]
            status, answer = await first.post("/api/push/batch", items)
            assert (status, answer["accepted"]) == (202, count)

    async def lengths() -> tuple[int, int]:
        return await store.xlen(stream), await store.xlen("websocket:history:all")

    # On: short streams, then longer ones. Who was connected before has tokens from now on.
    await cluster.edit_nodes({"websocket": history(length=100, **{"all-length": 120})})
    await second.push("token?", early.user)
    await early.gets("token?")
    assert len(early.frames[-1]["token"]) == 52
    await early.close()
    await fill(350)
    assert all(100 <= length <= 230 for length in await lengths())
    await cluster.edit_nodes({"websocket": history(length=500, **{"all-length": 500})})
    await fill(350)
    assert min(await lengths()) >= 400

    # A connection that says nothing is held for so long.
    async def held_for(wait: str) -> float:
        await cluster.edit_nodes({"websocket": history(**{"resume-wait": wait})})
        silent = V1Client(new_user())
        await silent.connect(second, resume=False)
        began = asyncio.get_running_loop().time()
        await first.push("hello", silent.user)
        await silent.gets("hello")
        await silent.close()
        return asyncio.get_running_loop().time() - began

    assert await held_for("2s") > 1.5
    assert await held_for("50ms") < 1.5

    # Old pushes go.
    assert (await lengths())[0] > 0
    await cluster.edit_nodes({"websocket": history(age="1s")})

    async def swept() -> bool:
        return await lengths() == (0, 0)

    await eventually(swept, limit=8)
    # And off again, while one is held.
    held = V1Client(new_user())
    await cluster.edit_nodes({"websocket": history(**{"resume-wait": "20s"})})
    await held.connect(first, resume=False)
    await cluster.edit_nodes({})
    await first.push("off", held.user)
    await held.gets("off")
    assert held.frames[-1]["token"] is None
    await held.close()


async def test_a_move_to_another_redis_is_another_history(
    on_once: ClusterUnderTest, second_redis: RedisServer
) -> None:
    home = f"{LOOPBACK}:{on_once.servers.ports.redis}/0"
    there = f"{LOOPBACK}:{second_redis.port}/0"
    stayers = [V1Client(new_user()) for _ in on_once.nodes]
    leaver = V1Client(new_user())
    users = [client.user for client in (*stayers, leaver)]
    for node, client in zip(on_once.nodes, stayers, strict=True):
        await client.connect(node)
    await leaver.connect(on_once.nodes[0])
    await on_once.nodes[0].push("before", leaver.user)
    await leaver.gets("before")
    await leaver.close()
    accepted: list[int] = []
    pushing = True

    async def push() -> None:
        for number in itertools.count():
            if not pushing:
                return
            body = {"content": number, "targetUserList": users}
            status, answer = await on_once.nodes[number % 2].post("/api/push", body)
            assert status == 202, answer
            accepted.append(number)
            await asyncio.sleep(0.01)

    task = asyncio.create_task(push())
    try:
        document = merged(
            NODE_DOCUMENT,
            {
                "websocket": {**history(), "push": {"mode": "routed"}},
                "spring": {"data": {"redis": {"port": second_redis.port}}},
            },
        )
        await move(on_once, document, there)
        await asyncio.sleep(0.5)
        pushing = False
        await task
        for client in stayers:
            await eventually(lambda client=client: len(client.contents) >= len(accepted))
            assert sorted(client.contents) == accepted
            assert client.repeats == 0
        assert (await leaver.connect(on_once.nodes[1]))["type"] == "reset"
        await leaver.close()
        await on_once.nodes[0].push("there", leaver.user)
        assert (await leaver.connect(on_once.nodes[0]))["type"] == "resumed"
        assert leaver.contents == ["there"]
    finally:
        pushing = False
        for client in (*stayers, leaver):
            await client.close()
        await move(on_once, NODE_DOCUMENT, home)

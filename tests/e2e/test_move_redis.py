"""The nodes move to another Redis while clients are connected and pushes go on."""

import asyncio
import collections
import contextlib
import itertools
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import redis.asyncio as redis
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from devtools.ports import free_port
from devtools.redis import RedisServer
from tests.cluster import NODE_DOCUMENT, ClusterUnderTest, Program, merged
from tests.waiting import eventually

MOVE_LIMIT = 40.0
ROUTED = {"push": {"mode": "routed"}}


def at(**server: Any) -> dict[str, Any]:
    """Give the nodes' document with another Redis."""
    changes = {"websocket": ROUTED, "spring": {"data": {"redis": server}}}
    return merged(NODE_DOCUMENT, changes)


async def redis_health(node: Program) -> dict[str, Any]:
    _, health = await node.get("/actuator/health")
    return dict(health["components"]["redis"]["details"])


async def at_rest(node: Program, name: str) -> bool:
    """Whether a node uses this server and no other, and believes it."""
    details = await redis_health(node)
    return details == {"address": name, "directorySettled": True}


class Traffic:
    """Clients at every node, users who come and go, and pushes to them from every node.

    Each accepted push is awaited by those who were there; whoever is known to be connected must
    never be called offline, nor be missing from the API.
    """

    def __init__(self, cluster: ClusterUnderTest) -> None:
        self._cluster = cluster
        self._clients: dict[str, ClientConnection] = {}
        self._got: dict[str, list[str]] = collections.defaultdict(list)
        self._sent: dict[str, list[str]] = collections.defaultdict(list)
        self._numbers = itertools.count(1)
        self._tasks: list[asyncio.Task[None]] = []
        self._readers: list[asyncio.Task[None]] = []
        self._going = True
        self.wrong: list[str] = []
        self.modes: collections.Counter[str] = collections.Counter()
        self.guests = 0
        self.asked = 0

    async def start(self) -> None:
        for number in range(6):
            await self._join(f"stayer-{number}", self._cluster.nodes[number % 2])
        for number in range(len(self._cluster.nodes)):
            for work in (self._push, self._come_and_go, self._ask):
                self._tasks.append(asyncio.create_task(work(number)))

    async def stop(self) -> None:
        """End it, and see that everything has come once."""
        self._going = False
        try:
            await asyncio.wait_for(asyncio.gather(*self._tasks), 20)

            def all_came() -> bool:
                return all(len(self._got[u]) >= len(self._sent[u]) for u in self._clients)

            await eventually(all_came)
        finally:
            for task in (*self._tasks, *self._readers):
                task.cancel()
            await asyncio.gather(*self._tasks, *self._readers, return_exceptions=True)
            await asyncio.gather(*(client.close() for client in self._clients.values()))
        for user in self._sent:
            assert sorted(self._got[user]) == sorted(self._sent[user]), user
        assert self.wrong == []
        assert self.guests > 10
        assert self.asked > 10
        assert self.modes["routed"] > 50, self.modes

    async def _join(self, user: str, node: Program) -> ClientConnection:
        client = await node.connect(user)
        self._clients[user] = client
        self._readers.append(asyncio.create_task(self._read(user, client)))
        return client

    async def _read(self, user: str, client: ClientConnection) -> None:
        try:
            async for message in client:
                # Who comes and goes may or may not get what goes to everyone.
                if "stayer" in user or "all" not in str(message):
                    self._got[user].append(str(message))
        except ConnectionClosed as error:
            self.wrong.append(f"{user} was disconnected: {error}")
        if user in self._clients:
            self.wrong.append(f"{user} was disconnected")

    async def _push(self, number: int) -> None:
        node = self._cluster.nodes[number]
        while self._going:
            count = next(self._numbers)
            everyone = count % 40 == 0
            users = [f"stayer-{(count + step) % 6}" for step in range(1 + count % 2)]
            content = f"all-{count}" if everyone else f"push-{count}"
            answer = await node.push(content, *([] if everyone else users))
            for user in [f"stayer-{index}" for index in range(6)] if everyone else users:
                self._sent[user].append(content)
            self.modes[answer["mode"]] += not everyone
            if not everyone and answer["offline"]:
                self.wrong.append(f"push-{count} from node {number}: offline {answer['offline']}")
            await asyncio.sleep(0.01)

    async def _come_and_go(self, number: int) -> None:
        node = self._cluster.nodes[number]
        while self._going:
            self.guests += 1
            user = f"guest-{number}-{self.guests}"
            client = await self._join(user, node)
            for asked in self._cluster.nodes:
                content = f"hello-{next(self._numbers)}"
                answer = await asked.push(content, user)
                self._sent[user].append(content)
                if answer["offline"]:
                    self.wrong.append(f"{user} is called offline")
                status, _ = await asked.get(f"/api/users/{user}")
                if status != 200:
                    self.wrong.append(f"{user} is not found ({status})")

            def has_both(user: str = user) -> bool:
                return len(self._got[user]) >= 2

            await eventually(has_both)
            del self._clients[user]
            await client.close()
            await asyncio.sleep(0.05)

    async def _ask(self, number: int) -> None:
        # Page by page, of whichever node answers, as through the gateway.
        while self._going:
            known = set(self._clients)
            found: set[str] = set()
            cursor: str | None = "0"
            while cursor is not None:
                nodes = self._cluster.nodes
                asked = nodes[(number + self.asked) % len(nodes)]
                status, page = await asked.get(f"/api/users?limit=3&cursor={cursor}")
                if status != 200:
                    self.wrong.append(f"users: {status} {page}")
                    return
                found.update(user["userId"] for user in page["users"])
                cursor = page["cursor"]
                self.asked += 1
            if missing := known & set(self._clients) - found:
                self.wrong.append(f"missing in the list: {missing}")
            await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def traffic(cluster: ClusterUnderTest) -> AsyncIterator[Traffic]:
    going = Traffic(cluster)
    await going.start()
    try:
        yield going
    finally:
        await going.stop()


async def move(cluster: ClusterUnderTest, document: dict[str, Any], name: str) -> None:
    """Publish it, and wait until every node is at that server only."""
    await cluster.edit_nodes(document)
    for node in cluster.nodes:
        await eventually(lambda node=node: at_rest(node, name), limit=MOVE_LIMIT, interval=0.1)


async def nothing_left(cluster: ClusterUnderTest, port: int, database: int = 0) -> None:
    """Wait until no key of a server tells of a living node."""
    _, body = await cluster.gateway.get("/api/nodes")
    nodes = [item["nodeId"].encode() for item in body["nodes"]]
    assert len(nodes) == len(cluster.nodes)
    async with redis.Redis(port=port, db=database) as client:

        async def clean() -> bool:
            # Node records and users' entries; what else is kept stays where it is.
            told_of = (b"websocket:node:", b"websocket:directory:")
            found = [key async for key in client.scan_iter("websocket:*", _type="string")]
            keys = [key for key in found if key.startswith(told_of)]
            texts = [key + (await client.get(key) or b"") for key in keys]
            told = b" ".join((*texts, *await client.smembers("websocket:nodes")))
            assert [node for node in nodes if node in told] == []
            return True

        await eventually(clean, limit=5)


@pytest.fixture
async def home(cluster: ClusterUnderTest) -> AsyncIterator[str]:
    """The name of the cluster's own Redis, where all are again in the end."""
    name = f"127.0.0.1:{cluster.servers.ports.redis}/0"
    await cluster.set_mode("routed")
    yield name
    await move(cluster, NODE_DOCUMENT, name)


@pytest.mark.shows("spring.data.redis.port", "spring.data.redis.database")
async def test_to_another_server_and_back_nobody_notices(
    cluster: ClusterUnderTest, home: str, second_redis: RedisServer
) -> None:
    there = f"127.0.0.1:{second_redis.port}/0"
    late = cluster.nodes[1].child
    async with traffic(cluster):
        # One node learns of it seconds later: its clients and the others' wait for it.
        await asyncio.to_thread(late.pause)
        try:
            cluster.publish("websocket-service.yml", at(port=second_redis.port))

            async def waits() -> bool:
                details = await redis_health(cluster.nodes[0])
                return details.get("movingTo") == there and bool(details.get("waitingFor"))

            await eventually(waits, limit=10)
            assert (await redis_health(cluster.nodes[0]))["address"] == home
        finally:
            await asyncio.to_thread(late.resume)
        await move(cluster, at(port=second_redis.port), there)
        await nothing_left(cluster, cluster.servers.ports.redis)
        # Nobody needs the old one any more.
        await asyncio.to_thread(cluster.servers.redis.kill)
        try:
            for node in cluster.nodes:
                assert await node.ready()
                assert await at_rest(node, there)
        finally:
            await asyncio.to_thread(cluster.servers.redis.start)
        # To another database of it, which is another server as far as the nodes can see.
        await move(cluster, at(port=second_redis.port, database=1), f"{there[:-1]}1")
        await nothing_left(cluster, second_redis.port)
        await move(cluster, at(port=cluster.servers.ports.redis), home)
        await nothing_left(cluster, second_redis.port, 1)


@pytest.mark.shows("spring.data.redis.username", "spring.data.redis.password")
async def test_a_server_that_does_not_work_is_explained_and_everything_goes_on(
    cluster: ClusterUnderTest, home: str, second_redis: RedisServer
) -> None:
    async with redis.Redis(port=second_redis.port) as admin, traffic(cluster) as going:
        await admin.config_set("requirepass", "open sesame")
        try:
            for document, name, part in (
                (at(port=free_port()), ":", "spring.data.redis.port"),
                (
                    at(port=second_redis.port, password="wrong"),
                    f":{second_redis.port}/0",
                    "spring.data.redis.password",
                ),
            ):
                cluster.publish("websocket-service.yml", document)
                for node in cluster.nodes:

                    async def explained(
                        node: Program = node, name: str = name, part: str = part
                    ) -> bool:
                        details = await redis_health(node)
                        return name in details.get("movingTo", "") and part in str(
                            details.get("error")
                        )

                    await eventually(explained, limit=10)
                    details = await redis_health(node)
                    assert details["address"] == home
                    assert await node.ready()
                    assert "wrong" not in str(details)
                    told = [line for line in node.child.output().splitlines() if part in line]
                    assert told
            pushed = going.modes["routed"]
            await eventually(lambda: going.modes["routed"] > pushed + 20)
            # The right password heals it; then, an edit back is as good as any move.
            right = at(port=second_redis.port, password="open sesame")
            await move(cluster, right, f"127.0.0.1:{second_redis.port}/0")
            # Another password at the same server, as people change it: first there, then in Nacos.
            # There is no moment at which the directory cannot be asked.
            unknown = going.modes["fanout"]
            await admin.config_set("requirepass", "open barley")
            barley = at(port=second_redis.port, password="open barley")
            await move(cluster, barley, f"127.0.0.1:{second_redis.port}/0")
            # And an account of its own there.
            await admin.acl_setuser(
                "mover", True, passwords=["+hush"], keys=["*"], channels=["*"], categories=["+@all"]
            )
            mover = at(port=second_redis.port, username="mover", password="hush")
            await move(cluster, mover, f"127.0.0.1:{second_redis.port}/0")
            users = [client["user"] for client in await admin.client_list()]
            assert users.count("mover") >= len(cluster.nodes)
            assert going.modes["fanout"] == unknown
            await move(cluster, at(port=cluster.servers.ports.redis), home)
        finally:
            await admin.config_set("requirepass", "")
            await admin.acl_deluser("mover")


@pytest.mark.shows("spring.data.redis.host", "spring.data.redis.timeout")
async def test_another_name_and_another_patience_at_the_same_server(
    cluster: ClusterUnderTest, home: str
) -> None:
    port = cluster.servers.ports.redis
    node = cluster.nodes[0]
    await move(cluster, at(port=port, host="localhost"), f"localhost:{port}/0")

    async def patience(limit: str) -> float:
        await move(cluster, at(port=port, timeout=limit), home)
        await asyncio.to_thread(cluster.servers.redis.pause)
        try:
            asked = time.monotonic()
            status, _ = await node.get("/api/users/alice")
            assert status == 503
            return time.monotonic() - asked
        finally:
            await asyncio.to_thread(cluster.servers.redis.resume)
            await eventually(node.ready, limit=10)

    assert await patience("200ms") < 1.0
    assert await patience("2s") >= 1.9

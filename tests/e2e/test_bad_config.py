"""What cannot be used is refused and explained, and the running nodes are unharmed by it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
import yaml
from websockets.asyncio.client import ClientConnection

from nacos_boot.nacos.client import NacosClient
from nacos_boot.start.nacos_settings import NacosSettings
from tests.cluster import NODE_DOCUMENT, ClusterUnderTest, Program, document_md5s, merged
from tests.e2e.test_start import SOON, fails
from tests.waiting import eventually

DATA_ID = "websocket-service.yml"

# Each level has the one before ten times: ten million values in a few lines.
BOMB = "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n"
    for before, name in zip("abcdef", "bcdefg", strict=True)
)


def settings(**websocket: Any) -> str:
    """Give the good document with something in it that cannot be used."""
    return yaml.safe_dump(merged(NODE_DOCUMENT, {"websocket": websocket}))


def at(fault: str, text: str, *expected: str) -> tuple[str, list[str]]:
    """Give a text, and what is told of it: the line with the fault, and more."""
    [line] = [number for number, line in enumerate(text.splitlines(), 1) if fault in line]
    return text, [f"{DATA_ID}, line {line}:", *expected]


class Unharmed:
    """A client at a node through what happens, and what must stay as it was."""

    def __init__(self, cluster: ClusterUnderTest, client: ClientConnection) -> None:
        self._cluster = cluster
        self._client = client
        self.good: list[dict[str, str]] = []

    async def check(self) -> None:
        """The last good documents are in force, every node is ready, and pushes flow."""
        first, second = self._cluster.nodes
        for node, good in zip((first, second), self.good, strict=True):
            assert await document_md5s(node) == good
            assert await node.ready()
            status, _ = await node.get("/actuator/health")
            assert status == 200
            answer = await node.push(f"by {node.port}", "alice")
            assert answer["mode"] == "fanout"
            assert await self._client.recv() == f"by {node.port}"
        # The same connection as at the start.
        await self._client.send("ping")
        assert await self._client.recv() == "pong"


@contextlib.asynccontextmanager
async def unharmed(cluster: ClusterUnderTest) -> AsyncIterator[Unharmed]:
    async with await cluster.nodes[0].connect("alice") as alice:
        watched = Unharmed(cluster, alice)
        watched.good = [await document_md5s(node) for node in cluster.nodes]
        yield watched
        await watched.check()


async def config_health(node: Program) -> dict[str, Any]:
    _, health = await node.get("/actuator/health")
    return dict(health["components"]["nacosConfig"])


async def refusal(node: Program) -> str:
    """Why the newest documents were refused, empty where they were not."""
    return str((await config_health(node))["details"].get("error", ""))


async def healed(cluster: ClusterUnderTest) -> None:
    """Publish the good document again, and wait until nobody complains any more."""
    cluster.publish(DATA_ID, NODE_DOCUMENT)
    for node in cluster.nodes:

        async def content(node: Program = node) -> bool:
            return not await refusal(node)

        await eventually(content, limit=10)


def refused_lines(node: Program) -> list[str]:
    return [line for line in node.child.output().splitlines() if "is refused" in line]


BAD: dict[str, tuple[str, list[str]]] = {
    "no YAML": ("websocket:\n  push: {mode: [fanout\n", ["line 3"]),
    "a duplicate key": (
        "websocket:\n  push:\n    mode: fanout\n  push:\n    mode: routed\n",
        ["line 4", "'push'", "twice", "line 2"],
    ),
    "a tab": ("websocket:\n  push:\n\tmode: routed\n", ["line 3", "tab", "spaces"]),
    "a bomb of anchors": (BOMB, ["line 4", "10000 values"]),
    "an alias in itself": ("websocket: &a\n  push: *a\n", ["line 2", "'*a'", "contains itself"]),
    "a list at the top": ("- websocket\n", ["line 1", "expected a mapping"]),
    "no value left": ("# all gone\n", ["(empty)", "expected it to hold settings"]),
    "a word for a number": at(
        "many",
        settings(limits={"max-connections": "many"}),
        "websocket.limits.max-connections = 'many'",
        "integer",
    ),
    "a list for a word": at(
        "mode:", settings(push={"mode": ["fanout"]}), "websocket.push.mode = ", "'routed'"
    ),
    "no duration": at(
        "soon", settings(ping={"interval": "soon"}), "websocket.ping.interval = 'soon'", "15s"
    ),
    "an unknown key": at(
        "conections",
        settings(limits={"max-conections": 5}),
        "websocket.limits.max-conections = '5'",
        "not known",
    ),
    "a cron of five fields": at(
        "cron", settings(node={"heartbeat-cron": "* * * * *"}), "websocket.node", "six"
    ),
    "a cron that never fires": at(
        "cron",
        settings(node={"heartbeat-cron": "0 0 0 30 2 *"}),
        "heartbeat-cron '0 0 0 30 2 *'",
        "more often than the ttl of 6 s",
    ),
    "a heartbeat slower than the life of the record": at(
        "cron",
        settings(node={"heartbeat-cron": "*/10 * * * * *", "ttl": "5s"}),
        "heartbeat-cron '*/10 * * * * *'",
        "more often than the ttl of 5 s",
    ),
    "a placeholder of itself": at(
        "${",
        settings(push={"mode": "${websocket.push.mode}"}),
        "websocket.push.mode = '${websocket.push.mode}'",
        "refers to itself",
    ),
    "placeholders of each other": at(
        "${websocket.push.mode}",
        settings(push={"mode": "${websocket.other}"}, other="${websocket.push.mode}"),
        "refers to itself",
        "websocket.push.mode -> websocket.other -> websocket.push.mode",
    ),
}


@pytest.mark.parametrize("kind", BAD)
async def test_a_bad_document_is_refused_and_explained(
    cluster: ClusterUnderTest, kind: str
) -> None:
    text, expected = BAD[kind]
    before = [len(refused_lines(node)) for node in cluster.nodes]
    async with unharmed(cluster) as watched:
        cluster.publish(DATA_ID, text)
        for node in cluster.nodes:
            message = await eventually(lambda node=node: refusal(node), limit=10)
            for part in (DATA_ID, *expected):
                assert part in message
            assert len(message) < 2000
            assert (await config_health(node))["status"] == "UNKNOWN"
            _, report = await node.get("/actuator/nacosconfig")
            assert report["error"] == message
        await watched.check()
        await healed(cluster)
    for node, told in zip(cluster.nodes, before, strict=True):
        [line] = refused_lines(node)[told:]
        assert " ERROR " in line
        assert all(part in line for part in (DATA_ID, *expected))


async def test_a_document_of_5_mb_is_refused(cluster: ClusterUnderTest) -> None:
    # A document of its own, which stays: Nacos on Derby takes ten seconds for the next edit of it.
    data_id = "websocket-service-big.yml"
    document = {"websocket": {"ping": {"interval": "30s"}}}
    cluster.publish(data_id, document)
    node = await cluster.add_node(SPRING_PROFILES_ACTIVE="big")
    good = await document_md5s(node)
    assert good[data_id]
    async with unharmed(cluster), await node.connect("bob") as bob:
        await publish_by_grpc(cluster, data_id, yaml.safe_dump(document) + "# " + "x" * 5_000_000)
        message = await eventually(lambda: refusal(node), limit=15)
        assert data_id in message
        assert "larger than 1000000 bytes" in message
        assert await document_md5s(node) == good
        assert await node.ready()
        await cluster.nodes[0].push("still here", "bob")
        assert await bob.recv() == "still here"


async def publish_by_grpc(cluster: ClusterUnderTest, data_id: str, text: str) -> None:
    """Publish as a program does: over HTTP, and so in the console, Nacos takes 2 MB at most."""
    env = cluster.servers.env()
    settings = {
        "server-addr": env["NACOS_SERVER_ADDR"],
        "username": env["NACOS_USERNAME"],
        "password": env["NACOS_PASSWORD"],
    }
    client = NacosClient(NacosSettings.model_validate(settings))
    await client.connect()
    try:
        await client.publish_config(data_id, "DEFAULT_GROUP", text)
    finally:
        await client.close()


async def test_every_fault_of_a_document_is_told_at_once(cluster: ClusterUnderTest) -> None:
    text = settings(push={"mode": "routd"}, limit={"x": 1}, ping={"timeout": "-1s"})
    async with unharmed(cluster):
        cluster.publish(DATA_ID, text)
        message = await eventually(lambda: refusal(cluster.nodes[0]))
        for part in ("'routd'", "websocket.limit", "websocket.ping.timeout", "-1s"):
            assert part in message
        await healed(cluster)


async def test_a_deleted_document_changes_nothing(cluster: ClusterUnderTest) -> None:
    async with unharmed(cluster) as watched:
        cluster.nacos.delete(DATA_ID)
        for node in cluster.nodes:
            message = await eventually(lambda node=node: refusal(node), limit=10)
            assert DATA_ID in message
            assert "deleted" in message
        await watched.check()
        await healed(cluster)


async def test_a_nacos_that_hangs_is_told_and_edits_are_caught_up_with(
    cluster: ClusterUnderTest,
) -> None:
    nacos = cluster.servers.nacos
    async with unharmed(cluster) as watched:
        await asyncio.to_thread(nacos.pause)
        try:
            for node in cluster.nodes:

                async def told(node: Program = node) -> str:
                    return str((await config_health(node))["details"].get("unreachable", ""))

                assert nacos.address in await eventually(told, limit=30)
                warnings = [line for line in node.child.output().splitlines() if " WARN" in line]
                assert any(nacos.address in line for line in warnings)
            await watched.check()
        finally:
            await asyncio.to_thread(nacos.resume)
        await eventually(lambda: cluster.lists(len(cluster.nodes)), limit=30)
        await cluster.edit_nodes({"websocket": {"push": {"mode": "routed"}}}, limit=30)
        for node in cluster.nodes:

            async def no_longer_told(node: Program = node) -> bool:
                return not await told(node)

            await eventually(no_longer_told, limit=10)
        await cluster.edit_nodes({})


async def test_a_profile_without_a_document_is_warned_of_and_taken_when_it_comes(
    cluster: ClusterUnderTest,
) -> None:
    data_id = "websocket-service-nowhere.yml"
    async with unharmed(cluster):
        node = await cluster.add_node(SPRING_PROFILES_ACTIVE="nowhere")
        warnings = [line for line in node.child.output().splitlines() if " WARN" in line]
        assert any(data_id in line for line in warnings), warnings
        try:
            cluster.publish(data_id, {"websocket": {"push": {"mode": "routed"}}})

            async def routed() -> bool:
                return (await node.push("x", "nobody"))["mode"] == "routed"

            await eventually(routed, limit=10)
        finally:
            await asyncio.to_thread(node.child.stop)
            cluster.nacos.delete(data_id)


async def test_an_account_that_may_read_nothing_ends_a_start_and_harms_nobody_else(
    cluster: ClusterUnderTest,
) -> None:
    cluster.nacos.add_user("stranger", "password-of-stranger")
    async with unharmed(cluster):
        account = {"NACOS_USERNAME": "stranger", "NACOS_PASSWORD": "password-of-stranger"}
        sentence = await fails(
            cluster.spawn("service", **account, **SOON), "'stranger'", cluster.servers.nacos.address
        )
        assert "password-of-stranger" not in sentence


async def test_a_password_changed_in_nacos_ends_only_starts_with_the_old_one(
    cluster: ClusterUnderTest,
) -> None:
    async with unharmed(cluster) as watched:
        cluster.nacos.set_password("nacos", "another-one")
        try:
            node = cluster.spawn("service", **SOON)
            await fails(node, "'nacos'", "password", cluster.servers.nacos.address)
            await watched.check()
            await cluster.add_node(NACOS_PASSWORD="another-one")
        finally:
            cluster.nacos.set_password("nacos", "nacos")

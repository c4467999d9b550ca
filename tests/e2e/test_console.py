"""A person edits settings in the real Nacos console, and the running nodes behave otherwise."""

import contextlib
import itertools
from collections.abc import AsyncIterator
from pathlib import Path

from websockets.asyncio.client import ClientConnection

from tests.cluster import ClusterUnderTest, Program
from tests.console import nacos_console
from tests.waiting import eventually

DATA_ID = "websocket-service.yml"
EXCHANGES = ("web_socket_exchange", "web_socket_exchange.direct")


async def test_what_is_edited_in_the_console_is_what_the_nodes_do(
    cluster: ClusterUnderTest, tmp_path: Path
) -> None:
    await cluster.settled()
    first, second = cluster.nodes
    numbers = itertools.count()

    async def push_modes(alice: ClientConnection) -> set[str]:
        """Push to alice at every node; she gets each, and each answer tells its way."""
        found = set()
        for node in cluster.nodes:
            text = f"push {next(numbers)}"
            found.add((await node.push(text, "alice"))["mode"])
            assert await alice.recv() == text
        return found

    async def consumers(alice: ClientConnection) -> list[float]:
        """Push once from the first node, and tell how many messages each node consumed."""
        before = [await consumed(node) for node in cluster.nodes]
        await first.push("who takes it?", "alice")
        assert await alice.recv() == "who takes it?"

        after = [await consumed(node) for node in cluster.nodes]
        return [now - then for now, then in zip(after, before, strict=True)]

    async with (
        document_put_back(cluster),
        nacos_console(cluster.servers.nacos.console_url, tmp_path / "console") as console,
        await second.connect("alice") as alice,
    ):
        assert await push_modes(alice) == {"fanout"}
        await console.log_in()

        await console.open(DATA_ID)
        await console.replace("mode: fanout", "fanout", "routed")
        await console.publish()

        async def routed() -> bool:
            return await push_modes(alice) == {"routed"}

        await eventually(routed)
        # Only her own node takes what is for her.
        assert await consumers(alice) == [0, 1]

        await console.open(DATA_ID)
        await console.replace("mode: routed", "routed", "routd")
        await console.publish()
        for node in cluster.nodes:
            refusal = await eventually(lambda node=node: error_of(node))
            for part in (
                f"{DATA_ID}, line 10: websocket.push.mode = 'routd'",
                "'fanout'",
                "'routed'",
            ):
                assert part in refusal
            assert await node.ready()
        assert await push_modes(alice) == {"routed"}
        assert await consumers(alice) == [0, 1]

        await console.open(DATA_ID)
        await console.replace("mode: routd", "routd", "fanout")
        await console.publish()

        async def fanout() -> bool:
            return await push_modes(alice) == {"fanout"}

        await eventually(fanout)
        assert [await error_of(node) for node in cluster.nodes] == ["", ""]
        await alice.send("ping")
        assert await alice.recv() == "pong"


@contextlib.asynccontextmanager
async def document_put_back(cluster: ClusterUnderTest) -> AsyncIterator[None]:
    """Publish what the cluster takes to be published, however far the console came."""
    try:
        yield
    finally:
        cluster.publish(DATA_ID, cluster.texts[DATA_ID])


async def consumed(node: Program) -> float:
    """How many messages a node has taken from its queue."""
    name = "websocket_messages_consumed_total"
    return sum([await node.metric(name, exchange=exchange) for exchange in EXCHANGES])


async def error_of(node: Program) -> str:
    """Why the newest documents were refused, as the node's health tells it."""
    _, health = await node.get("/actuator/health")
    return str(health["components"]["nacosConfig"]["details"].get("error", ""))

"""Beside a node of the Java original: it may hold users that no directory knows."""

import pytest
import redis.asyncio as redis

from tests.cluster import ClusterUnderTest
from tests.waiting import eventually

JAVA_KEY = "websocket:node:websocket_node_0123456789abcdef0123456789abcdef"


@pytest.mark.shows("websocket.interop.java")
async def test_while_a_java_node_lives_pushes_to_users_go_by_fanout(
    cluster: ClusterUnderTest,
) -> None:
    await cluster.set_mode("routed")
    node = cluster.nodes[0]
    store = redis.Redis(port=cluster.servers.ports.redis)
    try:
        await store.set(JAVA_KEY, "1", ex=60)
        # Not looked for, unless it is asked for.
        assert (await node.push("x", "nobody"))["mode"] == "routed"
        await cluster.edit_nodes(
            {"websocket": {"push": {"mode": "routed"}, "interop": {"java": True}}}
        )
        assert (await node.push("x", "nobody"))["mode"] == "fanout"

        async def listed() -> bool:
            _, body = await node.get("/api/nodes")
            return [item["nodeId"] for item in body["nodes"] if item["foreign"]] == [
                JAVA_KEY.removeprefix("websocket:node:")
            ]

        await eventually(listed)
        await store.delete(JAVA_KEY)

        async def routed_again() -> bool:
            return (await node.push("x", "nobody"))["mode"] == "routed"

        await eventually(routed_again)
    finally:
        await store.delete(JAVA_KEY)
        await store.aclose()

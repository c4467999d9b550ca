"""Settings edited in Nacos, in force without a restart; bad ones refused."""

import asyncio
import time

from tests.cluster import NODE_DOCUMENT, ClusterUnderTest, Program, document_md5s, merged
from tests.waiting import eventually


async def test_the_push_mode_is_in_force_on_every_node_within_a_second(
    cluster: ClusterUnderTest,
) -> None:
    await cluster.settled()
    async with await cluster.nodes[0].connect("alice") as alice:
        for mode in ("routed", "fanout"):
            cluster.publish(
                "websocket-service.yml",
                merged(NODE_DOCUMENT, {"websocket": {"push": {"mode": mode}}}),
            )
            published = time.monotonic()
            for node in cluster.nodes:

                async def pushes(node: Program = node, mode: str = mode) -> bool:
                    answer = await node.push(mode, "alice")
                    return answer["mode"] == mode and await alice.recv() == mode

                await eventually(pushes, limit=5)
            assert time.monotonic() - published < 1.0


async def test_a_bad_edit_is_refused_and_explained_and_healed_by_the_next(
    cluster: ClusterUnderTest,
) -> None:
    node = cluster.nodes[0]
    good = await document_md5s(node)
    bad = {"websocket": {"push": {"mode": "routd"}, "node": {"ttl": "1s"}, "limit": {"x": 1}}}
    async with await node.connect("alice") as alice:
        cluster.publish("websocket-service.yml", merged(NODE_DOCUMENT, bad))

        async def explained() -> bool:
            _, health = await node.get("/actuator/health")
            text = health["components"]["nacosConfig"]["details"].get("error", "")
            parts = ("websocket-service.yml", "websocket.push.mode", "'routd'", "ttl", "limit")
            return all(part in text for part in parts)

        await eventually(explained)
        # In force: what was; and the node goes on serving, ready.
        assert await document_md5s(node) == good
        assert await node.ready()
        assert (await node.push("same", "alice"))["mode"] == "fanout"
        assert await alice.recv() == "same"
        refusals = [line for line in node.child.output().splitlines() if "is refused" in line]
        assert "'routd'" in refusals[-1]

        cluster.publish("websocket-service.yml", merged(NODE_DOCUMENT, {}))

        async def healed() -> bool:
            _, health = await node.get("/actuator/health")
            return "error" not in health["components"]["nacosConfig"]["details"]

        await eventually(healed)


async def test_documents_that_do_not_parse_or_are_deleted_blank_nothing(
    cluster: ClusterUnderTest,
) -> None:
    node = cluster.nodes[0]

    async def error() -> str:
        _, health = await node.get("/actuator/health")
        return str(health["components"]["nacosConfig"]["details"].get("error", ""))

    async with await node.connect("alice") as alice:
        for text in ("websocket: {push: [", "websocket:\n\tpush: x", "a: 1\na: 2", "- a list"):
            cluster.publish("websocket-service.yml", text)
            last = await eventually(error)
            assert "websocket-service.yml" in last
            cluster.publish("websocket-service.yml", NODE_DOCUMENT)

            async def healed() -> bool:
                return not await error()

            await eventually(healed)
        cluster.nacos.delete("websocket-service.yml")
        assert "deleted" in await eventually(error, limit=10)
        await node.push("still", "alice")
        assert await alice.recv() == "still"
        cluster.publish("websocket-service.yml", NODE_DOCUMENT)
        await eventually(healed, limit=10)


async def test_a_shared_config_is_live_too(cluster: ClusterUnderTest) -> None:
    common = cluster.texts["common.yml"]
    try:
        cluster.publish("common.yml", common.replace("root: INFO", "root: DEBUG"))
        for program in (*cluster.nodes, cluster.gateway):
            await eventually(
                lambda program=program: (
                    "logging.level.root: 'INFO' -> 'DEBUG'" in program.child.output()
                )
            )
    finally:
        cluster.publish("common.yml", common)
        for program in (*cluster.nodes, cluster.gateway):
            await eventually(
                lambda program=program: (
                    "logging.level.root: 'DEBUG' -> 'INFO'" in program.child.output()
                )
            )


async def test_an_edit_while_nacos_hangs_is_caught_up_with(cluster: ClusterUnderTest) -> None:
    node = cluster.nodes[0]
    nacos = cluster.servers.nacos
    async with await node.connect("alice") as alice:
        await asyncio.to_thread(nacos.pause)
        try:

            async def noticed() -> bool:
                _, health = await node.get("/actuator/health")
                return "unreachable" in health["components"]["nacosConfig"]["details"]

            await eventually(noticed, limit=30)
            assert await node.ready()
            await cluster.nodes[1].push("without Nacos", "alice")
            assert await alice.recv() == "without Nacos"
        finally:
            await asyncio.to_thread(nacos.resume)
    await eventually(lambda: cluster.lists(len(cluster.nodes)), limit=30)
    await cluster.edit_nodes({"websocket": {"push": {"mode": "routed"}}}, limit=30)


async def test_the_registry_shows_which_configuration_each_node_has(
    cluster: ClusterUnderTest,
) -> None:
    await cluster.edit_nodes({"websocket": {"push": {"mode": "routed"}}})
    expected = set()
    for node in cluster.nodes:
        _, body = await node.get("/actuator/nacosconfig")
        expected.add(body["md5"])
    assert len(expected) == 1

    async def told() -> bool:
        _, body = await cluster.gateway.get("/api/nodes")
        return {item["configMd5"] for item in body["nodes"]} == expected

    await eventually(told)

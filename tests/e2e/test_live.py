"""Settings edited in Nacos, in force without a restart."""

import time
from collections.abc import Awaitable, Callable, Container
from typing import Any

import pytest
import yaml

from devtools.ports import LOOPBACK
from tests.cluster import NODE_DOCUMENT, ClusterUnderTest, Program, merged
from tests.waiting import eventually


@pytest.mark.shows("websocket.push.mode")
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


@pytest.mark.shows("websocket.node.public-url")
async def test_clients_are_told_the_address_that_is_in_force(cluster: ClusterUnderTest) -> None:
    async def told() -> set[str]:
        answers = [await cluster.gateway.get("/discover/alice") for _ in range(4)]
        return {body["url"] for _, body in answers}

    async def recorded() -> set[str]:
        _, body = await cluster.nodes[0].get("/api/nodes")
        return {record["publicUrl"] for record in body["nodes"]}

    own = {f"ws://{LOOPBACK}:{node.port}/websocket/alice" for node in cluster.nodes}
    assert await told() == own
    for public in ("wss://one.example/chat/", "ws://two.example:81"):
        await cluster.edit_nodes({"websocket": {"node": {"public-url": public}}})
        expected = f"{public.rstrip('/')}/websocket/alice"
        await eventually(lambda expected=expected: is_so(told, {expected}))
        await eventually(lambda public=public: is_so(recorded, {public}))
    await cluster.edit_nodes({})
    await eventually(lambda: is_so(told, own))


@pytest.mark.shows(
    "spring.cloud.nacos.discovery.weight",
    "spring.cloud.nacos.discovery.metadata",
    "spring.cloud.nacos.discovery.instance-enabled",
)
async def test_a_node_is_drained_by_its_settings(cluster: ClusterUnderTest) -> None:
    document = "websocket-service-drained.yml"

    def publish(**discovery: Any) -> None:
        spelled = {key.replace("_", "-"): value for key, value in discovery.items()}
        text = yaml.safe_dump({"spring": {"cloud": {"nacos": {"discovery": spelled}}}})
        cluster.nacos.publish(document, text)

    async def listed() -> dict[str, str]:
        _, body = await cluster.gateway.get("/api/nodes")
        return {item["address"]: item["nodeId"] for item in body["nodes"]}

    async def used() -> bool:
        answers = [await cluster.gateway.get("/discover/alice") for _ in range(9)]
        return node_id in {body["nodeId"] for _, body in answers}

    publish(weight=0)
    try:
        node = await cluster.add_node(SPRING_PROFILES_ACTIVE="drained")
        address = f"{LOOPBACK}:{node.port}"
        node_id = (await listed())[address]
        assert not await used()
        async with await node.connect("alice") as alice:
            publish(weight=1, metadata={"zone": "a"})
            await eventually(used)

            def shown() -> bool:
                listed = cluster.nacos.instances("websocket-service")
                [metadata] = [item["metadata"] for item in listed if item["port"] == node.port]
                assert (metadata.get("zone"), metadata["websocket.node-id"]) == ("a", node_id)
                return True

            await eventually(shown, limit=5)
            publish(weight=0)
            await eventually(lambda: is_so(used, False))
            publish(instance_enabled=False)
            await eventually(lambda: is_not_in(address, listed))
            publish(weight=1)
            await eventually(used)
            # Nobody who was there before has noticed any of it.
            await cluster.nodes[0].push("still there", "alice")
            assert await alice.recv() == "still there"
    finally:
        cluster.nacos.delete(document)


async def is_so(ask: Callable[[], Awaitable[object]], expected: object) -> bool:
    return await ask() == expected


async def is_not_in(item: str, ask: Callable[[], Awaitable[Container[str]]]) -> bool:
    return item not in await ask()

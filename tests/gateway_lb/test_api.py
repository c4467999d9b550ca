from typing import Any

import aiohttp
import pytest

from gateway_lb.api import is_proxied
from nacos_boot.registry.instance import Instance
from tests.gateway_lb.fakes import Gateway, gateway, settings


def node(port: int, metadata: dict[str, str] | None = None, **attributes: Any) -> Instance:
    return Instance("websocket-service", "10.0.0.1", port, metadata=metadata or {}, **attributes)


async def get(gate: Gateway, path: str) -> tuple[int, Any, Any]:
    async with aiohttp.ClientSession() as http, http.get(gate.origin + path) as answer:
        return answer.status, await answer.json(content_type=None), answer.headers


async def test_nodes_are_listed_with_what_nacos_the_records_and_the_gateway_know() -> None:
    metadata = {"websocket.node-id": "a1", "version": "1.2", "nacos.config.md5": "abc"}
    async with gateway(node(1, metadata, weight=2.0), node(2, healthy=False)) as gate:
        gate.records["a1"] = {"connections": 7, "address": "10.0.0.1:1"}
        one, _ = gate.pool.members
        one.open = 3
        gate.pool.set_aside(one, gate.relays.clock() + 60)
        status, document, _ = await get(gate, "/api/nodes")
        assert status == 200
        first, second = document["nodes"]
        assert 50 < first.pop("setAsideSeconds") <= 60
        assert first == {
            "nodeId": "a1",
            "address": "10.0.0.1:1",
            "healthy": True,
            "enabled": True,
            "weight": 2.0,
            "version": "1.2",
            "configMd5": "abc",
            "connections": 7,
            "openRelays": 3,
        }
        assert second["nodeId"] is None
        assert second["healthy"] is False
        assert second["connections"] is None
        assert second["setAsideSeconds"] == 0
        one.open = 0


async def test_nodes_are_listed_when_the_records_cannot_be_read() -> None:
    async with gateway(node(1, {"websocket.node-id": "a1"})) as gate:
        gate.records["broken"] = {}
        status, document, _ = await get(gate, "/api/nodes")
        assert status == 200
        assert document["nodes"][0]["connections"] is None


@pytest.mark.parametrize(
    ("metadata", "url"),
    [
        ({}, "ws://10.0.0.1:1/websocket/alice"),
        ({"secure": "true"}, "wss://10.0.0.1:1/websocket/alice"),
        (
            {"websocket.node.public-url": "wss://n1.example/chat/"},
            "wss://n1.example/chat/websocket/alice",
        ),
        ({"websocket.node.public-url": ""}, "ws://10.0.0.1:1/websocket/alice"),
    ],
)
async def test_discover_gives_the_address_of_a_node(metadata: dict[str, str], url: str) -> None:
    async with gateway(node(1, {"websocket.node-id": "a1", **metadata})) as gate:
        status, document, _ = await get(gate, "/discover/alice")
        assert status == 200
        assert document == {"userId": "alice", "nodeId": "a1", "url": url}


async def test_a_discovered_address_is_percent_encoded() -> None:
    async with gateway(node(1)) as gate:
        _, document, _ = await get(gate, "/discover/a%40b+c:d~e")
        assert document["userId"] == "a@b+c:d~e"
        assert document["url"].endswith("/websocket/a%40b%2Bc%3Ad~e")


async def test_discover_follows_the_strategy() -> None:
    async with gateway(node(1), node(2)) as gate:
        gate.live.swap(settings(strategy="consistent-hash"))
        urls = {(await get(gate, "/discover/alice"))[1]["url"] for _ in range(4)}
        assert len(urls) == 1


@pytest.mark.parametrize("user", ["a%20b", "%C3%A9", "a%2Fb", "a/b", "x" * 129])
async def test_a_user_id_that_is_not_allowed_is_400(user: str) -> None:
    async with gateway(node(1)) as gate:
        status, document, headers = await get(gate, f"/discover/{user}")
        assert status == 400
        assert headers["Content-Type"] == "application/problem+json"
        assert document["errors"][0]["field"] == "userId"


async def test_discover_without_a_node_is_503() -> None:
    async with gateway(node(1, healthy=False)) as gate:
        status, document, headers = await get(gate, "/discover/alice")
        assert (status, document["status"]) == (503, 503)
        assert int(headers["Retry-After"]) > 0


async def test_what_is_neither_the_gateways_nor_the_nodes_is_404() -> None:
    async with gateway(node(1)) as gate:
        for path in ("/", "/apix", "/websocket/alice", "/openapi.yaml"):
            status, document, _ = await get(gate, path)
            assert (status, document["status"]) == (404, 404)


@pytest.mark.parametrize(
    ("path", "proxied"),
    [
        ("/api/push", True),
        ("/api/users/alice", True),
        ("/openapi.json", True),
        ("/api/nodes", False),
        ("/api/nodes/x", True),
        ("/api", False),
        ("/apiary/x", False),
        ("/actuator/health", False),
        ("/discover/alice", False),
        ("/api/../actuator/env", False),
        ("/api/./push", False),
        ("/api/..", False),
        ("/api/..x", True),
    ],
)
def test_which_paths_belong_to_the_nodes(path: str, proxied: bool) -> None:
    assert is_proxied(path) is proxied

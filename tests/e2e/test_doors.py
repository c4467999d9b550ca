"""The doors of HTTP, on a running cluster: API keys, addresses, trusted proxies, actuator port."""

import asyncio
from typing import Any

import aiohttp
import pytest
from websockets.asyncio.client import connect

from devtools.ports import LOOPBACK, free_port
from nacos_boot.http.api_keys import hash_of
from tests.cluster import OPERATOR_KEY, ClusterUnderTest, Program
from tests.waiting import eventually

STRANGER = "203.0.113.9"
_PUSH = {"content": "x", "targetUserList": ["nobody"]}


def entry(name: str, key: str, *scopes: str) -> dict[str, Any]:
    return {"name": name, "hash": hash_of(key), "scopes": list(scopes)}


OPERATOR = entry("operator", OPERATOR_KEY, "push", "read", "disconnect", "actuator")
GATEWAYS_OPERATOR = entry("operator", OPERATOR_KEY, "read", "actuator")


async def call(program: Program, method: str, path: str, **headers: str) -> tuple[int, str]:
    """Call with these headers and no others of the cluster's own."""
    spelled = {name.replace("_", "-"): value for name, value in headers.items()}
    body = {"json": _PUSH} if method == "POST" else {}
    async with (
        aiohttp.ClientSession(headers=spelled) as session,
        session.request(method, f"{program.url}{path}", **body) as answer,
    ):
        return answer.status, await answer.text()


async def statuses(program: Program, key: str = "") -> dict[str, int]:
    """Tell what a key opens."""
    headers = {"X_API_Key": key} if key else {}
    calls = {
        "push": ("POST", "/api/push"),
        "read": ("GET", "/api/users"),
        "disconnect": ("DELETE", "/api/users/nobody"),
        "actuator": ("GET", "/actuator/info"),
    }
    return {scope: (await call(program, *asked, **headers))[0] for scope, asked in calls.items()}


@pytest.mark.shows("websocket.api.keys")
async def test_a_nodes_keys_come_change_hands_and_go(cluster: ClusterUnderTest) -> None:
    node, gateway = cluster.nodes[0], cluster.gateway
    opened = {"push": 202, "read": 200, "disconnect": 204, "actuator": 200}
    assert await statuses(node) == opened

    async def use(*keys: dict[str, Any]) -> None:
        await cluster.edit_nodes({"websocket": {"api": {"keys": [OPERATOR, *keys]}}})

    await use(entry("shop", "first", "push"), entry("ops", "watch", "read", "actuator"))
    assert await statuses(node) == dict.fromkeys(opened, 401)
    assert await statuses(node, "first") == {**dict.fromkeys(opened, 403), "push": 202}
    assert await statuses(node, "watch") == {
        "push": 403, "read": 200, "disconnect": 403, "actuator": 200,
    }  # fmt: skip
    # What supervisors ask stays open, without details.
    status, text = await call(node, "GET", "/actuator/health")
    assert (status, text) == (200, '{"status":"UP"}')
    assert "components" in (await call(node, "GET", "/actuator/health", X_API_Key="watch"))[1]
    assert (await call(node, "GET", "/openapi.json"))[0] == 200

    # What the gateway passes on is judged by the node; its own routes by its own keys.
    bearer = {"Authorization": "Bearer first"}
    assert (await call(gateway, "POST", "/api/push", **bearer))[0] == 202
    assert (await call(gateway, "POST", "/api/push"))[0] == 401
    status, text = await call(gateway, "GET", "/api/nodes")
    assert status == 200
    assert '"connections":null' in text
    assert '"connections":0' in (await call(gateway, "GET", "/api/nodes", X_API_Key="watch"))[1]

    # A rotation: both are valid, then the new one only.
    await use(entry("shop", "first", "push"), entry("shop", "second", "push"))
    for key in ("first", "second"):
        assert (await statuses(node, key))["push"] == 202
    await use(entry("shop", "second", "push"))
    assert await statuses(node, "first") == dict.fromkeys(opened, 401)
    assert (await statuses(node, "second"))["push"] == 202

    # A key in place of its hash is refused, and not told.
    unhashed = {"name": "shop", "hash": "not-hashed-at-all", "scopes": ["push"]}
    document = {"websocket": {"api": {"keys": [OPERATOR, unhashed]}}}
    cluster.publish("websocket-service.yml", document)
    await eventually(lambda: "websocket.api.keys[1].hash" in node.child.output())
    assert (await statuses(node, "second"))["push"] == 202

    await cluster.edit_nodes({})
    assert await statuses(node) == opened
    output = "".join(cluster.logs().values())
    assert "API keys: operator, ops, shop" in output
    for secret in ("not-hashed-at-all", "Bearer first", hash_of("first"), OPERATOR_KEY):
        assert secret not in output
    # Words of the keys' entries are no secrets elsewhere.
    _, env = await call(node, "GET", "/actuator")
    assert "/actuator/info" in env


@pytest.mark.shows("gateway.api.keys")
async def test_the_gateways_own_routes_ask_for_its_keys(cluster: ClusterUnderTest) -> None:
    gateway = cluster.gateway
    own = ("/api/nodes", "/discover/alice", "/actuator/info")

    async def ask(key: str) -> list[int]:
        headers = {"X_API_Key": key} if key else {}
        return [(await call(gateway, "GET", path, **headers))[0] for path in own]

    assert await ask("") == [200, 200, 200]
    keys = [GATEWAYS_OPERATOR, entry("app", "app-key", "read")]
    await cluster.edit_gateway({"gateway": {"api": {"keys": keys}}})
    assert await ask("") == [401, 401, 401]
    assert await ask("app-key") == [200, 200, 403]
    # The nodes have none.
    assert (await call(gateway, "POST", "/api/push"))[0] == 202
    await cluster.edit_gateway({})
    assert await ask("") == [200, 200, 200]


async def addresses(node: Program, user: str) -> list[str]:
    _, found = await node.get(f"/api/users/{user}")
    return [address for home in found["nodes"] for address in home["addresses"]]


@pytest.mark.shows("websocket.trusted-proxies")
async def test_a_node_believes_the_proxies_that_it_trusts(cluster: ClusterUnderTest) -> None:
    node = cluster.nodes[0]
    far = {"X_Forwarded_For": f"127.0.0.1, {STRANGER}"}
    told = {"X-Forwarded-For": f"127.0.0.1, {STRANGER}, 10.1.1.1"}

    async def seen(user: str) -> list[str]:
        url = f"ws://{LOOPBACK}:{node.port}/websocket/{user}"
        async with connect(url, additional_headers=told) as client:
            assert await client.recv() == "pong"
            return await addresses(node, user)

    assert await seen("first") == [STRANGER]
    status, text = await call(node, "GET", "/api/users", **far)
    assert status == 403
    assert STRANGER in text
    assert "websocket.api.keys" in text

    await cluster.edit_nodes({"websocket": {"trusted-proxies": [LOOPBACK]}})
    assert await seen("second") == ["10.1.1.1"]
    await cluster.edit_nodes({"websocket": {"trusted-proxies": ["198.51.100.0/24"]}})
    assert await seen("third") == [LOOPBACK]
    status, text = await call(node, "GET", "/api/users", **far)
    assert status == 403
    assert "not among the trusted proxies" in text
    assert (await call(node, "GET", "/api/users"))[0] == 200


@pytest.mark.shows("gateway.trusted-proxies")
async def test_the_gateway_hands_on_what_a_trusted_proxy_says(cluster: ClusterUnderTest) -> None:
    gateway = cluster.gateway
    far = {"X-Forwarded-For": f"127.0.0.1, {STRANGER}", "X-Forwarded-Proto": "https"}

    async def seen(user: str) -> tuple[list[str], int, int]:
        """What a node is told of a client and of a caller, and how the gateway judges one."""
        url = f"ws://{LOOPBACK}:{gateway.port}/websocket/{user}"
        async with connect(url, additional_headers=far) as client:
            assert await client.recv() == "pong"
            own, _ = await call(gateway, "GET", "/discover/alice", **far)
            passed_on, _ = await call(gateway, "GET", "/api/users", **far)
            return await addresses(cluster.nodes[0], user), passed_on, own

    assert await seen("first") == ([STRANGER], 403, 403)
    await cluster.edit_gateway({"gateway": {"trusted-proxies": []}})
    # Its peer is the client then; but of a caller nobody knows where it began.
    assert await seen("second") == ([LOOPBACK], 403, 403)


async def test_the_actuator_on_a_port_of_its_own(cluster: ClusterUnderTest) -> None:
    ports = {"service": free_port(), "gateway_lb": free_port()}
    programs = {
        package: cluster.spawn(package, MANAGEMENT_SERVER_PORT=str(port))
        for package, port in ports.items()
    }
    for package, program in programs.items():
        apart = Program(program.child, ports[package], program._session)
        await eventually(apart.ready, limit=30)
        assert (await call(program, "GET", "/actuator/health"))[0] == 404
        assert (await call(program, "GET", "/api/nodes"))[0] == 200
        assert (await call(apart, "GET", "/api/nodes"))[0] == 404
        assert (await call(apart, "GET", "/actuator/info"))[0] == 200
        assert (await call(apart, "GET", "/actuator/info", X_Forwarded_For=STRANGER))[0] == 403
        status, text = await call(apart, "GET", "/actuator/nacosdiscovery")
        assert status == 200
        assert f'"management.port":"{ports[package]}"' in text.replace(" ", "")
        assert '"management.context-path":"/actuator"' in text.replace(" ", "")
    taken = cluster.spawn("service", MANAGEMENT_SERVER_PORT=str(ports["service"]))
    await eventually(lambda: not taken.child.alive, limit=30)
    assert "management.server.port" in taken.child.output()
    await asyncio.gather(*(asyncio.to_thread(p.child.stop) for p in programs.values()))

"""Who may connect: tokens and origins, on real nodes, directly and through the gateway."""

import asyncio
import json
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from devtools.ports import LOOPBACK
from tests.cluster import ClusterUnderTest, Program
from tests.service.token_maker import (
    ED25519,
    OTHER_ED25519,
    OTHER_SECRET,
    P256,
    RSA,
    SECRET,
    jwk,
    key_server,
    key_set,
    public_pem,
    token,
)
from tests.waiting import eventually

HS: dict[str, Any] = {"kid": "old", "algorithm": "HS256", "secret": SECRET}
NEXT: dict[str, Any] = {"kid": "new", "algorithm": "HS256", "secret": OTHER_SECRET}
WAYS = ["header", "query", "subprotocol"]


async def jwt(cluster: ClusterUnderTest, mode: str = "jwt", **jwt: Any) -> None:
    """Have every node ask for tokens: `keys=…, jwks_url=…`."""
    spelled = {name.replace("_", "-"): value for name, value in jwt.items()}
    await cluster.edit_nodes({"websocket": {"auth": {"mode": mode, "jwt": spelled}}})


def by(program: Program, way: str, text: str, user: str = "alice") -> Any:
    """Connect with a token in one of the three ways."""
    url = f"ws://{LOOPBACK}:{program.port}/websocket/{user}"
    if way == "header":
        return connect(url, additional_headers={"Authorization": f"Bearer {text}"})
    if way == "query":
        return connect(f"{url}?device=phone&access_token={text}")
    return connect(url, subprotocols=[f"bearer.{text}", "cluster.v1"])  # type: ignore[list-item]  # plain strings will do


async def outcome(connecting: Any) -> int | str:
    """Give what a client sees first: `pong`, or the code of the close."""
    async with connecting as client:
        try:
            return str(await asyncio.wait_for(client.recv(), 10))
        except ConnectionClosed:
            return int(client.close_code or 0)


async def comes_in(program: Program, text: str) -> int | str:
    return await outcome(by(program, "header", text))


@pytest.mark.shows("websocket.auth.mode")
async def test_each_way_to_show_a_token_works_directly_and_through_the_gateway(
    cluster: ClusterUnderTest,
) -> None:
    node, gateway = cluster.nodes[0], cluster.gateway
    async with await node.connect("early") as early:
        _, health = await node.get("/actuator/health/clientAuth")
        assert "any client may connect as any user" in health["details"]["warnings"][0]
        assert "any client may connect as any user" in node.child.output()
        await jwt(cluster, keys=[HS])
        assert await node.ready()
        good, others = token(kid="old"), token("bob", kid="old")
        bad = token(key=OTHER_SECRET, kid="old")
        for program in (node, gateway):
            for way in WAYS:
                assert await outcome(by(program, way, good)) == "pong"
                assert await outcome(by(program, way, bad)) == 4401
                assert await outcome(by(program, way, others)) == 4403
            async with by(program, "subprotocol", good) as client:
                assert client.subprotocol == "cluster.v1"
            bare = connect(f"ws://{LOOPBACK}:{program.port}/websocket/alice")
            assert await outcome(bare) == 4401
        async with by(gateway, "query", good):
            seen = json.dumps(await gateway.get("/api/users/alice"))
            assert "phone" in seen
            assert good not in seen
        # Refused with 4401 or 4403 everywhere, and told apart by the metrics.
        assert await node.metric("websocket_admissions_refused_total", reason="missing") >= 1
        assert await node.metric("websocket_admissions_refused_total", reason="subject") >= 3
        assert await node.metric("websocket_handshakes_refused_total", code="4401") >= 4
        # Who was in before stays; nothing of a token or a secret is shown.
        await early.send("ping")
        assert await early.recv() == "pong"
        for endpoint in ("env", "configprops", "nacosconfig", "health"):
            _, body = await node.get(f"/actuator/{endpoint}")
            assert SECRET not in json.dumps(body)
        _, props = await node.get("/actuator/configprops")
        assert '"secret": "******"' in json.dumps(props)
    await jwt(cluster, mode="none")
    async with await node.connect("anyone"):
        pass
    for text in (SECRET, good, bad, others, good.split(".")[2]):
        assert all(text not in log for log in cluster.logs().values())


@pytest.mark.shows("websocket.auth.jwt.keys", "websocket.auth.jwt.leeway")
async def test_a_key_is_rotated_live_and_a_connection_ends_with_its_token(
    cluster: ClusterUnderTest,
) -> None:
    node, gateway = cluster.nodes[0], cluster.gateway
    old, new = token(kid="old"), token(kid="new", key=OTHER_SECRET)
    await jwt(cluster, keys=[HS])
    async with by(gateway, "header", old) as stays:
        assert await stays.recv() == "pong"
        assert [await comes_in(node, text) for text in (old, new)] == ["pong", 4401]
        await jwt(cluster, keys=[HS, NEXT])
        assert [await comes_in(node, text) for text in (old, new)] == ["pong", "pong"]
        await jwt(cluster, keys=[NEXT])
        assert [await comes_in(node, text) for text in (old, new)] == [4401, "pong"]
        await stays.send("ping")
        assert await stays.recv() == "pong"

    # An edit that cannot be used leaves the keys as they are, and says what is wrong.
    unreadable = {"algorithm": "RS256", "public-key": "-----BEGIN PUBLIC KEY-----\nnone"}
    edit = {"mode": "jwt", "jwt": {"keys": [NEXT, unreadable]}}
    cluster.publish("websocket-service.yml", {"websocket": {"auth": edit}})

    async def refused() -> bool:
        _, body = await node.get("/actuator/health/nacosConfig")
        told = json.dumps(body)
        return "websocket.auth.jwt.keys[1].public-key" in told and "expected a PEM" in told

    await eventually(refused, limit=10)
    assert await comes_in(node, new) == "pong"

    # 60 s of leeway: a token that has just expired is good. Without any, it ends the connection.
    await jwt(cluster, keys=[NEXT, {"algorithm": "RS256", "public-key": public_pem(RSA)}])
    assert await comes_in(node, token(key=RSA, algorithm="RS256", life=-5)) == "pong"
    await jwt(cluster, keys=[NEXT], leeway="0s")
    assert await comes_in(node, token(kid="new", key=OTHER_SECRET, life=-5)) == 4401
    short = token(kid="new", key=OTHER_SECRET, life=2.5)
    for program in (node, gateway):
        client: ClientConnection
        async with by(program, "query", short) as client:
            assert await client.recv() == "pong"
            await asyncio.wait_for(client.wait_closed(), 10)
            assert (client.close_code, client.close_reason) == (4401, "the token has expired")
        short = token(kid="new", key=OTHER_SECRET, life=2.5)
    assert await node.metric("websocket_tokens_expired_total") >= 1


@pytest.mark.shows(
    "websocket.auth.jwt.issuer",
    "websocket.auth.jwt.audience",
    "websocket.auth.jwt.algorithms",
    "websocket.auth.jwt.require-exp",
)
async def test_what_a_token_must_say_is_live(cluster: ClusterUnderTest) -> None:
    node = cluster.nodes[0]
    keys = [HS, {"algorithm": "ES256", "public-key": public_pem(P256)}]
    plain, endless = token(kid="old"), token(kid="old", life=None)
    full = token(kid="old", iss="https://issuer", aud=["push"])
    signed = token(key=P256, algorithm="ES256")
    texts = (plain, full, endless, signed)

    async def seen(**rules: Any) -> list[int | str]:
        await jwt(cluster, **{"keys": keys, **rules})
        return list(await asyncio.gather(*(comes_in(node, text) for text in texts)))

    assert await seen() == ["pong", "pong", 4401, "pong"]
    assert await seen(issuer="https://issuer") == [4401, "pong", 4401, 4401]
    assert await seen(audience=["x", "push"]) == [4401, "pong", 4401, 4401]
    assert await seen(require_exp=False) == ["pong", "pong", "pong", "pong"]
    assert await seen(keys=keys[1:], algorithms=["ES256"]) == [4401, 4401, 4401, "pong"]


@pytest.mark.shows("websocket.auth.jwt.jwks-url", "websocket.auth.jwt.jwks-refresh")
async def test_keys_by_url_are_followed(cluster: ClusterUnderTest) -> None:
    node, gateway = cluster.nodes[0], cluster.gateway
    first = token(key=ED25519, algorithm="EdDSA", kid="first")
    second = token(key=OTHER_ED25519, algorithm="EdDSA", kid="second")
    async with key_server(jwk(ED25519, "first")) as issuer:
        # While the keys cannot be had, the node is not ready, and clients are to try again.
        issuer.status = 503
        await jwt(cluster, jwks_url=issuer.url)
        await eventually(lambda: issuer.asked >= 2)
        assert not await node.ready()
        assert await comes_in(node, first) == 4001
        assert await comes_in(gateway, first) == 4503
        issuer.status = 200
        for each in cluster.nodes:
            await eventually(each.ready, limit=15)
        assert await comes_in(node, first) == "pong"

        async def through_the_gateway() -> bool:
            # It passes the nodes over for a moment, for their 503.
            return await comes_in(gateway, first) == "pong"

        await eventually(through_the_gateway, limit=10)

        # A key that is not known yet has the set fetched, once, while the client waits.
        issuer.body = key_set(jwk(ED25519, "first"), jwk(OTHER_ED25519, "second"))
        asked = issuer.asked
        clients = [by(program, way, second) for program in (node, gateway) for way in WAYS]
        assert list(await asyncio.gather(*map(outcome, clients))) == ["pong"] * 6
        # By each node once at most.
        assert asked < issuer.asked <= asked + 2

        # The last good keys outlive the issuer's outage; a shorter interval is followed.
        issuer.status = 500
        await jwt(cluster, jwks_url=issuer.url, jwks_refresh="1s")

        async def warned() -> bool:
            _, health = await node.get("/actuator/health/clientAuth")
            return "it answered 500" in json.dumps(health)

        await eventually(warned, limit=10)
        assert await node.ready()
        assert await comes_in(node, second) == "pong"
        issuer.status, issuer.body = 200, key_set(jwk(OTHER_ED25519, "second"))

        async def first_is_out() -> bool:
            return await comes_in(node, first) == 4401

        await eventually(first_is_out, limit=40)
        assert await comes_in(node, second) == "pong"


@pytest.mark.shows("websocket.allowed-origins")
async def test_pages_of_other_origins_are_refused(cluster: ClusterUnderTest) -> None:
    node, gateway = cluster.nodes[0], cluster.gateway

    async def seen(program: Program, origin: str | None) -> int | str:
        url = f"ws://{LOOPBACK}:{program.port}/websocket/alice"
        return await outcome(connect(url, origin=origin))  # type: ignore[arg-type]  # a plain string will do

    assert await seen(node, "https://evil.example") == "pong"
    allowed = ["https://app.example.com", "https://*.example.org"]
    await cluster.edit_nodes({"websocket": {"allowed-origins": allowed}})
    for program in (node, gateway):
        assert await seen(program, "https://app.example.com") == "pong"
        assert await seen(program, "https://a.example.org") == "pong"
        assert await seen(program, "https://evil.example") == 4403
        # No browser.
        assert await seen(program, None) == "pong"
    assert await node.metric("websocket_admissions_refused_total", reason="origin") >= 1

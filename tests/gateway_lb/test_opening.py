"""Handshakes on real sockets: what a client is told, and what reaches a node."""

import asyncio
import json

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from tests.gateway_lb.fakes import (
    BUSY,
    FakeNode,
    Gateway,
    Visit,
    echo,
    gateway,
    handshake,
    instance,
    opened,
    says,
    silent,
    slam,
    until,
)


async def ask(gate: Gateway, request: bytes) -> tuple[int, dict[str, str], bytes]:
    """Send a request; give status, headers and body of an answer that ends the connection."""
    reader, writer = await gate.connect()
    writer.write(request)
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    return int(first.split()[1]), headers, body


async def close_of(gate: Gateway, *protocols: str) -> tuple[int | None, str | None, str | None]:
    offered = [Subprotocol(protocol) for protocol in protocols]
    async with connect(gate.ws(), subprotocols=offered or None) as client:
        with pytest.raises(ConnectionClosed):
            await client.recv()
        return client.close_code, client.close_reason, client.subprotocol


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        ((), None),
        (("cluster.v1",), "cluster.v1"),
        (("other", "cluster.v1"), "cluster.v1"),
        (("first", "second"), "first"),
        (("bearer.secret", "mine"), "mine"),
    ],
)
async def test_without_a_node_the_client_is_accepted_and_closed_with_4503(
    offered: tuple[str, ...], chosen: str | None
) -> None:
    async with gateway() as gate:
        assert await close_of(gate, *offered) == (4503, "no node is alive", chosen)
        await until(lambda: not gate.server._server.server_state.connections, "the socket is gone")


async def test_when_no_node_takes_the_client_it_is_closed_with_4503() -> None:
    async with FakeNode(BUSY) as one, FakeNode(slam) as two, gateway(one, two) as gate:
        code, reason, _ = await close_of(gate)
        assert (code, reason) == (4503, "no node could take the connection")
        assert gate.idle()


@pytest.mark.parametrize(
    ("request_head", "status"),
    [
        (handshake("/"), 404),
        (handshake("/websocket"), 404),
        (handshake("/api/push"), 404),
        (handshake(method="POST"), 405),
        (handshake("/websocket/a", "Sec-WebSocket-Version: 8"), 426),
        (handshake("/websocket/a", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 8"), 426),
        (handshake("/websocket/a", "Sec-WebSocket-Key: short"), 400),
        (handshake("/websocket/a", "Sec-WebSocket-Key: not base64 at all!!!"), 400),
        (handshake("/websocket/a", "Sec-WebSocket-Key: "), 400),
    ],
)
async def test_what_is_no_handshake_gets_the_http_error(request_head: bytes, status: int) -> None:
    async with FakeNode(echo) as node, gateway(node) as gate:
        answered, headers, body = await ask(gate, request_head)
        assert answered == status
        assert headers["content-type"] == "application/problem+json"
        assert json.loads(body)["status"] == status
        if status == 426:
            assert headers["sec-websocket-version"] == "13"
        if status == 405:
            assert headers["allow"] == "get"
        assert not node.visits


@pytest.mark.parametrize(
    ("trusted", "address", "scheme", "port"),
    [([], "127.0.0.1", "http", "80"), (["127.0.0.1"], "6.6.6.6", "https", "443")],
)
async def test_a_node_gets_the_clients_headers_and_who_it_is(
    trusted: list[str], address: str, scheme: str, port: str
) -> None:
    async with FakeNode(echo) as node, gateway(node, trusted_proxies=trusted) as gate:
        reader, writer = await gate.connect()
        writer.write(
            handshake(
                "/websocket/alice?room=1",
                "X-Forwarded-For: 6.6.6.6",
                "x-forwarded-proto: wss",
                "Forwarded: for=6.6.6.6",
                "X-Gateway-Attempt: 7",
                "X-Own: kept",
                "Connection: Upgrade, X-Hop",
                "X-Hop: dropped",
                "Cookie: a=b",
            )
        )
        await reader.readuntil(b"\r\n\r\n")
        writer.close()
        (visit,) = node.visits
        assert visit.head.startswith("GET /websocket/alice?room=1 HTTP/1.1\r\n")
        expected = {
            "Host": "gateway.test",
            "X-Forwarded-For": address,
            "X-Forwarded-Proto": scheme,
            "X-Forwarded-Host": "gateway.test",
            "X-Forwarded-Port": port,
            "X-Gateway-Attempt": "1",
            "X-Own": "kept",
            "Cookie": "a=b",
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Forwarded": None,
            "X-Hop": None,
        }
        assert {name: visit.header(name) for name in expected} == expected
        assert visit.head.lower().count("x-forwarded-for") == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\nX-Why: so\r\n\r\nno and more",
        b"HTTP/1.1 400 Bad\r\nX-Why: so\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 400 No\r\nX-Why: so\r\nContent-Length: 2\r\n\r\nno",
    ],
)
async def test_another_answer_of_the_node_is_passed_on_whole(answer: bytes) -> None:
    async with FakeNode(says(answer)) as node, gateway(node) as gate:
        status, headers, body = await ask(gate, handshake())
        assert (status, headers["x-why"], body) == (400, "so", b"no")
        assert (headers["content-length"], headers["connection"]) == ("2", "close")
        assert "transfer-encoding" not in headers
        assert gate.pool.members[0].set_aside_until == 0.0
        await until(lambda: node.open == 0, "the node's side is closed")
        await until(gate.idle, "nothing counts as open")


async def test_an_answer_that_ends_with_the_connection_is_passed_on() -> None:
    async def old_style(visit: Visit) -> None:
        visit.writer.write(b"HTTP/1.0 403 Forbidden\r\n\r\nnot you")

    async with FakeNode(old_style) as node, gateway(node) as gate:
        status, _, body = await ask(gate, handshake())
        assert (status, body) == (403, b"not you")


async def test_a_client_that_leaves_meanwhile_frees_its_place_at_the_node() -> None:
    async with FakeNode(silent) as node, gateway(node) as gate:
        _, writer = await gate.connect()
        writer.write(handshake())
        await until(lambda: node.visits, "the node is asked")
        assert gate.pool.members[0].open == 1
        writer.transport.abort()
        await until(lambda: node.open == 0, "the node's side is closed")
        await until(gate.idle, "nothing counts as open")


async def test_the_end_of_the_server_tells_waiting_clients_to_come_back() -> None:
    async with FakeNode(silent) as node, gateway(node) as gate:
        waiting = asyncio.create_task(close_of(gate))
        await until(lambda: node.visits, "the node is asked")
        for connection in list(gate.server._server.server_state.connections):
            connection.shutdown()
        code, _, _ = await waiting
        assert code == 4001


async def test_an_unreachable_node_does_not_show() -> None:
    async with FakeNode(echo) as node:
        async with FakeNode(echo) as gone:
            dead = instance(gone.port)
        async with gateway(dead, node) as gate:
            for _ in range(3):
                _, writer = await opened(gate)
                writer.close()
            assert len(node.visits) == 3

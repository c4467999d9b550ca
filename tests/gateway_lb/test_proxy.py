"""The reverse proxy on real sockets, between an HTTP client and a node's API."""

import asyncio
import gzip
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from nacos_boot.registry.instance import Instance
from tests.gateway_lb.fakes import (
    LIMIT,
    FakeNode,
    Gateway,
    Visit,
    gateway,
    instance,
    says,
    settings,
    silent,
    slam,
    until,
)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def node_api(handler: Handler) -> AsyncIterator[Instance]:
    app = web.Application(client_max_size=1 << 30)
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, auto_decompress=False, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield instance(runner.addresses[0][1])
    finally:
        await runner.cleanup()


@asynccontextmanager
async def client(gate: Gateway) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(gate.origin, auto_decompress=False) as session:
        yield session


async def raw(gate: Gateway, request: bytes) -> bytes:
    reader, writer = await gate.connect()
    writer.write(request)
    async with asyncio.timeout(LIMIT):
        answer = await reader.read()
    writer.close()
    return answer


async def mirror(request: web.Request) -> web.Response:
    headers = [[name.lower(), value] for name, value in request.headers.items()]
    return web.json_response(
        {
            "method": request.method,
            "target": request.raw_path,
            "headers": headers,
            "body": (await request.read()).decode("latin-1"),
        }
    )


async def test_a_request_and_its_answer_pass_unchanged() -> None:
    async with node_api(mirror) as node, gateway(node) as gate, client(gate) as http:
        target = "/api/users/a%2Fb%20c?q=%C3%A9&q=2+3"
        async with http.put(gate.origin + target, data=b"\x00\xff") as answer:
            seen = await answer.json()
        # yarl, in the test's client, writes the query in its own way; the path is as given.
        assert seen["method"] == "PUT"
        assert seen["target"].startswith("/api/users/a%2Fb%20c?")
        assert seen["body"] == "\x00\xff"
        answered = await raw(
            gate,
            b"GET /api/x%2f..%2fy?a=%zz&b HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
        )
        assert answered.startswith(b"HTTP/1.1 404 "), "dot segments, however they are written"
        answered = await raw(
            gate, b"GET /api/%7Ex;y?a=%zz&b HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
        )
        assert b'"target": "/api/%7Ex;y?a=%zz&b"' in answered


@pytest.mark.parametrize(
    ("trusted", "address", "scheme"),
    [([], "unknown", "http"), (["127.0.0.0/8"], "6.6.6.6", "https")],
)
async def test_headers_of_one_connection_stop_at_the_gateway_and_the_client_is_named(
    trusted: list[str], address: str, scheme: str
) -> None:
    async def handler(request: web.Request) -> web.Response:
        answer = await mirror(request)
        answer.headers.update({"X-Node": "1", "X-Hop": "2", "Connection": "X-Hop"})
        answer.headers["Keep-Alive"] = "timeout=5"
        return answer

    async with (
        node_api(handler) as node,
        gateway(node, trusted_proxies=trusted) as gate,
        client(gate) as http,
    ):
        headers = {
            "X-Forwarded-For": "7.7.7.7, 6.6.6.6",
            "X-Forwarded-Proto": "https",
            "Forwarded": "for=6.6.6.6",
            "Connection": "X-Mine",
            "X-Mine": "1",
            "X-Kept": "é",
            "TE": "trailers",
        }
        async with http.get("/openapi.json", headers=headers) as answer:
            seen = dict((await answer.json())["headers"])
            got = answer.headers
        assert seen["x-forwarded-for"] == address
        assert seen["x-forwarded-proto"] == scheme
        assert seen["x-forwarded-host"] == seen["host"] == f"127.0.0.1:{gate.port}"
        assert seen["x-forwarded-port"] == str(gate.port)
        assert seen["x-kept"] == "é"
        assert not {"forwarded", "x-mine", "te"} & seen.keys()
        assert got["X-Node"] == "1"
        assert not {"X-Hop", "Keep-Alive"} & got.keys()
        assert len(got.getall("Date")) == 1


async def test_a_request_is_streamed_as_it_comes() -> None:
    pieces: asyncio.Queue[bytes] = asyncio.Queue()

    async def handler(request: web.Request) -> web.Response:
        async for piece in request.content.iter_any():
            pieces.put_nowait(piece)
        return web.Response(text="all")

    async def body() -> AsyncIterator[bytes]:
        for number in range(3):
            yield b"line %d\n" % number
            assert await pieces.get() == b"line %d\n" % number, "before the next is sent"

    async with node_api(handler) as node, gateway(node) as gate, client(gate) as http:
        answer = await http.post("/api/push/batch", data=body())
        assert await answer.text() == "all"


async def test_an_answer_is_streamed_as_it_comes() -> None:
    go_on = asyncio.Event()

    async def handler(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        await answer.write(b"first")
        await go_on.wait()
        await answer.write(b"second")
        return answer

    async with node_api(handler) as node, gateway(node) as gate, client(gate) as http:
        answer = await http.get("/api/users")
        assert await answer.content.readany() == b"first"
        go_on.set()
        assert await answer.read() == b"second"


async def test_a_large_answer_waits_for_a_slow_client() -> None:
    data = os.urandom(48 << 20)
    sent = 0

    async def handler(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        answer = web.StreamResponse(headers={"Content-Length": str(len(data))})
        await answer.prepare(request)
        for start in range(0, len(data), 1 << 20):
            await answer.write(data[start : start + (1 << 20)])
            sent += 1
        return answer

    async with node_api(handler) as node, gateway(node) as gate:
        reader, writer = await gate.connect()
        writer.write(b"GET /api/big HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        (connection,) = await connections(gate)
        await until(lambda: connection.flow.write_paused, "the client is too slow")
        assert sent < 40
        received = await reader.read()
        assert received.partition(b"\r\n\r\n")[2] == data
        writer.close()


async def test_a_large_request_waits_for_a_slow_node() -> None:
    data = os.urandom(48 << 20)
    read = asyncio.Event()

    async def handler(request: web.Request) -> web.Response:
        await read.wait()
        return web.Response(text=str(await request.read() == data))

    async with node_api(handler) as node, gateway(node) as gate:
        reader, writer = await gate.connect()
        head = (
            b"POST /api/big HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
        )
        writer.write(head % len(data) + data)
        (connection,) = await connections(gate)
        await until(lambda: connection.flow.read_paused, "the node is too slow")
        assert len(connection.cycle.body) < 1 << 20
        read.set()
        assert (await reader.read()).endswith(b"True")
        writer.close()


async def connections(gate: Gateway) -> list[Any]:
    state = gate.server._server.server_state
    await until(lambda: state.connections, "the client is connected")
    return list(state.connections)


async def test_compressed_answers_stay_compressed() -> None:
    packed = gzip.compress(b"x" * 1000)

    async def handler(_: web.Request) -> web.Response:
        return web.Response(body=packed, headers={"Content-Encoding": "gzip"})

    async with node_api(handler) as node, gateway(node) as gate, client(gate) as http:
        answer = await http.get("/api/users")
        assert answer.headers["Content-Encoding"] == "gzip"
        assert await answer.read() == packed


async def test_redirects_and_cookies_are_the_clients_affair() -> None:
    seen = []

    async def handler(request: web.Request) -> web.Response:
        seen.append(request.headers.get("Cookie"))
        return web.Response(
            status=302, headers={"Location": "/elsewhere", "Set-Cookie": "session=alice"}
        )

    async with node_api(handler) as node, gateway(node) as gate:
        for _ in range(2):
            answer = await raw(gate, b"GET /api/x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
            assert b"302 Found" in answer
            assert b"session=alice" in answer
        assert seen == [None, None]


@pytest.mark.parametrize(
    ("method", "status"), [("HEAD", 200), ("DELETE", 204), ("GET", 304), ("GET", 404)]
)
async def test_answers_without_a_body_end(method: str, status: int) -> None:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(status=status, headers={"ETag": '"x"'})

    async with node_api(handler) as node, gateway(node) as gate, client(gate) as http:
        for _ in range(2):
            async with http.request(method, "/api/users/alice") as answer:
                assert answer.status == status
                assert answer.headers["ETag"] == '"x"'
                assert await answer.read() == b""


async def test_a_length_that_stands_for_no_body_does_not_break_the_answer() -> None:
    async def unchanged(visit: Visit) -> None:
        visit.writer.write(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n")

    async with FakeNode(unchanged) as node, gateway(node) as gate:
        reader, writer = await gate.connect()
        for _ in range(2):
            writer.write(b"GET /api/x HTTP/1.1\r\nHost: h\r\n\r\n")
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 304 ")
        writer.close()


async def test_a_node_that_cannot_be_reached_does_not_show_and_no_body_is_lost() -> None:
    async with FakeNode(silent) as gone:
        pass
    async with node_api(mirror) as node, gateway(gone.instance, node) as gate:
        async with client(gate) as http:
            for _ in range(4):
                async with http.post("/api/push", data=b"once") as answer:
                    assert (await answer.json())["body"] == "once"
        (dead,) = [m for m in gate.pool.members if m.instance.port == gone.port]
        assert dead.set_aside_until > 0


async def test_nodes_take_turns() -> None:
    counts = {"one": 0, "two": 0}

    def counting(name: str) -> Handler:
        async def handler(_: web.Request) -> web.Response:
            counts[name] += 1
            return web.Response()

        return handler

    async with (
        node_api(counting("one")) as one,
        node_api(counting("two")) as two,
        gateway(one, two) as gate,
        client(gate) as http,
    ):
        for _ in range(6):
            async with http.get("/api/users"):
                pass
    assert counts == {"one": 3, "two": 3}


async def problem_of(gate: Gateway, **request: Any) -> tuple[int, dict[str, Any], Any]:
    async with client(gate) as http:
        answer = await http.request(request.pop("method", "GET"), "/api/users", **request)
        assert answer.content_type == "application/problem+json"
        document = await answer.json(content_type=None)
        assert document["status"] == answer.status
        return answer.status, document, answer.headers


async def test_without_a_node_the_answer_is_503_with_retry_after() -> None:
    async with gateway() as gate:
        status, document, headers = await problem_of(gate)
        assert (status, document["detail"]) == (503, "No node is alive.")
        assert int(headers["Retry-After"]) > 0


async def test_when_no_node_can_be_reached_the_answer_is_503() -> None:
    async with FakeNode(silent) as gone:
        pass
    async with gateway(gone.instance) as gate:
        status, document, _ = await problem_of(gate, method="POST", data=b"x")
        assert (status, document["detail"]) == (503, "No node could be reached.")


async def test_a_node_that_does_not_answer_is_504() -> None:
    async with FakeNode(silent) as node, gateway(node, proxy={"timeout": "200ms"}) as gate:
        status, _, _ = await problem_of(gate)
        assert status == 504
        await until(lambda: node.open == 0, "the node's side is closed")


@pytest.mark.parametrize("script", [slam, says(b"SSH-2.0-x\r\n\r\n")], ids=["closes", "no HTTP"])
async def test_a_node_that_gives_no_answer_is_502_and_a_post_is_not_sent_twice(
    script: Callable[[Visit], Awaitable[None]],
) -> None:
    async with FakeNode(script) as one, FakeNode(script) as two, gateway(one, two) as gate:
        status, _, _ = await problem_of(gate, method="POST", data=b"once")
        assert status == 502
        assert len(one.visits) + len(two.visits) == 1


async def test_a_node_that_stops_reading_a_request_is_504() -> None:
    async def deaf(_: Visit) -> None:
        await asyncio.Event().wait()

    async with FakeNode(deaf) as node, gateway(node, proxy={"timeout": "200ms"}) as gate:
        reader, writer = await gate.connect()
        writer.write(b"POST /api/x HTTP/1.1\r\nHost: h\r\nContent-Length: 67108864\r\n\r\n")
        writer.write(bytes(32 << 20))
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 504 ")
        writer.transport.abort()


async def test_a_client_that_stops_sending_its_request_is_408() -> None:
    async with FakeNode(silent) as node, gateway(node, proxy={"timeout": "200ms"}) as gate:
        answer = await raw(gate, b"POST /api/x HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nabc")
        assert answer.startswith(b"HTTP/1.1 408 ")
        await until(lambda: node.open == 0, "the node's side is closed")


@pytest.mark.parametrize("sent", [b"abc", b"abcde"], ids=["within", "behind"])
async def test_when_the_client_leaves_the_request_to_the_node_ends(sent: bytes) -> None:
    async with FakeNode(silent) as node, gateway(node) as gate:
        _, writer = await gate.connect()
        writer.write(b"POST /api/x HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n" + sent)
        await until(lambda: node.visits, "the node is asked")
        writer.close()
        await until(lambda: node.open == 0, "the node's side is closed")
        await until(lambda: not gate.server._server.server_state.tasks, "nothing runs on")


async def test_an_answer_that_breaks_off_breaks_off_for_the_client_too() -> None:
    async def broken(visit: Visit) -> None:
        visit.writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")

    async with FakeNode(broken) as node, gateway(node) as gate, client(gate) as http:
        answer = await http.get("/api/users")
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.read()


async def test_an_early_refusal_reaches_a_client_that_is_still_sending() -> None:
    early = says(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")
    async with FakeNode(early) as node, gateway(node) as gate:
        reader, writer = await gate.connect()
        writer.write(b"POST /api/x HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\nabc")
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 413 ")
        assert await reader.readexactly(2) == b"no"
        writer.close()


async def test_a_client_that_expects_to_be_asked_is_asked() -> None:
    async with node_api(mirror) as node, gateway(node) as gate, client(gate) as http:
        async with http.post("/api/push", data=b"body", expect100=True) as answer:
            seen = await answer.json()
        assert seen["body"] == "body"
        assert "expect" not in dict(seen["headers"])


async def test_a_connection_that_the_node_closed_meanwhile_is_not_used_again() -> None:
    async def once(visit: Visit) -> None:
        visit.writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    async with FakeNode(once) as node, gateway(node) as gate, client(gate) as http:
        for count in range(1, 4):
            async with http.post("/api/push", data=b"x") as answer:
                assert answer.status == 200
            await until(lambda: node.open == 0, "the node has closed it")
            assert len(node.visits) == count


async def test_new_settings_hold_for_the_next_request() -> None:
    async with FakeNode(silent) as node, gateway(node) as gate:
        gate.live.swap(settings(proxy={"timeout": "100ms"}))
        status, _, _ = await problem_of(gate)
        assert status == 504

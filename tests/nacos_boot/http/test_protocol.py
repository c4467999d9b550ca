"""HTTP on real sockets: what is served, what is refused, and where an upgrade goes."""

import asyncio
import gc
import json
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import uvicorn
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from nacos_boot.http.protocol import HttpProtocol, http_protocol
from tests.waiting import eventually

LIMIT = 10.0


class Upgraded(asyncio.Protocol):
    """What takes over a connection: it keeps what it was given, and echoes later bytes."""

    seen: list["Upgraded"]

    def __init__(self, config: Any, server_state: Any, app_state: Any) -> None:  # noqa: ARG002 - uvicorn's signature
        self.head = b""
        self.data = b""
        self.seen.append(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if not self.head:
            self.head = data
            self.transport.write(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
        else:
            self.data += data
            self.transport.write(data)


class Asked(Upgraded):
    """One that is asked whether the parsed head will do."""

    will_do: bool
    parsed: tuple[bytes, bytes, list[tuple[bytes, bytes]]]

    def head_received(
        self, method: bytes, target: bytes, headers: list[tuple[bytes, bytes]]
    ) -> bool:
        self.parsed = (method, target, headers)
        if self.will_do:
            self.head = b"parsed"
            self.transport.write(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
        return self.will_do


@dataclass
class Server:
    port: int
    uvicorn: uvicorn.Server
    upgraded: list[Upgraded]
    scopes: list[Any] = field(default_factory=list)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)

    async def exchange(self, *pieces: bytes) -> bytes:
        """Send pieces, each in a segment of its own; give all that comes until the end."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            async with asyncio.timeout(LIMIT):
                for piece in pieces:
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0.01)
                return await reader.read()
        finally:
            writer.transport.abort()


@asynccontextmanager
async def serving(
    protocol: type[HttpProtocol] = HttpProtocol, taker: type[Upgraded] = Upgraded
) -> AsyncIterator[Server]:
    scopes: list[Any] = []
    go_on = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scopes.append(scope)
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message["body"]
            more = message["more_body"]
        if scope["path"] == "/slow":
            await go_on.wait()
        document = json.dumps({"path": scope["path"], "body": body.decode("latin-1")}).encode()
        headers = [(b"content-length", str(len(document)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": document})

    upgraded: list[Upgraded] = []
    config = uvicorn.Config(
        app,
        port=0,
        http=protocol,
        ws=type("Bound", (taker,), {"seen": upgraded}),
        lifespan="off",
        access_log=False,
        log_config=None,
        proxy_headers=False,
    )
    server = uvicorn.Server(config)
    config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield Server(port, server, upgraded, scopes, go_on)
    finally:
        server.servers[0].close()
        for connection in list(server.server_state.connections):
            connection.transport.abort()
        for taken in upgraded:
            taken.transport.abort()


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer else 0


def request(*headers: str, line: str = "GET /a HTTP/1.1", host: str | None = "Host: h") -> bytes:
    lines = [line, *([host] if host else []), *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


CLOSE = "Connection: close"
UPGRADE = ("Connection: Upgrade", "Upgrade: websocket")


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (request("Host: h"), 400),
        (request("Host: other"), 400),
        (request(host=None), 400),
        (request(host="Host: a b"), 400),
        (request(host="Host: user@h"), 400),
        (request(host="Host: h/path"), 400),
        (request(host="Host: h, other"), 400),
        (request("Content-Length: 1", "Content-Length: 1"), 400),
        (request("Content-Length: 1", "Content-Length: 2"), 400),
        (request("Content-Length: 1, 1"), 400),
        (request("Content-Length: +1"), 400),
        (request("Content-Length: -1"), 400),
        (request("Content-Length: 0x1"), 400),
        (request("Content-Length: 1", "Transfer-Encoding: chunked"), 400),
        (request("Transfer-Encoding: chunked", "Content-Length: 1"), 400),
        (request("Transfer-Encoding: chunked, identity"), 400),
        (request("Transfer-Encoding: chunked", "Transfer-Encoding: identity"), 400),
        (request("Transfer-Encoding: gzip, chunked"), 501),
        (request("Transfer-Encoding: identity"), 501),
        (request("Transfer-Encoding: xchunked"), 501),
        (request("Transfer-Encoding: chunked", line="POST /a HTTP/1.0"), 400),
        (request("A: b", " folded"), 400),
        (request("A: b", "\tfolded"), 400),
        (request("A:", " folded"), 400),
        (request(" A: b"), 400),
        (request("A : b"), 400),
        (request(": b"), 400),
        (request("A: b\nC: d"), 400),
        (request("A: b\rC: d"), 400),
        (request("A: b\0"), 400),
        (request("A: \x01"), 400),
        (b"GET /a HTTP/1.1\nHost: h\n\n", 400),
        (b"GET /a HTTP/1.1\r\nHost: h\r\nA: b\r\n\n", 400),
        (b"GET /a b HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        (b"GET /\xff HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        (request(line="GET /a HTTP/3.7"), 400),
        (request(line="NONSENSE /a HTTP/1.1"), 400),
        (request(line="CONNECT h:80 HTTP/1.1"), 501),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01", 400),
        (request(*UPGRADE, "Content-Length: 4"), 400),
        (request(*UPGRADE, "Content-Length: 04"), 400),
        (request(*UPGRADE, "Transfer-Encoding: chunked"), 400),
        (request(*UPGRADE, "Host: other"), 400),
        (request(*UPGRADE, "A: b", " folded"), 400),
    ],
)
async def test_what_cannot_be_read_in_one_way_only_is_refused(data: bytes, status: int) -> None:
    async with serving() as server:
        answer = await server.exchange(data + b"GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n")
        assert status_of(answer) == status
        head, _, body = answer.partition(b"\r\n\r\n")
        assert b"content-type: application/problem+json" in head
        assert b"connection: close" in head
        assert json.loads(body)["status"] == status
        assert not server.scopes
        assert not server.upgraded


@pytest.mark.parametrize(
    "data",
    [
        request(CLOSE),
        request(CLOSE, host="Host: [::1]:8000"),
        request(CLOSE, host="Host: h:8000 "),
        request(CLOSE, host="Host:"),
        request(CLOSE, "X: \xe9"),
        request(host=None, line="GET /a HTTP/1.0"),
        request(CLOSE, line="GET http://h/a HTTP/1.1"),
        request(CLOSE, "Upgrade: h2c"),
        request("Connection: close, Upgrade", "Upgrade: h2c"),
        request(*UPGRADE, line="GET /a HTTP/1.0"),
        b"\r\n\r\n" + request(CLOSE),
    ],
)
async def test_an_ordinary_request_is_served(data: bytes) -> None:
    async with serving() as server:
        answer = await server.exchange(data)
        assert status_of(answer) == 200
        assert server.scopes[0]["path"] == "/a"


@pytest.mark.parametrize("cut", [1, 20, 33, 60])
async def test_a_request_may_come_in_pieces(cut: int) -> None:
    async with serving() as server:
        data = request(CLOSE, "Content-Length: 5", line="POST /a HTTP/1.1") + b"hello"
        answer = await server.exchange(data[:cut], data[cut:])
        assert answer.endswith(b'"body": "hello"}')


async def test_several_requests_on_one_connection_are_served_in_order() -> None:
    async with serving() as server:
        answer = await server.exchange(
            request(line="GET /1 HTTP/1.1")
            + request("Content-Length: 2", line="POST /2 HTTP/1.1")
            + b"hi"
            + request(CLOSE, line="GET /3 HTTP/1.1")
        )
        assert [scope["path"] for scope in server.scopes] == ["/1", "/2", "/3"]
        assert answer.count(b"HTTP/1.1 200") == 3


async def test_an_upgrade_that_nobody_takes_is_an_ordinary_request_with_its_body() -> None:
    # Java's HttpClient offers h2c with every request by default, bodies included.
    h2c = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk")
    async with serving() as server:
        first = request(*h2c, "Content-Length: 5", line="POST /1 HTTP/1.1")
        second = request(*h2c, "Transfer-Encoding: chunked", line="POST /2 HTTP/1.1")
        answer = await server.exchange(
            first + b"he",
            b"llo" + second + b"3\r\nbye\r\n0\r\n\r\n" + request(CLOSE, line="GET /3 HTTP/1.1"),
        )
        assert [scope["path"] for scope in server.scopes] == ["/1", "/2", "/3"]
        assert b'"body": "hello"' in answer
        assert b'"body": "bye"' in answer
        assert b"upgrade" not in dict(server.scopes[0]["headers"])


async def test_trailers_do_not_become_headers_of_the_running_request() -> None:
    async with serving() as server:
        data = request("Transfer-Encoding: chunked", CLOSE, line="POST /a HTTP/1.1")
        answer = await server.exchange(data + b"1\r\nx\r\n0\r\nX-Forwarded-For: evil\r\n\r\n")
        assert status_of(answer) == 200
        names = {name for name, _ in server.scopes[0]["headers"]}
        assert names == {b"host", b"transfer-encoding", b"connection"}


@pytest.mark.parametrize("pieces", [[b"early frame"], [b"early", b" frame"], [b"", b"early frame"]])
async def test_bytes_behind_the_head_of_an_upgrade_go_to_who_takes_it(pieces: list[bytes]) -> None:
    async with serving() as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        head = request(*UPGRADE, "X-Own: 1", line="GET /ws?a=b HTTP/1.1")
        writer.write(head + pieces[0])
        await reader.readuntil(b"\r\n\r\n")
        for piece in pieces[1:]:
            writer.write(piece)
        assert await reader.readexactly(11) == b"early frame"
        (taken,) = server.upgraded
        assert taken.head.startswith(b"GET /ws?a=b HTTP/1.1\r\nhost: h\r\n")
        assert taken.head.endswith(b"x-own: 1\r\n\r\n")
        assert not server.uvicorn.server_state.connections
        writer.close()


@pytest.mark.parametrize("will_do", [True, False])
async def test_who_asks_for_it_gets_the_parsed_head_and_the_written_one_only_on_demand(
    will_do: bool,
) -> None:
    taker = type("Decided", (Asked,), {"will_do": will_do})
    async with serving(taker=taker) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        head = request(*UPGRADE, "X-Own: 1", line="GET /ws?a=b HTTP/1.1")
        writer.write(head[:30])
        await connections(server)
        writer.write(head[30:] + b"early")
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b" frame")
        assert await reader.readexactly(11) == b"early frame"
        [taken] = server.upgraded
        assert isinstance(taken, Asked)
        assert taken.parsed == (
            b"GET",
            b"/ws?a=b",
            [
                (b"host", b"h"),
                (b"connection", b"Upgrade"),
                (b"upgrade", b"websocket"),
                (b"x-own", b"1"),
            ],
        )
        if will_do:
            assert taken.head == b"parsed"
        else:
            assert taken.head.startswith(b"GET /ws?a=b HTTP/1.1\r\nhost: h\r\n")
        assert not server.uvicorn.server_state.connections
        writer.close()


async def test_who_handed_a_connection_over_is_freed_at_once() -> None:
    async with serving() as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        gc.collect()
        gc.disable()
        try:
            writer.write(b"GET")
            (http,) = await connections(server)
            ref = weakref.ref(http)
            del http
            writer.write(request(*UPGRADE)[3:])
            await reader.readuntil(b"\r\n\r\n")
            assert ref() is None
        finally:
            gc.enable()
        writer.close()


async def connections(server: Server) -> list[Any]:
    await eventually(lambda: server.uvicorn.server_state.connections)
    return list(server.uvicorn.server_state.connections)


async def test_an_upgrade_behind_a_request_that_is_still_served_is_refused() -> None:
    async with serving() as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(request(line="GET /slow HTTP/1.1") + request(*UPGRADE))
        await eventually(lambda: server.scopes)
        server.go_on.set()
        answer = await reader.read()
        assert answer.count(b"HTTP/1.1 ") == 1
        assert answer.endswith(b'{"path": "/slow", "body": ""}')
        assert not server.upgraded
        writer.close()


async def test_a_broken_request_behind_another_does_not_spoil_its_answer() -> None:
    async with serving() as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(request(line="GET /slow HTTP/1.1") + b"NONSENSE\r\n\r\n")
        await eventually(lambda: server.scopes)
        server.go_on.set()
        answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert answer.count(b"HTTP/1.1 ") == 1
        writer.close()


async def test_a_body_that_breaks_is_refused_and_the_application_let_go() -> None:
    async with serving() as server:
        data = request("Transfer-Encoding: chunked", line="POST /a HTTP/1.1")
        answer = await server.exchange(data + b"1\r\nx\r\n", b"nonsense\r\n")
        assert status_of(answer) == 400
        await eventually(lambda: not server.uvicorn.server_state.tasks)


def head_of(size: int) -> bytes:
    """A head that the protocol counts as `size` bytes: target, and name, value and 4 per header."""
    fixed = len("/a") + len("host" + "h") + len("connection" + "close") + len("x") + 3 * 4
    return request(CLOSE, "X: " + "y" * (size - fixed))


@pytest.mark.parametrize(("size", "status"), [(2000, 200), (2001, 431)])
async def test_a_head_is_limited_to_the_byte(size: int, status: int) -> None:
    async with serving(http_protocol(head_limit=2000)) as server:
        assert status_of(await server.exchange(head_of(size))) == status


async def test_a_head_behind_another_in_one_read_is_limited_too() -> None:
    async with serving(http_protocol(head_limit=2000)) as server:
        answer = await server.exchange(request() + head_of(2001))
        assert answer.startswith(b"HTTP/1.1 ")
        assert len(server.scopes) == 1


@pytest.mark.parametrize(
    "endless",
    [
        b"GET /" + b"a" * 100_000,
        b"GET /a HTTP/1.1\r\nHost: h\r\nX: " + b"a" * 100_000,
        b"GET /a HTTP/1.1\r\n" + b"A: b\r\n" * 20_000,
        b"GET /a HTTP/1.1\r\n" + b"a" * 100_000,
        b"\r\n" * 50_000,
    ],
    ids=["target", "value", "headers", "name", "empty lines"],
)
async def test_a_head_without_an_end_is_refused(endless: bytes) -> None:
    async with serving() as server:
        assert status_of(await server.exchange(endless)) == 431


async def test_trailers_without_an_end_are_refused() -> None:
    async with serving() as server:
        data = request("Transfer-Encoding: chunked", line="POST /a HTTP/1.1")
        answer = await server.exchange(data + b"1\r\nx\r\n", b"0\r\nX: ", b"a" * 100_000)
        assert status_of(answer) == 431


async def test_a_large_body_is_not_taken_for_a_head() -> None:
    async with serving() as server:
        data = request("Content-Length: 500000", CLOSE, line="POST /a HTTP/1.1")
        assert status_of(await server.exchange(data + bytes(500_000))) == 200


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET /a HTTP/1.1\r\nHo", 408),
        (request() + b"GET /b", 408),
        (b"", 0),
        (b"\r\n", 0),
    ],
    ids=["first head", "second head", "nothing", "an empty line"],
)
async def test_a_head_must_come_in_time(data: bytes, status: int) -> None:
    async with serving(http_protocol(head_timeout=0.2)) as server:
        answer = await server.exchange(data)
        last = answer.rpartition(b"HTTP/1.1 ")[2]
        assert int(last[:3] or 0) == status


async def test_a_body_may_take_longer_than_a_head() -> None:
    async with serving(http_protocol(head_timeout=0.2)) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(request("Content-Length: 2", CLOSE, line="POST /a HTTP/1.1") + b"h")
        await asyncio.sleep(0.8)  # longer than the limit and its precision
        writer.write(b"i")
        assert (await reader.read()).endswith(b'"body": "hi"}')
        writer.close()


async def test_an_answer_may_take_longer_than_a_head() -> None:
    async with serving(http_protocol(head_timeout=0.2)) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(request(CLOSE, line="GET /slow HTTP/1.1"))
        await asyncio.sleep(0.8)  # longer than the limit and its precision
        server.go_on.set()
        assert (await reader.read()).startswith(b"HTTP/1.1 200 ")
        writer.close()


async def test_a_limit_changed_while_serving_holds_for_the_next_request() -> None:
    protocol = http_protocol()
    async with serving(protocol) as server:
        assert status_of(await server.exchange(head_of(2001))) == 200
        protocol.head_limit = 2000
        assert status_of(await server.exchange(head_of(2001))) == 431
        assert HttpProtocol.head_limit == 65536


class _Sink(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)

    def get_extra_info(self, name: str, default: Any = None) -> Any:  # noqa: ARG002 - asyncio's signature
        return default

    def can_write_eof(self) -> bool:
        return False

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = True

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=40),
            st.sampled_from(
                [b"GET /a HTTP/1.1\r\n", b"Host: h\r\n", b"\r\n", b"Upgrade: websocket\r\n",
                 b"Connection: Upgrade\r\n", b"Content-Length: 3\r\n", b"Upgrade: h2c\r\n",
                 b"Transfer-Encoding: chunked\r\n", b"3\r\nabc\r\n", b"0\r\n\r\n"]
            ),
        ),
        max_size=12,
    )
)  # fmt: skip
async def test_any_bytes_are_survived(pieces: list[bytes]) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    taken: list[Upgraded] = []
    config = uvicorn.Config(
        app, ws=type("Bound", (Upgraded,), {"seen": taken}), log_config=None, lifespan="off"
    )
    config.load()
    state = uvicorn.server.ServerState()
    protocol: Any = HttpProtocol(config=config, server_state=state, app_state={})
    sink = _Sink()
    sink.get_protocol = lambda: taken[-1]  # type: ignore[method-assign]
    sink.set_protocol = lambda _: None  # type: ignore[method-assign]
    protocol.connection_made(sink)
    for piece in pieces:
        if taken or sink.closed:
            break
        protocol.data_received(piece)
    if not taken:
        protocol.connection_lost(None)
    await asyncio.gather(*state.tasks)

"""Requests made to be read in two ways, on raw sockets, at the gateway and directly at a node.

Each row says which status answers it, the only one. `SMUGGLED` stands where a second reader would
find a request of its own: a push to a user who is connected, and who must never get it.
"""

import asyncio
import re
from dataclasses import dataclass

import pytest
from websockets.frames import Frame, Opcode

from devtools.ports import LOOPBACK
from tests.cluster import ClusterUnderTest, Program
from tests.raw_client import raw_client

_BODY = b'{"content":"smuggled","targetUserList":["canary"]}'
SMUGGLED = (
    b"POST /api/push HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(_BODY), _BODY)
)
_LENGTH = b"Content-Length: %d\r\n" % len(SMUGGLED)
CHUNKED = b"Transfer-Encoding: chunked\r\n"
_CHUNK = b"%x\r\n%s\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED)
_KEY = b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
_VERSION = b"Sec-WebSocket-Version: 13\r\n"
_PING = Frame(Opcode.TEXT, b"ping").serialize(mask=True)


def get(
    headers: bytes = b"", *, line: bytes = b"GET /api/users HTTP/1.1", host: bytes = b"Host: h\r\n"
) -> bytes:
    return line + b"\r\n" + host + headers + b"\r\n"


def post(headers: bytes, body: bytes = SMUGGLED) -> bytes:
    return get(headers, line=b"POST /api/push HTTP/1.1") + body


def upgrade(
    headers: bytes = b"",
    behind: bytes = SMUGGLED,
    *,
    line: bytes = b"GET /websocket/mallory HTTP/1.1",
    usual: bytes = _KEY + _VERSION,
) -> bytes:
    return (
        get(b"Connection: Upgrade\r\nUpgrade: websocket\r\n" + usual + headers, line=line) + behind
    )


@dataclass(frozen=True)
class Row:
    name: str
    sent: bytes
    gateway: int
    node: int


def row(name: str, sent: bytes, status: int, at_node: int = 0) -> Row:
    return Row(name, sent, status, at_node or status)


ROWS = [
    # Where the body ends: two lengths.
    row("two lengths that differ", post(b"Content-Length: 3\r\n" + _LENGTH), 400),
    row("two lengths that agree", post(_LENGTH * 2), 400),
    row("two lengths in one header", post(b"Content-Length: 3, 3\r\n"), 400),
    row("a length with a sign", post(b"Content-Length: +3\r\n"), 400),
    row("a negative length", post(b"Content-Length: -3\r\n"), 400),
    row("a hexadecimal length", post(b"Content-Length: 0x3\r\n"), 400),
    row("a length of two numbers", post(b"Content-Length: 3 3\r\n"), 400),
    row("an empty length", post(b"Content-Length: \r\n"), 400),
    row("a length beyond 64 bits", post(b"Content-Length: 18446744073709551617\r\n"), 400),
    row("a body that is a request", post(_LENGTH), 400),
    row("a GET with a body that is a request", get(_LENGTH) + SMUGGLED, 200),
    # Length and chunks.
    row(
        "a length, then chunked",
        post(b"Content-Length: 3\r\n" + CHUNKED, b"0\r\n\r\n" + SMUGGLED),
        400,
    ),
    row(
        "chunked, then a length",
        post(CHUNKED + b"Content-Length: 3\r\n", b"0\r\n\r\n" + SMUGGLED),
        400,
    ),
    row("chunked twice", post(CHUNKED * 2, _CHUNK), 400),
    row("chunked and another coding", post(b"Transfer-Encoding: gzip, chunked\r\n", _CHUNK), 501),
    row("a coding behind chunked", post(b"Transfer-Encoding: chunked, identity\r\n", _CHUNK), 400),
    row("identity", post(b"Transfer-Encoding: identity\r\n"), 501),
    row("a coding that looks like chunked", post(b"Transfer-Encoding: xchunked\r\n", _CHUNK), 501),
    row(
        "chunked behind a control character",
        post(b"Transfer-Encoding: \x0bchunked\r\n", _CHUNK),
        400,
    ),
    row("chunked in HTTP/1.0", get(CHUNKED, line=b"POST /api/push HTTP/1.0") + _CHUNK, 400),
    # Chunks.
    row("a chunk that is a request", post(CHUNKED, _CHUNK), 400),
    row(
        "a chunk size beyond 64 bits",
        post(CHUNKED, b"10000000000000003\r\nabc\r\n0\r\n\r\n" + SMUGGLED),
        400,
    ),
    row("a chunk size with a sign", post(CHUNKED, b"-3\r\nabc\r\n0\r\n\r\n" + SMUGGLED), 400),
    row("a chunk size with 0x", post(CHUNKED, b"0x3\r\nabc\r\n0\r\n\r\n" + SMUGGLED), 400),
    row("a chunk longer than its size", post(CHUNKED, b"2\r\nabc\r\n0\r\n\r\n" + SMUGGLED), 400),
    row("a chunk size ended by a bare LF", post(CHUNKED, b"3\nabc\r\n0\r\n\r\n" + SMUGGLED), 400),
    row("a chunk ended by a bare LF", post(CHUNKED, b"3\r\nabc\n0\r\n\r\n" + SMUGGLED), 400),
    row(
        "a chunk extension with a bare LF", post(CHUNKED, b"3;a\nabc\r\n0\r\n\r\n" + SMUGGLED), 400
    ),
    row(
        "a chunk extension that is a request",
        post(CHUNKED, b"3;" + SMUGGLED + b"\r\n0\r\n\r\n"),
        400,
    ),
    row(
        "a huge chunk extension",
        post(CHUNKED, b"3;" + b"x" * 40_000 + b"\r\nabc\r\n0\r\n\r\n"),
        400,
    ),
    row(
        "a trailer that says otherwise",
        post(CHUNKED, b"1\r\n1\r\n0\r\nContent-Length: 3\r\n\r\n"),
        400,
    ),
    # Host.
    row("two hosts", get(b"Host: other\r\n"), 400),
    row("two hosts that agree", get(b"Host: h\r\n"), 400),
    row("no host", get(host=b""), 400),
    row("a host with a user", get(host=b"Host: a@b\r\n"), 400),
    row("a host with a path", get(host=b"Host: h/api\r\n"), 400),
    row("a host with a space", get(host=b"Host: a b\r\n"), 400),
    # Lines and names.
    row("a folded header", get(b"X-A: 1\r\n 2\r\n"), 400),
    row("a folded coding", post(b"Transfer-Encoding:\r\n chunked\r\n", _CHUNK), 400),
    row("a first header that begins with a space", get(host=b" Host: h\r\n"), 400),
    row("bare LF everywhere", get(b"X-A: 1\r\n").replace(b"\r\n", b"\n"), 400),
    row("bare LF behind a header", get(b"X-A: 1\nX-B: 2\r\n"), 400),
    row("bare LF before the body", get().replace(b"\r\n\r\n", b"\n\n") + SMUGGLED, 400),
    row("bare CR in a value", get(b"X-A: 1\rX-B: 2\r\n"), 400),
    row("a space before the colon", post(b"Content-Length : 3\r\n"), 400),
    row("a space before chunked's colon", post(b"Transfer-Encoding : chunked\r\n", _CHUNK), 400),
    row("a space in a name", get(b"X A: 1\r\n"), 400),
    row("a header without a name", get(b": 1\r\n"), 400),
    row("a header without a colon", get(b"X-A\r\n"), 400),
    row("NUL in a value", get(b"X-A: 1\x002\r\n"), 400),
    row("NUL in a name", get(b"X\x00A: 1\r\n"), 400),
    row("a control character in a value", get(b"X-A: 1\x012\r\n"), 400),
    row("DEL in a value", get(b"X-A: 1\x7f2\r\n"), 400),
    row("a control character in a name", get(b"X-A\x0b: 1\r\n"), 400),
    # The first line.
    row("NUL in the target", get(line=b"GET /api/us\x00ers HTTP/1.1"), 400),
    row("a control character in the target", get(line=b"GET /api/users\x01 HTTP/1.1"), 400),
    row("a space in the target", get(line=b"GET /api/users HTTP/1.1 HTTP/1.1"), 400),
    row(
        "an encoded line break in the target", get(line=b"GET /api/users%0d%0aX:%201 HTTP/1.1"), 404
    ),
    row("an absolute target", get(line=b"GET http://h/api/users HTTP/1.1"), 200),
    row(
        "an absolute target for another host", get(line=b"GET http://other/api/users HTTP/1.1"), 200
    ),
    row("an absolute target with a user", get(line=b"GET http://a@b/api/users HTTP/1.1"), 200),
    row("an asterisk", get(line=b"GET * HTTP/1.1"), 404),
    row("CONNECT", get(line=b"CONNECT h:80 HTTP/1.1") + SMUGGLED, 501),
    row("CONNECT with a body", get(_LENGTH, line=b"CONNECT h:80 HTTP/1.1") + SMUGGLED, 501),
    row("a small method", get(line=b"get /api/users HTTP/1.1"), 400),
    row("no version", b"GET /api/users\r\n" + SMUGGLED, 400),
    row("another version", get(line=b"GET /api/users HTTP/1.9"), 400),
    row("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + SMUGGLED, 400),
    row("a way out of the API", get(line=b"GET /api/../actuator/info HTTP/1.1"), 404),
    row("an encoded way out", get(line=b"GET /api/%2e%2e/actuator/info HTTP/1.1"), 404),
    row("two slashes", get(line=b"GET //api/users HTTP/1.1"), 404, 200),
    row(
        "what the door judges by, named hop-by-hop",
        get(b"X-Forwarded-For: 203.0.113.9\r\nConnection: X-Forwarded-For\r\n"),
        403,
    ),
    # Upgrades.
    row("an upgrade with a length", upgrade(_LENGTH), 400),
    row("an upgrade with chunks", upgrade(CHUNKED, _CHUNK), 400),
    row("an upgrade with two hosts", upgrade(b"Host: other\r\n"), 400),
    row("an upgrade with two keys", upgrade(_KEY), 400),
    row("an upgrade without a key", upgrade(usual=_VERSION), 400),
    row("an upgrade with a folded header", upgrade(b"X-A: 1\r\n 2\r\n"), 400),
    row("an upgrade with NUL", upgrade(b"X-A: \x00\r\n"), 400),
    row(
        "an upgrade to an older version",
        upgrade(usual=_KEY + b"Sec-WebSocket-Version: 7\r\n"),
        426,
        400,
    ),
    row("an upgrade elsewhere", upgrade(line=b"GET /api/users HTTP/1.1"), 404),
    row("an upgrade by POST", upgrade(line=b"POST /websocket/mallory HTTP/1.1"), 405),
    row(
        "an upgrade in HTTP/1.0",
        upgrade(b"Connection: close\r\n", line=b"GET /websocket/mallory HTTP/1.0"),
        404,
    ),
    row(
        "an upgrade with an absolute target",
        upgrade(line=b"GET http://o/websocket/mallory HTTP/1.1"),
        101,
    ),
    row(
        "an upgrade to HTTP/2",
        get(b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"),
        200,
    ),
    row("an upgrade with a length of 0", upgrade(b"Content-Length: 0\r\n"), 101),
    row("a request behind a handshake", upgrade(), 101),
    row(
        "a request behind a handshake of no user",
        upgrade(line=b"GET /websocket/a%20b HTTP/1.1"),
        101,
    ),
]

_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3}) ")


async def answers(program: Program, sent: bytes) -> list[int]:
    """Send bytes, and give the statuses of all answers until the other side ends, or is silent."""
    reader, writer = await asyncio.open_connection(LOOPBACK, program.port)
    received = b""
    try:
        writer.write(sent)
        async with asyncio.timeout(10):
            received = await reader.read(65536)
        async with asyncio.timeout(1.5):
            while piece := await reader.read(65536):
                received += piece
    except (TimeoutError, ConnectionError):
        pass
    finally:
        writer.transport.abort()
    return [int(status) for status in _STATUS.findall(received)]


async def test_one_request_is_one_request_to_every_reader(cluster: ClusterUnderTest) -> None:
    node, gateway = cluster.nodes[0], cluster.gateway
    found: dict[str, tuple[list[int], list[int]]] = {}
    async with raw_client(node.port, "canary") as canary:
        # Where it is the request itself, it is served: silence later means that nobody read it.
        for program in (node, gateway):
            assert await answers(program, SMUGGLED) == [202]
            assert await canary.frame() == (Opcode.TEXT, b"smuggled")
        busy = asyncio.Semaphore(16)

        async def ask(row: Row) -> None:
            async with busy:
                found[row.name] = (await answers(gateway, row.sent), await answers(node, row.sent))

        await asyncio.gather(*map(ask, ROWS))
        await node.push("the end", "canary")
        assert await canary.frame() == (Opcode.TEXT, b"the end")
    assert len(found) == len(ROWS)
    expected = {row.name: ([row.gateway], [row.node]) for row in ROWS}
    assert {name: pair for name, pair in found.items() if pair != expected[name]} == {}


@pytest.mark.parametrize("at", ["gateway", "node"])
async def test_frames_behind_a_handshake_wait_for_it(cluster: ClusterUnderTest, at: str) -> None:
    program = cluster.gateway if at == "gateway" else cluster.nodes[0]
    reader, writer = await asyncio.open_connection(LOOPBACK, program.port)
    writer.write(upgrade(behind=_PING * 2))
    async with asyncio.timeout(10):
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
        # The greeting, and an answer to each.
        assert await reader.readexactly(18) == b"\x81\x04pong" * 3
    writer.transport.abort()


@pytest.mark.parametrize("at", ["gateway", "node"])
async def test_requests_sent_together_are_answered_one_by_one(
    cluster: ClusterUnderTest, at: str
) -> None:
    program = cluster.gateway if at == "gateway" else cluster.nodes[0]
    # Two that were meant: the first ends the connection only where it says so.
    assert await answers(program, get() + get(line=b"GET /nowhere HTTP/1.1")) == [200, 404]
    assert await answers(program, get(b"Connection: close\r\n") + get()) == [200]

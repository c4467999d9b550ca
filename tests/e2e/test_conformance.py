"""RFC 6455, case by case, at a node and through the gateway."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from websockets.frames import Close

from tests.cluster import ClusterUnderTest, Program
from tests.e2e.conformance_cases import CASES, CLOSE, PING, PONG, TEXT, Case, P, frame
from tests.raw_client import RawClient, raw_client

HEAD = (
    "GET {target} HTTP/1.1\r\nHost: node\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{more}\r\n"
)
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # RFC 6455, section 1.3
NO_CODE = 1005
LAST = b"last"


@pytest.fixture(params=["node", "gateway"])
def program(request: pytest.FixtureRequest, session_cluster: ClusterUnderTest) -> Program:
    return session_cluster.gateway if request.param == "gateway" else session_cluster.nodes[0]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_what_comes_back(program: Program, case: Case) -> None:
    async with raw_client(program.port, "conformance") as client:
        for data in case.sends:
            client.writer.write(data)
            if len(case.sends) < 100:
                # A write of its own for the socket.
                await client.writer.drain()
                await asyncio.sleep(0)
        found = Found()
        if case.code is None:
            client.writer.write(P)
            await found.read(client, lambda: found.texts > case.texts)
            # Behind this one there is nothing more.
            client.writer.write(frame(PING, LAST))
            await found.read(client, lambda: LAST in found.pongs)
            found.pongs.remove(LAST)
            found.texts -= 1
        else:
            await found.read(client, lambda: False)
        assert found == Found(case.texts, list(case.pongs), case.code)


@dataclass
class Found:
    """What came back."""

    texts: int = 0
    pongs: list[bytes] = field(default_factory=list)
    code: int | None = None

    async def read(self, client: RawClient, enough: Callable[[], bool]) -> None:
        """Read until it is enough, or to the close and the end of the stream."""
        while self.code is None and not enough():
            opcode, data = await client.frame()
            if opcode == TEXT:
                assert data == b"pong"
                self.texts += 1
            elif opcode == PONG:
                self.pongs.append(data)
            else:
                assert opcode == CLOSE
                self.code = Close.parse(data).code if data else NO_CODE
                async with asyncio.timeout(10):
                    # A server ends the connection first (section 7.1.1).
                    assert await client.reader.read() == b""


@pytest.mark.parametrize(
    ("more", "target", "status", "words"),
    [
        ("", "/websocket/a", 101, f"sec-websocket-accept: {ACCEPT.lower()}"),
        # Offered and not taken: nothing of it in the answer (section 9.1).
        (
            "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n",
            "/websocket/a",
            101,
            "",
        ),
        ('Sec-WebSocket-Extensions: x-unknown; a="b"\r\n', "/websocket/a", 101, ""),
        ("Sec-WebSocket-Protocol: x, cluster.v1\r\n", "/websocket/a", 101, "protocol: cluster.v1"),
        (
            "Sec-WebSocket-Protocol: x\r\nSec-WebSocket-Protocol: y\r\n",
            "/websocket/a",
            101,
            "protocol: x",
        ),
        ("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", "/websocket/a", 400, ""),
        ("Sec-WebSocket-Version: 8\r\n", "/websocket/a", 4, ""),
        ("", "/elsewhere", 404, ""),
    ],
)
async def test_handshakes(
    program: Program, more: str, target: str, status: int, words: str
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", program.port)
    try:
        writer.write(HEAD.format(target=target, more=more).encode())
        async with asyncio.timeout(10):
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        assert head.startswith(f"http/1.1 {status}")
        assert words in head
        assert "sec-websocket-extensions" not in head
    finally:
        writer.transport.abort()


async def test_a_frame_that_is_compressed_all_the_same_is_refused(program: Program) -> None:
    async with raw_client(program.port, "conformance") as client:
        client.writer.write(frame(TEXT, b"\xca\xc9\xcc\x4b\x07\x00", rsv=4))
        assert await client.close_code() == 1002

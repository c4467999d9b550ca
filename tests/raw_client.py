"""A WebSocket client on a bare socket: it answers nothing by itself, and reads when told to.

And a bare HTTP request, complete or not.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass

from websockets.frames import Close, Frame, Opcode

from devtools.ports import LOOPBACK

_SMALL_BUFFER = 16 * 1024


@dataclass
class RawClient:
    """One connection, its `pong` taken."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def frame(self, limit: float = 10.0) -> tuple[Opcode, bytes]:
        """Take the next frame of the server; it is one in one piece, unmasked (RFC 6455, 5.2)."""
        async with asyncio.timeout(limit):
            first, length = await self.reader.readexactly(2)
            if length >= 126:
                field = await self.reader.readexactly(2 if length == 126 else 8)
                length = int.from_bytes(field)
            return Opcode(first & 0x0F), await self.reader.readexactly(length)

    async def silence(self, seconds: float) -> bool:
        """Tell whether nothing at all came for a while, not even the end."""
        try:
            async with asyncio.timeout(seconds):
                await self.frame()
        except TimeoutError:
            return True
        return False

    async def close_code(self, limit: float = 10.0) -> int:
        """Read until the server closes, and give its code."""
        while True:
            opcode, data = await self.frame(limit)
            if opcode is Opcode.CLOSE:
                return int(Close.parse(data).code)

    def send(self, opcode: Opcode, data: bytes = b"") -> None:
        """Send one frame, masked as a client must."""
        self.writer.write(Frame(opcode, data).serialize(mask=True))


@contextlib.asynccontextmanager
async def raw_client(port: int, user: str) -> AsyncIterator[RawClient]:
    """Connect to a node or gateway; the socket holds little that is not read."""
    own = socket.socket()
    own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SMALL_BUFFER)
    own.setblocking(False)
    await asyncio.get_running_loop().sock_connect(own, (LOOPBACK, port))
    reader, writer = await asyncio.open_connection(sock=own, limit=1024)
    writer.write(
        f"GET /websocket/{user} HTTP/1.1\r\nHost: node\r\nConnection: Upgrade\r\n"
        "Upgrade: websocket\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
        "Sec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    try:
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
        client = RawClient(reader, writer)
        assert await client.frame() == (Opcode.TEXT, b"pong")
        yield client
    finally:
        writer.transport.abort()


async def raw_status(port: int, head: bytes, limit: float = 5.0) -> int:
    """Send the bytes of a request's head, and give the status of the answer.

    Raises TimeoutError where none comes within the limit, in seconds.
    """
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    try:
        writer.write(head)
        async with asyncio.timeout(limit):
            return int((await reader.readuntil(b"\r\n")).split()[1])
    finally:
        writer.transport.abort()

"""The Wire on real sockets and a node's own event loop: the way past the transport."""

import asyncio
import concurrent.futures
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, TypeVar

import pytest
import uvloop
from websockets.frames import Frame, Opcode

from service import metrics
from service.clients.connection import Connection
from service.clients.frames import Message, text_frame
from tests.service.raw_clients import House
from tests.waiting import eventually

T = TypeVar("T")

HANDSHAKE = (
    b"GET /websocket/alice HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n"
    b"Upgrade: websocket\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
    b"Sec-WebSocket-Version: 13\r\n\r\n"
)


async def push(house: House, size: int, *targets: str) -> None:
    """Push a plain string of so many bytes, and let the turn end."""
    house.hub.deliver(Message("id", b'"%s"' % (b"x" * size)), targets or None)
    await asyncio.sleep(0)


def slow_clients() -> float:
    return float(metrics.SLOW_CLIENTS._value.get())


def on_uvloop(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        return thread.submit(uvloop.run, work()).result(20)


class Peer:
    """A client on a real socket that reads when it is told to."""

    def __init__(self, house: House, port: int) -> None:
        self._house = house
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.connect(("127.0.0.1", port))
        self.socket.sendall(HANDSHAKE)
        self.socket.setblocking(False)
        self.read = b""

    async def connection(self) -> Connection:
        await eventually(lambda: len(self._house.hub) == 1)
        [connection] = self._house.hub.sockets
        assert isinstance(connection, Connection)
        return connection

    async def reads(self, data: bytes) -> None:
        """Read until all that was sent so far is as expected, behind the handshake."""

        def all_read() -> bool:
            with contextlib.suppress(BlockingIOError):
                while found := self.socket.recv(1_000_000):
                    self.read += found
            return len(self.read) >= len(data)

        await eventually(all_read)
        # Not compared by an assert alone, which would print them.
        assert (self.read == data) is True


@contextlib.asynccontextmanager
async def served() -> AsyncIterator[tuple[House, Peer]]:
    loop = asyncio.get_running_loop()
    house = House(loop)
    server = await loop.create_server(lambda: house.make(None, None, None), "127.0.0.1", 0)
    peer = Peer(house, server.sockets[0].getsockname()[1])
    yield house, peer
    peer.socket.close()
    await eventually(lambda: len(house.hub) == 0)
    server.close()


async def accepted(peer: Peer) -> bytes:
    """Read the answer to the handshake, whatever headers it has."""

    def head_read() -> bool:
        with contextlib.suppress(BlockingIOError):
            while not peer.read.endswith(b"\r\n\r\n"):
                peer.read += peer.socket.recv(1)
        return peer.read.endswith(b"\r\n\r\n")

    await eventually(head_read)
    return peer.read


def test_bytes_keep_their_order_between_the_socket_and_the_transport() -> None:
    async def work() -> None:
        async with served() as (house, peer):
            connection = await peer.connection()
            expected = await accepted(peer)
            house.writes.done()
            assert connection.direct is not None
            expected += text_frame(b"pong")
            for turn in range(3):
                # More than the system takes: partly sent, and the rest waits.
                sizes = 0
                while connection.direct is not None:
                    sizes += 1
                    await push(house, 100_000 + sizes)
                    expected += text_frame(b"x" * (100_000 + sizes))
                    assert sizes < 100
                assert connection._transport.get_write_buffer_size() > 0
                for size in (10, 20):
                    await push(house, size, *(["alice"] if turn else []))
                    expected += text_frame(b"x" * size)
                connection.data_received(Frame(Opcode.PING, b"p").serialize(mask=True))
                expected += Frame(Opcode.PONG, b"p").serialize(mask=False)
                await peer.reads(expected)
                await eventually(lambda: connection.direct is not None)
                await push(house, turn)
                expected += text_frame(b"x" * turn)
            await peer.reads(expected)

    on_uvloop(work)


def test_nothing_overtakes_what_waited_before_the_client_was_let_in() -> None:
    async def work() -> None:
        async with served() as (house, peer):
            connection = await peer.connection()
            expected = await accepted(peer)
            # As the end of an HTTP answer that went before the handshake.
            before = b"y" * 60_000
            while not connection._transport.get_write_buffer_size():
                connection._transport.write(before)
                expected += before
            house.writes.done()
            assert connection.direct is None
            await push(house, 10)
            expected += text_frame(b"pong") + text_frame(b"x" * 10)
            await peer.reads(expected)
            await eventually(lambda: connection.direct is not None)

    on_uvloop(work)


@pytest.mark.parametrize("targets", [(), ("alice",)])
def test_a_client_that_does_not_read_is_closed_on_a_real_socket(targets: tuple[str, ...]) -> None:
    async def work() -> None:
        async with served() as (house, peer):
            house.limit(send_buffer=70_000)
            connection = await peer.connection()
            house.writes.done()
            before = slow_clients()
            for _ in range(1000):
                await push(house, 50_000, *targets)
                waiting = connection._transport.get_write_buffer_size()
                assert waiting <= 70_100
            assert slow_clients() == before + 1
            assert len(house.hub) == 0
            assert connection.direct is None

    on_uvloop(work)


def test_frames_are_never_cut_where_the_oldest_are_dropped_on_a_real_socket() -> None:
    async def work() -> None:
        async with served() as (house, peer):
            house.limit(send_buffer=200_000, slow_client="drop-oldest")
            connection = await peer.connection()
            await accepted(peer)
            house.writes.done()
            count, size = 400, 30_000
            for number in range(count):
                # Several in one write, so that what a socket takes ends anywhere.
                for part in range(3):
                    content = b'"%06d%s"' % (3 * number + part, b"x" * (size - 6))
                    house.hub.deliver(Message("id", content), None)
                await asyncio.sleep(0)
                assert connection._transport.get_write_buffer_size() < size + 100
            assert connection.direct is None
            last = b"%06d" % (3 * count - 1)

            def all_read() -> bool:
                with contextlib.suppress(BlockingIOError):
                    while found := peer.socket.recv(1_000_000):
                        peer.read += found
                return last in peer.read and connection.direct is not None

            await eventually(all_read)
            frames = peer.read.partition(b"\r\n\r\n")[2].removeprefix(text_frame(b"pong"))
            numbers = []
            while frames:
                number, content = int(frames[4:10]), frames[4:10] + b"x" * (size - 6)
                assert frames.startswith(text_frame(content)) is True
                frames = frames[size + 4 :]
                numbers.append(number)
            assert numbers == sorted(set(numbers))
            assert len(numbers) < 3 * count
            assert numbers[-6:] == list(range(3 * count - 6, 3 * count))
            assert len(house.hub) == 1

    on_uvloop(work)


def test_a_socket_is_left_to_its_transport_when_the_client_goes() -> None:
    """Its number may be another client's at once, who must not get anything of this one."""

    async def work() -> None:
        async with served() as (house, peer):
            connection = await peer.connection()
            house.writes.done()
            way = connection._socket
            assert way is not None
            assert way.gettimeout() == 0
            peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            peer.socket.close()
            # Found out by a write, or by the loop, whichever comes first.
            await push(house, 10)
            await eventually(lambda: len(house.hub) == 0)
            assert way.fileno() == -1
            assert connection._socket is connection.direct is None

    on_uvloop(work)


def test_a_socket_is_left_to_its_transport_even_where_leaving_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def work() -> None:
        async with served() as (house, peer):
            connection = await peer.connection()
            house.writes.done()
            way = connection._socket
            assert way is not None

            def fault(_: object) -> None:
                raise RuntimeError

            with monkeypatch.context() as patch:
                patch.setattr(house.hub, "_changed", fault)
                with pytest.raises(RuntimeError):
                    connection.close(4001, "")
            assert way.fileno() == -1
            assert len(house.hub) == 0
            connection._transport.abort()

    on_uvloop(work)


def test_uvloops_transport_is_as_the_one_of_these_tests() -> None:
    """A client that is gone before the directory has written it, and one lost while it is open."""

    async def work() -> None:
        for started in (False, True):
            async with served() as (house, peer):
                connection = await peer.connection()
                if started:
                    house.writes.done()
                # Ends with a reset instead of an end of the stream.
                peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                peer.socket.close()
                await eventually(lambda house=house: len(house.hub) == 0)
                house.writes.done()
                connection.close(4001, "")
                connection.write(b"x")
                assert (len(house.hub), connection.open) == (0, False)

    on_uvloop(work)

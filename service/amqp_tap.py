"""A tap between the broker and the AMQP client, for what comes by the thousand.

Messages, returned messages and confirms are handed over here, within the call that brings their
bytes; all else goes on to the client as it came: handshakes, heartbeats, answers to calls, closes.
The client passes each frame through two tasks and two queues, and each message to two tasks more.
Measured for a message to everyone that is consumed: 15 µs of CPU time instead of 98. And what
arrives together is handed over together, so that the Hub joins it to one write for each socket.

Both hooks are the client's own: a connection class (aio-pika) and a transport factory (aiormq).
"""

import asyncio
from typing import Any, Protocol, cast

import aio_pika
from aiormq.connection import TransportFactory
from aiormq.exceptions import AMQPConnectionError

from service.amqp_frames import (
    ACK,
    BODY,
    DELIVER,
    HEAD_SIZE,
    HEADER,
    HEARTBEAT_FRAME,
    METHOD,
    NACK,
    RETURN,
    NoFrameError,
    frame_at,
    read_body_size,
    read_confirm,
    read_deliver,
    read_index,
)

_TELL_INTERVAL = 1.0


class Sink(Protocol):
    """Who takes what comes on a channel. Must neither raise nor block."""

    def delivered(self, tag: int, exchange: str, header: bytes, body: bytes) -> None:
        """Take a message; `header` is the payload of its content header."""

    def returned(self, header: bytes) -> None:
        """Take note of a message that came back; its confirm follows."""

    def confirmed(self, tag: int, *, multiple: bool, taken: bool) -> None:
        """Take a confirm; `taken` is False where the broker refused what was published."""


class _Coming:
    """A message of which frames are still to come."""

    __slots__ = ("header", "method", "missing", "pieces")

    def __init__(self, method: bytes) -> None:
        self.method = method
        self.header = b""
        self.missing = 0
        self.pieces: list[bytes] = []


class Tap(asyncio.StreamReaderProtocol):
    """The protocol that reads the socket in front of the client's stream.

    Frames to the broker may be written here, too: `write` puts them between the client's.
    """

    def __init__(self, reader: asyncio.StreamReader, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(reader, loop=loop)
        self._now = loop.time
        self._sinks: dict[int, Sink] = {}
        self._coming: dict[int, _Coming] = {}
        self._rest = b""
        self._blind = False
        self._told_at = 0.0
        self._wire: asyncio.Transport
        self.writer: asyncio.StreamWriter
        self.paused = False
        """Whether the broker reads more slowly than we write: `writer.drain()` waits for it."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        super().connection_made(transport)
        # uvloop's transports have its methods without being its subclass.
        self._wire = cast("asyncio.Transport", transport)

    def pause_writing(self) -> None:
        """Note that the broker does not keep up."""
        super().pause_writing()
        self.paused = True

    def resume_writing(self) -> None:
        """Note that it has caught up."""
        super().resume_writing()
        self.paused = False

    def open(self, channel: int, sink: Sink) -> None:
        """Hand what comes on a channel from now on to `sink`."""
        self._sinks[channel] = sink

    def close(self) -> None:
        """Hand nothing over any more: what still comes is of a connection that was given up."""
        self._sinks.clear()
        self._coming.clear()

    def write(self, frames: bytes) -> None:
        """Write whole frames; a connection that is ending takes none."""
        if not self._wire.is_closing():
            self._wire.write(frames)

    def data_received(self, data: bytes) -> None:
        """Hand over what is for a sink, and pass the rest on."""
        if self._blind:
            super().data_received(data)
            return
        if self._rest:
            data = self._rest + data
        place = passed = 0
        for_client: list[bytes] = []
        try:
            while frame := frame_at(data, place):
                kind, channel, end = frame
                sink = self._sinks.get(channel)
                if sink and self._take(sink, kind, channel, data[place + HEAD_SIZE : end - 1]):
                    if place > passed:
                        for_client.append(data[passed:place])
                    passed = end
                place = end
        except NoFrameError:
            # The client knows what to say of it.
            self._blind = True
            place = len(data)
        self._rest = data[place:]
        if place > passed:
            for_client.append(data[passed:place])
        if for_client:
            super().data_received(b"".join(for_client))
        elif place:
            self._tell_alive()

    def _take(self, sink: Sink, kind: int, channel: int, payload: bytes) -> bool:
        """Take a frame of a sink's channel; False where it is for the client."""
        if kind == METHOD:
            method = read_index(payload)
            if method in {DELIVER, RETURN}:
                self._coming[channel] = _Coming(payload)
            elif method in {ACK, NACK}:
                tag, multiple = read_confirm(payload)
                sink.confirmed(tag, multiple=multiple, taken=method == ACK)
            else:
                return False
            return True
        coming = self._coming.get(channel)
        if coming is None:
            return False
        if kind == HEADER:
            coming.header = payload
            coming.missing = read_body_size(payload)
        elif kind == BODY:
            coming.pieces.append(payload)
            coming.missing -= len(payload)
        else:
            return False
        if coming.missing <= 0:
            del self._coming[channel]
            if read_index(coming.method) == RETURN:
                sink.returned(coming.header)
            else:
                tag, exchange = read_deliver(coming.method)
                sink.delivered(tag, exchange, coming.header, b"".join(coming.pieces))
        return True

    def _tell_alive(self) -> None:
        # The client gives up a connection of which it reads nothing, and the broker sends no
        # heartbeats while it has something else to send.
        now = self._now()
        if now - self._told_at >= _TELL_INTERVAL:
            self._told_at = now
            super().data_received(HEARTBEAT_FRAME)


class _Taps(TransportFactory):
    """Connects as the client's own factory does, with a Tap in front of its stream."""

    tap: Tap

    async def create(
        self, url: Any, **kwargs: Any
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        del kwargs["ssl_context_provider"]
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(loop=loop)
        self.tap = Tap(reader, loop)
        try:
            transport, _ = await loop.create_connection(
                lambda: self.tap, url.host or "", url.port or 0, **kwargs
            )
        except OSError as error:
            raise AMQPConnectionError(*error.args) from error
        self.tap.writer = asyncio.StreamWriter(transport, self.tap, reader, loop)
        return reader, self.tap.writer


class TappedConnection(aio_pika.Connection):
    """A connection of the client that has a `tap`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._taps = _Taps()
        self.kwargs["transport_factory"] = self._taps

    @property
    def tap(self) -> Tap:
        """The tap, once connected."""
        return self._taps.tap

"""A tap between the broker and the AMQP client, for what comes by the thousand.

Messages, returned messages and confirms are handed over here, within the call that brings their
bytes; all else goes on to the client as it came: handshakes, heartbeats, answers to calls, closes.
The client passes each frame through two tasks and two queues, and each message to two tasks more.
Measured for a message to everyone that is consumed: 15 µs of CPU time instead of 98. And what
arrives together is handed over together, so that the Hub joins it to one write for each socket.

Both hooks are the client's own: a connection class (aio-pika) and a transport factory (aiormq).
"""

import asyncio
import logging
import struct
from typing import Any, Protocol, cast

import aio_pika
from aiormq.connection import TransportFactory
from aiormq.exceptions import AMQPConnectionError

from service.broker.amqp_frames import (
    ACK,
    BLOCKED,
    BODY,
    DELIVER,
    HEAD_SIZE,
    HEADER,
    HEARTBEAT_FRAME,
    METHOD,
    NACK,
    RETURN,
    UNBLOCKED,
    NoFrameError,
    frame_at,
    read_blocked,
    read_body_size,
    read_confirm,
    read_deliver,
    read_index,
)

MAX_BODY = 33_554_432
"""Bytes of a message that is taken whole; of a longer one only the beginning is kept.

RabbitMQ lets messages of 128 MiB through, which anybody may publish. Ours are shorter: their
content comes in an API request, whose length has half of this as its highest setting.
"""

log = logging.getLogger(__name__)

_TELL_INTERVAL = 1.0

_NOBODY = object()


class Sink(Protocol):
    """Who takes what comes on a channel. Must neither raise nor block."""

    def delivered(self, tag: int, exchange: str, header: bytes, body: bytes) -> None:
        """Take a message; `header` is the payload of its content header."""

    def too_long(self, tag: int, exchange: str, size: int, beginning: bytes) -> None:
        """Take the beginning of a message that has more than MAX_BODY bytes."""

    def returned(self, header: bytes) -> None:
        """Take note of a message that came back; its confirm follows."""

    def confirmed(self, tag: int, *, multiple: bool, taken: bool) -> None:
        """Take a confirm; `taken` is False where the broker refused what was published."""


class _Coming:
    """A message of which frames are still to come."""

    __slots__ = ("header", "method", "missing", "pieces", "too_long")

    def __init__(self, method: bytes) -> None:
        self.method = method
        self.header = b""
        self.missing = 0
        self.pieces: list[bytes] = []
        self.too_long = False


class Tap(asyncio.StreamReaderProtocol):
    """The protocol that reads the socket in front of the client's stream.

    Frames to the broker may be written here, too: `write` puts them between the client's.
    """

    def __init__(self, reader: asyncio.StreamReader, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(reader, loop=loop)
        self._now = loop.time
        # On channel 0 the connection itself is spoken of, for which nobody is given messages.
        self._sinks: dict[int, Sink] = {0: cast("Sink", _NOBODY)}
        self._coming: dict[int, _Coming] = {}
        self._rest = b""
        self._blind = False
        self._told_at = 0.0
        self._wire: asyncio.Transport
        self.writer: asyncio.StreamWriter
        self.paused = False
        """Whether the broker reads more slowly than we write: `writer.drain()` waits for it."""
        self.blocked = ""
        """Why the broker takes no messages over this connection; empty while it does."""

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
        except (NoFrameError, IndexError, struct.error):
            # Or a frame without what its method must have. The client knows what to say of it.
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
                self._note(method, payload)
                return False
            return True
        coming = self._coming.get(channel)
        if coming is None:
            return False
        if kind == HEADER:
            coming.header = payload
            coming.missing = read_body_size(payload)
            coming.too_long = coming.missing > MAX_BODY
        elif kind == BODY:
            if not coming.too_long or not coming.pieces:
                coming.pieces.append(payload)
            coming.missing -= len(payload)
        else:
            return False
        if coming.missing <= 0:
            del self._coming[channel]
            _hand_over(sink, coming)
        return True

    def _note(self, method: int, payload: bytes) -> None:
        """Look at what the client gets, too."""
        if method == BLOCKED:
            self.blocked = read_blocked(payload) or "no reason given"
            log.warning("RabbitMQ takes no messages for now: %s", self.blocked)
        elif method == UNBLOCKED:
            self.blocked = ""
            log.info("RabbitMQ takes messages again")

    def _tell_alive(self) -> None:
        # The client gives up a connection of which it reads nothing, and the broker sends no
        # heartbeats while it has something else to send.
        now = self._now()
        if now - self._told_at >= _TELL_INTERVAL:
            self._told_at = now
            super().data_received(HEARTBEAT_FRAME)


def _hand_over(sink: Sink, message: _Coming) -> None:
    if read_index(message.method) == RETURN:
        sink.returned(message.header)
        return
    tag, exchange = read_deliver(message.method)
    body = b"".join(message.pieces)
    if message.too_long:
        sink.too_long(tag, exchange, read_body_size(message.header), body)
    else:
        sink.delivered(tag, exchange, message.header, body)


class _Taps(TransportFactory):
    """Connects as the client's own factory does, with a Tap in front of its stream."""

    tap: Tap

    async def create(
        self, url: Any, **kwargs: Any
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        provider = kwargs.pop("ssl_context_provider")
        tls = await provider.get_context() if url.scheme == "amqps" else None
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(loop=loop)
        self.tap = Tap(reader, loop)
        try:
            transport, _ = await loop.create_connection(
                lambda: self.tap, url.host or "", url.port or 0, ssl=tls, **kwargs
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

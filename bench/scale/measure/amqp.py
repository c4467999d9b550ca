"""AMQP 0-9-1 with next to no client: frames are made once, what comes is counted by its heads.

A client library takes more CPU than the broker does, and would keep it from being busy.
"""

import selectors
import socket
import struct
import time
from collections.abc import Sequence

from pamqp import base, commands, frame, header
from pamqp.body import ContentBody

from devtools.ports import LOOPBACK
from devtools.rabbitmq import PASSWORD, USER

_LIMIT = 20.0  # seconds for any answer
_CHANNEL = 1
_HEAD = struct.Struct(">BHI")
_METHOD = 1
_ACK = struct.pack(">HH", 60, 80)
_DELIVER = struct.pack(">HH", 60, 60)
_READ = 1 << 20
_WINDOW = 200  # publications that may be unconfirmed


class Wire:
    """One connection with one channel. Raises TimeoutError, ConnectionError."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection((LOOPBACK, port), timeout=_LIMIT)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._left = b""
        self.socket.sendall(b"AMQP\x00\x00\x09\x01")
        self._expect("Connection.Start")
        self._send(commands.Connection.StartOk({}, "PLAIN", f"\0{USER}\0{PASSWORD}", "en_US"), 0)
        self._expect("Connection.Tune")
        self._send(commands.Connection.TuneOk(2047, 131_072, 0), 0)
        self.call(commands.Connection.Open("/"), 0)
        self.call(commands.Channel.Open())

    def call(self, method: base.Frame, channel: int = _CHANNEL) -> None:
        """Send a method and wait for its answer."""
        self._send(method, channel)
        self._expect(f"{method.name}Ok")

    def close(self) -> None:
        """Drop the connection; its queue goes with it."""
        self.socket.close()

    def counted(self) -> tuple[int, int]:
        """Read what is there: how many messages came, and the highest tag confirmed (0: none).

        Confirms come in any order, so that some of a lower one may still be under way.
        """
        data = self._left + self.socket.recv(_READ)
        at = delivered = confirmed = 0
        while at + _HEAD.size <= len(data):
            kind, _, size = _HEAD.unpack_from(data, at)
            if at + 8 + size > len(data):
                break
            if kind == _METHOD:
                method = data[at + 7 : at + 11]
                if method == _DELIVER:
                    delivered += 1
                elif method == _ACK:
                    confirmed = max(confirmed, int.from_bytes(data[at + 11 : at + 19], "big"))
                else:
                    raise ConnectionError(f"unexpected method {method!r}")
            at += 8 + size
        self._left = data[at:]
        return delivered, confirmed

    def acknowledge(self) -> None:
        """Acknowledge all that has come: tag 0 means everything (AMQP 0-9-1, basic.ack)."""
        self._send(commands.Basic.Ack(0, multiple=True), _CHANNEL)

    def _whole(self) -> bool:
        """Whether a whole frame has come; it ends with one octet more than its size tells."""
        there = len(self._left) - _HEAD.size
        return there > 0 and there > _HEAD.unpack_from(self._left)[2]

    def _send(self, method: base.Frame, channel: int) -> None:
        self.socket.sendall(frame.marshal(method, channel))

    def _expect(self, name: str) -> None:
        while not self._whole():
            read = self.socket.recv(_READ)
            if not read:
                raise ConnectionError(f"closed in wait of {name}")
            self._left += read
        used, _, found = frame.unmarshal(self._left)
        self._left = self._left[used:]
        if found.name != name:
            raise ConnectionError(f"expected {name}, got {found}")


def consumer(port: int, exchange: str, queue: str) -> Wire:
    """Declare a queue as a node does, bind it by its own name, and consume it."""
    wire = Wire(port)
    wire.call(commands.Queue.Declare(queue=queue, durable=True, auto_delete=True))
    wire.call(commands.Queue.Bind(queue=queue, exchange=exchange, routing_key=queue))
    wire.call(commands.Basic.Qos(prefetch_count=1000))
    wire.call(commands.Basic.Consume(queue=queue))
    return wire


def publisher(port: int, exchange: str, kind: str) -> Wire:
    """Declare an exchange of a kind, and get ready to publish with confirms."""
    wire = Wire(port)
    wire.call(commands.Exchange.Declare(exchange=exchange, exchange_type=kind, durable=True))
    wire.call(commands.Confirm.Select())
    return wire


def message(exchange: str, key: str, body: bytes, *, persistent: bool = False) -> bytes:
    """Make the frames of one publication, with the properties that a node gives it."""
    properties = commands.Basic.Properties(
        content_type="application/json",
        message_id="0" * 36,
        delivery_mode=2 if persistent else 1,
        headers={"x-websocket-node": "0" * 32},
    )
    parts: list[base.Frame | header.ContentHeader | ContentBody] = [
        commands.Basic.Publish(exchange=exchange, routing_key=key),
        header.ContentHeader(0, len(body), properties),
        ContentBody(body),
    ]
    return b"".join(frame.marshal(part, _CHANNEL) for part in parts)


def pump(source: Wire, sinks: Sequence[Wire], frames: Sequence[bytes], copies: int) -> float:
    """Publish `frames` as fast as confirms come, and take `copies` of each in all.

    `source` has published nothing before. Gives the seconds until the last copy and confirm.
    """
    wanted = len(frames) * copies
    sent = confirmed = taken = 0
    with selectors.DefaultSelector() as selector:
        for wire in (source, *sinks):
            selector.register(wire.socket, selectors.EVENT_READ, wire)
        began = time.monotonic()
        while confirmed < len(frames) or taken < wanted:
            batch = frames[sent : confirmed + _WINDOW]
            if batch:
                source.socket.sendall(b"".join(batch))
                sent += len(batch)
            ready = selector.select(_LIMIT)
            if not ready:
                raise TimeoutError(f"{confirmed} confirmed, {taken} of {wanted} copies came")
            for key, _ in ready:
                wire = key.data
                delivered, tag = wire.counted()
                confirmed = max(confirmed, tag)
                if delivered:
                    taken += delivered
                    wire.acknowledge()
        return time.monotonic() - began

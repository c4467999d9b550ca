"""Publishes broadcasts as any AMQP client may: MsgDTOs on the fanout exchange.

Of AMQP 0-9-1 it speaks what that takes, on a blocking socket, so that a burst leaves in one write:
a client library would leave time between the messages, and the burst would be none.
"""

import socket

from pamqp import commands, frame
from pamqp.base import Frame
from pamqp.body import ContentBody
from pamqp.exceptions import UnmarshalingException
from pamqp.header import ContentHeader, ProtocolHeader

from devtools.ports import LOOPBACK
from devtools.rabbitmq import PASSWORD, USER
from devtools.waiting import StartError
from service.broker.amqp import FANOUT

_CHANNEL = 1
# RabbitMQ's own limit.
_FRAME_MAX = 131_072
_LIMIT = 10.0
_READ = 4096


class FanoutPublisher:
    """One connection and channel, without confirms; what is published is seen to arrive."""

    def __init__(self, port: int) -> None:
        """Connect to the RabbitMQ of a Lab. Raises StartError."""
        self._unread = b""
        try:
            self._socket = socket.create_connection((LOOPBACK, port), _LIMIT)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._begin()
        except OSError as error:
            raise StartError(f"cannot publish to RabbitMQ on port {port}: {error}") from error

    def publish(self, body: bytes, count: int) -> None:
        """Publish a JSON body so many times, back to back. Raises OSError."""
        properties = commands.Basic.Properties(content_type="application/json")
        message = b"".join(
            frame.marshal(part, _CHANNEL)
            for part in (
                commands.Basic.Publish(exchange=FANOUT),
                ContentHeader(body_size=len(body), properties=properties),
                ContentBody(body),
            )
        )
        self._socket.sendall(message * count)

    def close(self) -> None:
        """End the connection."""
        self._socket.close()

    def _begin(self) -> None:
        self._socket.sendall(ProtocolHeader().marshal())
        self._expect(commands.Connection.Start)
        login = f"\0{USER}\0{PASSWORD}"
        self._send(commands.Connection.StartOk({}, "PLAIN", login, "en_US"))
        self._expect(commands.Connection.Tune)
        # No heartbeats: nobody would answer them between two bursts.
        self._send(commands.Connection.TuneOk(_CHANNEL, _FRAME_MAX, heartbeat=0))
        self._send(commands.Connection.Open("/"))
        self._expect(commands.Connection.OpenOk)
        self._send(commands.Channel.Open(), _CHANNEL)
        self._expect(commands.Channel.OpenOk)

    def _send(self, method: Frame, channel: int = 0) -> None:
        self._socket.sendall(frame.marshal(method, channel))

    def _expect(self, kind: type[Frame]) -> None:
        while True:
            try:
                size, _, found = frame.unmarshal(self._unread)
            except UnmarshalingException:
                data = self._socket.recv(_READ)
                if not data:
                    raise ConnectionError("it closed the connection") from None
                self._unread += data
                continue
            self._unread = self._unread[size:]
            if not isinstance(found, kind):
                raise ConnectionError(f"expected {kind.name}, got {found.name}")
            return

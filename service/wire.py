"""The Wire: the socket under a Connection; how much may wait to be written, and how it ends."""

import asyncio
from socket import SocketType
from typing import Any, ClassVar, cast

from websockets.protocol import State
from websockets.server import ServerProtocol

from service import close_codes, metrics
from service.door import Door
from service.handshake import choose_subprotocol
from service.reader import Reader

CLOSE_TIMEOUT = 5.0
"""Seconds in which a client may read what it was sent last, before its socket is ended."""

_FAREWELL = 65_536
"""Bytes beyond the limit that may still wait for a client that was told to go."""


class Wire(asyncio.Protocol):
    """Writes to one client. `open` says whether messages may go to it now.

    While nothing waits in the transport, `direct` is its socket, and frames are sent there: the
    transport's own work adds a fifth to what the send itself costs.
    """

    __slots__ = (
        "_entered",
        "_paused",
        "_reader",
        "_socket",
        "_transport",
        "direct",
        "max_message",
        "open",
    )

    door: ClassVar[Door]

    def __init__(self) -> None:
        # There only while it is needed: in the handshake, for what is no whole short frame, and to
        # close. It is half of the memory that a connection would take.
        self._reader: Reader | None = None
        self._transport: asyncio.Transport
        self._socket: SocketType | None = None
        self._entered = False
        self._paused = False
        self.direct: SocketType | None = None
        self.max_message = 0
        self.open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the socket over from HTTP."""
        # uvloop's transports have its methods without being its subclass.
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Forget the client, however it went."""
        self._leave()

    def pause_writing(self) -> None:
        """Note that bytes wait for the client to read."""
        self._paused = True
        self.direct = None

    def resume_writing(self) -> None:
        """Note that it has caught up."""
        self._paused = False
        self.direct = self._socket

    def write(self, data: bytes) -> None:
        """Put whole frames on the wire; one that is too slow is closed with 4008 instead."""
        if not self.open:
            return
        if self.direct is not None:
            try:
                sent = self.direct.send(data)
            except OSError:
                # Nothing taken for now, or a connection that has broken: its transport finds out.
                sent = 0
            if sent != len(data):
                self.write_rest(data, sent)
            return
        if self._paused:
            waiting = self._transport.get_write_buffer_size()
            if waiting + len(data) > self.door.limits.send_buffer:
                self._too_slow()
                return
        self._transport.write(data)

    def write_rest(self, data: bytes, sent: int) -> None:
        """Have the transport keep what the socket did not take, or find out that it is broken."""
        self._transport.write(memoryview(data)[sent:] if sent else data)

    def close(self, code: int, reason: str) -> None:
        """Close with a code, and end the socket even if the client never answers."""
        self._leave()
        if self._transport.is_closing():
            return
        protocol = self._reading().protocol
        if protocol.state is State.OPEN:
            protocol.send_close(code, reason)
            self._flush(protocol)
        self._abort_later()

    def _begin(self, first: bytes) -> None:
        """Let messages through, behind the `first` bytes."""
        transport = self._transport
        # Nothing may overtake what waits in the transport, so it is to say when one byte does.
        transport.set_write_buffer_limits(high=0)
        transport.write(first)
        self._paused = bool(transport.get_write_buffer_size())
        found = transport.get_extra_info("socket")
        if found is not None and transport.get_extra_info("sslcontext") is None:
            self._socket = SocketType(fileno=found.fileno())
            self._socket.setblocking(False)
            self.direct = None if self._paused else self._socket
        self.open = True

    def _reading(self) -> Reader:
        """Give the Reader of an accepted client; without one, it is between two messages."""
        if self._reader is None:
            self._reader = Reader(self._make_protocol(State.OPEN))
        return self._reader

    def _make_protocol(self, state: State) -> ServerProtocol:
        return ServerProtocol(
            select_subprotocol=_select,
            state=state,
            max_size=self.max_message,
            logger=self.door.protocol_logger,
        )

    def _flush(self, protocol: ServerProtocol) -> None:
        """Send what the protocol has to say: handshakes, pongs, closes."""
        transport = self._transport
        for data in protocol.data_to_send():
            if data:
                transport.write(data)
            elif not transport.is_closing():
                # The protocol asks for the end: a server closes first (RFC 6455, section 7.1.1).
                transport.close()
                if transport.get_write_buffer_size():
                    # Closing waits for the client to read, which it may never do.
                    self._abort_later()
        if self._paused:
            self._limit_answers()

    def _leave(self) -> None:
        self.open = False
        try:
            if self._entered:
                self._entered = False
                self._left()
        finally:
            self.direct = None
            if self._socket is not None:
                # The transport closes it, and its number may be another client's from then on.
                self._socket.detach()
                self._socket = None

    def _left(self) -> None:
        """Say that the client, having been let in, is gone."""
        raise NotImplementedError

    def _answer_control(self, data: bytes) -> None:
        """Send a pong, which a client gets before it is let in, too."""
        if self.open:
            self.write(data)
            return
        self._transport.write(data)
        if self._paused:
            self._limit_answers()

    def _limit_answers(self) -> None:
        # A client can ask for any number of pongs, which do not pass `write`.
        excess = self._transport.get_write_buffer_size() - self.door.limits.send_buffer
        if self._entered and excess > 0:
            self._too_slow()
        elif excess > _FAREWELL:
            self._transport.abort()

    def _too_slow(self) -> None:
        metrics.SLOW_CLIENTS.inc()
        self.close(close_codes.TOO_SLOW, "this client reads too slowly")

    def _abort_later(self) -> None:
        # Harmless for a transport that has ended by itself in the meantime.
        asyncio.get_running_loop().call_later(CLOSE_TIMEOUT, self._transport.abort)


def _select(_protocol: ServerProtocol, offered: Any) -> Any:
    return choose_subprotocol(offered)

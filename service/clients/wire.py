"""The Wire: the socket under a Connection; how much may wait to be written, and how it ends."""

import asyncio
from socket import SocketType
from typing import Any, ClassVar, cast

from websockets.protocol import State
from websockets.server import ServerProtocol

from service import metrics
from service.clients import close_codes
from service.clients.backlog import Backlog, frame_end
from service.clients.door import Door
from service.clients.handshake import choose_subprotocol
from service.clients.reader import Reader
from service.clients.undelivered import count_closed, count_slow

CLOSE_TIMEOUT = 5.0
"""Seconds in which a client may read what it was sent last, before its socket is ended."""

_AT_ONCE = 65_536
"""Bytes of a Backlog that the transport gets in one write."""

_FAREWELL = 65_536
"""Bytes beyond the limit that may still wait for a client that was told to go."""


class Wire(asyncio.Protocol):
    """Writes to one client. `open` says whether messages may go to it now.

    While nothing waits in the transport, `direct` is its socket, and frames are sent there: the
    transport's own work adds a fifth to what the send itself costs.
    """

    __slots__ = (
        "_backlog",
        "_entered",
        "_paused",
        "_reader",
        "_socket",
        "_transport",
        "cluster_form",
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
        # There only while a client reads slowly whose oldest messages may be dropped.
        self._backlog: Backlog | None = None
        self._entered = False
        self._paused = False
        self.cluster_form = False
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
        if self._backlog is not None:
            self._pass_on(self._backlog)
        if not self._paused:
            self._backlog = None
            self.direct = self._socket

    @property
    def behind(self) -> bool:
        """Whether bytes wait for the client to read, or did when it was closed."""
        return self._paused

    def write(self, data: bytes) -> None:
        """Put whole frames on the wire; one that is too slow is closed with 4008 instead."""
        if not self.open:
            count_closed((data,))
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
            if self._backlog is not None or self._drops_oldest:
                self._keep(data)
                return
            waiting = self._transport.get_write_buffer_size()
            if waiting + len(data) > self.door.limits.send_buffer:
                count_slow(data)
                self._too_slow()
                return
        self._transport.write(data)

    @property
    def here(self) -> bool:
        """Whether the client has been let in and has not left."""
        return self._entered

    @property
    def waiting(self) -> int:
        """Bytes that wait for the client to read."""
        return self._transport.get_write_buffer_size()

    def say(self, data: bytes) -> None:
        """Put whole frames on the wire, though it may not be open yet."""
        if self.open:
            self.write(data)
        elif not self._transport.is_closing():
            self._transport.write(data)

    def write_rest(self, data: bytes, sent: int) -> None:
        """Have the transport keep what the socket did not take, or find out that it is broken."""
        if self._drops_oldest:
            # No more than the frame that has begun, since the transport drops nothing.
            view, begun = memoryview(data), frame_end(data, sent)
            if begun > sent:
                self._transport.write(view[sent:begun])
            self._keep(view[begun:])
            return
        self._transport.write(memoryview(data)[sent:] if sent else data)

    def close(self, code: int, reason: str) -> None:
        """Close with a code, and end the socket even if the client never answers."""
        backlog = self._backlog
        self._leave()
        if self._transport.is_closing():
            return
        if backlog is not None:
            while backlog.size:
                self._transport.write(backlog.take(backlog.size))
        reader = self._reading()
        if reader.protocol.state is State.OPEN:
            # Whoever reads on within the time left gets to see why it was closed.
            waiting = self._transport.get_write_buffer_size()
            reader.farewell = max(waiting, self.door.limits.send_buffer) + _FAREWELL
            reader.protocol.send_close(code, reason)
            self._flush(reader.protocol)
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
                if protocol.close_rcvd is None and transport.can_write_eof():
                    # What the client is still sending would reset the connection, and it would not
                    # get to read why it is failed.
                    transport.write_eof()
                    self._abort_later()
                    continue
                # The protocol asks for the end: a server closes first (RFC 6455, section 7.1.1).
                transport.close()
                if transport.get_write_buffer_size():
                    # Closing waits for the client to read, which it may never do.
                    self._abort_later()
        if self._paused:
            self._limit_answers()

    def _leave(self) -> None:
        self.open = False
        self._backlog = None
        try:
            if self._entered:
                self._entered = False
                if self._reader is not None and self._reader.was_too_much:
                    metrics.LIMITED.labels("max-message").inc()
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
        """Send a pong, which a client gets before it is let in, too.

        As every control frame, it may stand between any two messages (RFC 6455, section 5.4): it
        waits for none of a Backlog.
        """
        if self.open and not self._paused:
            self.write(data)
            return
        self._transport.write(data)
        if self._paused:
            self._limit_answers()

    def _limit_answers(self) -> None:
        # A client can ask for any number of pongs, which do not pass `write`.
        waiting, limit = self._transport.get_write_buffer_size(), self.door.limits.send_buffer
        if self._entered:
            if waiting > limit:
                self._too_slow()
        elif waiting > ((self._reader and self._reader.farewell) or limit + _FAREWELL):
            self._transport.abort()

    @property
    def _drops_oldest(self) -> bool:
        return self.door.limits.slow_client == "drop-oldest" and not self.cluster_form

    def _keep(self, data: bytes | memoryview) -> None:
        """Have messages wait that the transport shall not have yet, as far as there is room."""
        if self._backlog is None:
            self._backlog = Backlog()
        backlog = self._backlog
        backlog.add(data)
        if not self._paused:
            self._pass_on(backlog)
        waiting = self._transport.get_write_buffer_size()
        limit = self.door.limits.send_buffer
        if waiting + backlog.size <= limit:
            return
        if not self._drops_oldest:
            self._too_slow()
            return
        dropped = backlog.drop_oldest(max(0, limit - waiting))
        metrics.MESSAGES_DROPPED.inc(dropped)
        metrics.SLOW.inc(dropped)
        metrics.LIMITED.labels("send-buffer").inc(dropped)

    def _pass_on(self, backlog: Backlog) -> None:
        """Give the transport what waits, until the client is behind again."""
        while backlog.size and not self._paused and not self._transport.is_closing():
            self._transport.write(backlog.take(_AT_ONCE))

    def _too_slow(self) -> None:
        # What has not gone out yet would only hold up the word why.
        if self._backlog is not None:
            metrics.SLOW.inc(self._backlog.drop_oldest(0))
            self._backlog = None
        metrics.SLOW_CLIENTS.inc()
        metrics.LIMITED.labels("send-buffer").inc()
        self.close(close_codes.TOO_SLOW, "this client reads too slowly")

    def _abort_later(self) -> None:
        # Harmless for a transport that has ended by itself in the meantime.
        asyncio.get_running_loop().call_later(CLOSE_TIMEOUT, self._transport.abort)


def _select(_protocol: ServerProtocol, offered: Any) -> Any:
    return choose_subprotocol(offered)

"""The Wire: the socket under a Connection; how much may wait to be written, and how it ends."""

import asyncio
from typing import ClassVar, cast

from websockets.protocol import State
from websockets.server import ServerProtocol

from service import close_codes, metrics
from service.door import Door

CLOSE_TIMEOUT = 5.0
"""Seconds in which a client may read what it was sent last, before its socket is ended."""

_FAREWELL = 65_536
"""Bytes beyond the limit that may still wait for a client that was told to go."""


class Wire(asyncio.Protocol):
    """Writes to one client. `open` says whether messages may go to it now."""

    __slots__ = ("_entered", "_paused", "_protocol", "_transport", "open")

    door: ClassVar[Door]

    def __init__(self, protocol: ServerProtocol) -> None:
        self._protocol = protocol
        self._transport: asyncio.Transport
        self._entered = False
        self._paused = False
        self.open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the socket over from HTTP."""
        # uvloop's transports have its methods without being its subclass.
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Forget the client, however it went."""
        self._leave()

    def pause_writing(self) -> None:
        """Note that the client reads more slowly than we write."""
        self._paused = True

    def resume_writing(self) -> None:
        """Note that it has caught up."""
        self._paused = False

    def write(self, data: bytes) -> None:
        """Put whole frames on the wire; one that is too slow is closed with 4008 instead."""
        if not self.open:
            return
        if self._paused:
            waiting = self._transport.get_write_buffer_size()
            if waiting + len(data) > self.door.limits.send_buffer:
                self._too_slow()
                return
        self._transport.write(data)

    def close(self, code: int, reason: str) -> None:
        """Close with a code, and end the socket even if the client never answers."""
        self._leave()
        if self._transport.is_closing():
            return
        if self._protocol.state is State.OPEN:
            self._protocol.send_close(code, reason)
            self._flush()
        self._abort_later()

    def _flush(self) -> None:
        """Send what the protocol has to say: handshakes, pongs, closes."""
        transport = self._transport
        for data in self._protocol.data_to_send():
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
        if self._entered:
            self._entered = False
            self._left()

    def _left(self) -> None:
        """Say that the client, having been let in, is gone."""
        raise NotImplementedError

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

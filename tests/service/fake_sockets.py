"""A socket as the Hub sees it, and a transport as a Connection sees it."""

import asyncio
from collections.abc import Mapping
from typing import Any

from service.clients.frames import NO_TAIL
from service.clients.row import Row, Socket


class FakeSocket:
    """A Connection as the Hub sees it; `writes` is what it would have put on the wire.

    With `has_direct` it is its own `direct` way while it is not `paused`; otherwise all goes by
    `write`.
    """

    def __init__(
        self,
        user: str,
        *,
        cluster_form: bool = False,
        is_open: bool = True,
        has_direct: bool = False,
    ) -> None:
        self.user = user
        self.address = "192.0.2.1"
        self.attributes: Mapping[str, str] = {}
        self.opened_at = 1.0
        self.cluster_form = cluster_form
        self.open = is_open
        self.has_direct = has_direct
        self.paused = False
        self.alive_at = 0.0
        self.ping_sent_at = 0.0
        self.row: Row
        self.queue: list[bytes] | None = None
        self.seen = 0
        self.slot: dict[Socket, None] | None = None
        self.tail = NO_TAIL
        self.writes: list[bytes] = []
        self.directly = 0
        self.room: int | None = None
        self.pinged: list[float] = []
        self.closed: list[tuple[int, str]] = []

    @property
    def direct(self) -> "FakeSocket | None":
        return self if self.has_direct and not self.paused else None

    @property
    def behind(self) -> bool:
        return self.paused

    def send(self, data: bytes) -> int:
        """Take as many bytes as there is `room` for."""
        assert not self.paused
        self.directly += 1
        if self.room == 0:
            raise BlockingIOError
        taken = data if self.room is None else data[: self.room]
        self.writes.append(taken)
        return len(taken)

    def write_rest(self, data: bytes, sent: int) -> None:
        if not sent:
            self.writes.append(b"")
        self.writes[-1] += data[sent:]
        self.pause()

    def pause(self) -> None:
        """Have bytes wait from now on."""
        if self.direct is not None:
            self.row.slow(self)
        self.paused = True

    def resume(self) -> None:
        """Have nothing wait any more."""
        was_paused, self.paused = self.paused, False
        if was_paused and self.direct is not None:
            self.row.quick(self)

    def write(self, data: bytes) -> None:
        if self.open:
            self.writes.append(data)

    def ping(self, now: float) -> None:
        self.ping_sent_at = now
        self.pinged.append(now)

    def close(self, code: int, reason: str) -> None:
        self.open = False
        self.closed.append((code, reason))

    @property
    def sent(self) -> bytes:
        return b"".join(self.writes)


class FakeTransport(asyncio.Transport):
    """uvloop's transport: one that has ended refuses writes. Nothing is read while `stuck`."""

    def __init__(self, protocol: Any, *, peer: str = "10.0.0.7", stuck: bool = False) -> None:
        super().__init__()
        self.protocol = protocol
        self.peer = peer
        self.stuck = stuck
        self.high_water = 65_536
        self.written: list[bytes] = []
        self.aborted = False
        self.lost = False
        self.reading = True
        self._waiting = 0
        self._closing = False
        protocol.connection_made(self)

    @property
    def sent(self) -> bytes:
        return b"".join(self.written)

    def lose(self) -> None:
        """End without a word from the client."""
        if not self.lost:
            self._closing = True
            self.protocol.connection_lost(None)
            self.lost = True

    def write(self, data: Any) -> None:
        if self.lost:
            raise RuntimeError("the handler is closed")
        self.written.append(bytes(data))
        if self.stuck:
            below = self._waiting <= self.high_water
            self._waiting += len(data)
            if below and self._waiting > self.high_water:
                self.protocol.pause_writing()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:  # noqa: ARG002 - asyncio's signature
        self.high_water = 65_536 if high is None else high

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def drain(self) -> None:
        """Have the client read all that waits."""
        self._waiting = 0
        self.protocol.resume_writing()

    def get_write_buffer_size(self) -> int:
        return self._waiting

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return (self.peer, 50_000) if name == "peername" else default

    def can_write_eof(self) -> bool:
        return False

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        self._closing = True
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self.lose)

    def abort(self) -> None:
        self.aborted = not self.lost
        self._closing = True
        asyncio.get_running_loop().call_soon(self.lose)

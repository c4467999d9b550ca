"""A socket as the Hub sees it, and a transport as a Connection sees it."""

import asyncio
from collections.abc import Mapping
from typing import Any


class FakeSocket:
    """A Connection as the Hub sees it; `writes` is what it would have put on the wire."""

    def __init__(self, user: str, *, cluster_form: bool = False, is_open: bool = True) -> None:
        self.user = user
        self.address = "192.0.2.1"
        self.attributes: Mapping[str, str] = {}
        self.opened_at = 1.0
        self.cluster_form = cluster_form
        self.open = is_open
        self.alive_at = 0.0
        self.ping_sent_at = 0.0
        self.queue: list[bytes] = []
        self.seen = 0
        self.writes: list[bytes] = []
        self.pinged: list[float] = []
        self.closed: list[tuple[int, str]] = []

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

    def drain(self) -> None:
        """Have the client read all that waits."""
        self._waiting = 0
        self.protocol.resume_writing()

    def get_write_buffer_size(self) -> int:
        return self._waiting

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return (self.peer, 50_000) if name == "peername" else default

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

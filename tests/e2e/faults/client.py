"""One user's client: it keeps a WebSocket open through the gateways, and notes what comes.

Lean, as a thousand of them share a core with the cluster: no library, no task of its own.
"""

import asyncio
import json
import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from devtools.ports import LOOPBACK
from tests.e2e.faults.ledger import Account, Stay

DRAINING = 4001
NO_CLOSE = 1006
"""What a client sees where a socket ends without a close frame (RFC 6455, 7.1.5)."""

_OPEN_LIMIT = 20.0
_JITTER = 1.0
_LONGEST_PAUSE = 5.0
_HINT = re.compile(r"return in (\d+(?:\.\d+)?) s")


@dataclass
class Crowd:
    """What all clients share. `history`: those of cluster.v1 resume with their tokens.

    `opened` and `closed` hold moments, `arrivals` when a push came first anywhere.
    """

    ports: Sequence[int]
    history: bool = False
    opened: list[float] = field(default_factory=list)
    closed: list[float] = field(default_factory=list)
    codes: Counter[int] = field(default_factory=Counter)
    hints: list[float] = field(default_factory=list)
    arrivals: dict[int, float] = field(default_factory=dict)
    connected: int = 0
    leaving: bool = False
    random: Random = field(default_factory=lambda: Random(6))  # noqa: S311 - for jitter


class Client(asyncio.Protocol):
    """One user, who comes back with jitter whenever the socket ends, by the other gateway."""

    _transport: Any
    _limit: asyncio.TimerHandle | None
    _buffer: bytes
    _upgraded: bool
    _resuming: bool
    _stay: Stay | None
    _code: int
    _hint: float | None

    def __init__(self, crowd: Crowd, number: int) -> None:
        self._crowd = crowd
        self.number = number
        self.user = f"u{number}"
        self._cluster_form = bool(number % 2)
        self.account = Account()
        self._gateway = number // 2
        self._token: str | None = None
        self._ids: set[str] = set()
        self._failures = 0
        self._coming: asyncio.Task[None] | None = None
        self._rest()

    @property
    def open(self) -> bool:
        """Whether it is connected, as far as it can see."""
        return self._stay is not None

    def come(self, pause: float = 0.0) -> None:
        """Connect after a pause."""
        self._coming = asyncio.create_task(self._come(pause))

    def end(self) -> None:
        """End the socket, if there is one; it comes back, unless the crowd is leaving."""
        if self._transport is not None:
            self._transport.abort()
        elif self._coming is not None and self._crowd.leaving:
            self._coming.cancel()

    def new_row(self, *, history: bool) -> None:
        """Begin a new account, with the socket that is open."""
        account = Account(remembers=history and self._cluster_form)
        if self._stay is not None:
            account.stays.append(self._stay)
        if account.remembers and self._token is not None:
            account.known_from = time.monotonic()
        self.account = account
        self._ids.clear()

    def connection_made(self, transport: Any) -> None:
        """Ask for the WebSocket."""
        self._transport = transport
        self._limit = asyncio.get_running_loop().call_later(_OPEN_LIMIT, transport.abort)
        protocol = "Sec-WebSocket-Protocol: cluster.v1\r\n" if self._cluster_form else ""
        transport.write(
            f"GET /websocket/{self.user} HTTP/1.1\r\nHost: gateway\r\nConnection: Upgrade\r\n"
            "Upgrade: websocket\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
            f"Sec-WebSocket-Version: 13\r\n{protocol}\r\n".encode()
        )

    def connection_lost(self, _: Exception | None) -> None:
        """Note the end, and come back."""
        now = time.monotonic()
        if self._limit is not None:
            self._limit.cancel()
        if self._stay is not None:
            self._stay.ended_at = now
            self._crowd.connected -= 1
            self._crowd.closed.append(now)
            self._crowd.codes[self._code] += 1
            self._failures = 0
        else:
            self._failures += 1
        code, hint = self._code, self._hint
        self._rest()
        self._gateway += 1
        if not self._crowd.leaving:
            self.come(self._pause(code, hint))

    def data_received(self, data: bytes) -> None:
        """Read the answer of the handshake, then frames."""
        self._buffer += data
        if not self._upgraded:
            head, found, rest = self._buffer.partition(b"\r\n\r\n")
            if not found:
                return
            if not head.startswith(b"HTTP/1.1 101 "):
                self._abort()
                return
            self._upgraded, self._buffer = True, rest
        self._read_frames()

    def _rest(self) -> None:
        self._transport = self._limit = self._stay = self._hint = None
        self._buffer, self._upgraded, self._resuming = b"", False, False
        self._code = NO_CLOSE

    def _pause(self, code: int, hint: float | None) -> float:
        jitter = self._crowd.random.random() * _JITTER
        if code == DRAINING and hint is not None:
            # The node has spread its clients already.
            return hint + jitter / 10
        return min(_LONGEST_PAUSE, jitter * (self._failures + 1))

    async def _come(self, pause: float) -> None:
        await asyncio.sleep(pause)
        port = self._crowd.ports[self._gateway % len(self._crowd.ports)]
        try:
            async with asyncio.timeout(_OPEN_LIMIT):
                await asyncio.get_running_loop().create_connection(lambda: self, LOOPBACK, port)
        except OSError:
            self._failures += 1
            self._gateway += 1
            if not self._crowd.leaving:
                self.come(self._pause(NO_CLOSE, None))

    def _read_frames(self) -> None:
        # A server's frames are unmasked, and ours come whole (RFC 6455, 5.2).
        buffer, at = self._buffer, 0
        while len(buffer) - at >= 2:
            length, body = buffer[at + 1] & 0x7F, at + 2
            if length >= 126:
                body += 2 if length == 126 else 8
                if len(buffer) < body:
                    break
                length = int.from_bytes(buffer[at + 2 : body])
            if len(buffer) < body + length:
                break
            self._take(buffer[at] & 0x0F, buffer[body : body + length])
            at = body + length
        self._buffer = buffer[at:]

    def _take(self, opcode: int, payload: bytes) -> None:
        if opcode == 1:
            self._take_text(payload)
        elif opcode == 9:
            self._send(10, payload)
        elif opcode == 8:
            self._code = int.from_bytes(payload[:2]) or NO_CLOSE
            found = _HINT.search(payload[2:].decode())
            if found:
                self._hint = float(found[1])
                self._crowd.hints.append(self._hint)
            self._send(8, payload[:2])
            self._transport.close()

    def _take_text(self, payload: bytes) -> None:
        if self._stay is None:
            self._opened()
            return
        message = json.loads(payload)
        if not self._cluster_form:
            self._got(message)
            return
        answer = message["type"] in {"resumed", "reset"}
        self._resuming = self._resuming and not answer
        # Before the answer a message may be newer than what is still to come.
        if message.get("token") and not self._resuming:
            self._token = message["token"]
            if self.account.known_from is None:
                self.account.known_from = time.monotonic()
        if message["type"] == "message":
            if message["id"] in self._ids:
                self.account.dropped += 1
                return
            self._ids.add(message["id"])
            self._got(message["content"])
        elif message["type"] == "reset":
            self.account.resets.append(time.monotonic())

    def _got(self, number: object) -> None:
        # Something else, or a push of before, may come in between.
        if isinstance(number, int):
            self.account.got[number] = self.account.got.get(number, 0) + 1
            self._crowd.arrivals.setdefault(number, time.monotonic())

    def _opened(self) -> None:
        if self._limit is not None:
            self._limit.cancel()
        now = time.monotonic()
        self._stay = Stay(now)
        self.account.stays.append(self._stay)
        self._crowd.connected += 1
        self._crowd.opened.append(now)
        if self._cluster_form and self._crowd.history:
            self._resuming = True
            resume = {"type": "resume", "token": self._token}
            self._send(1, json.dumps(resume).encode())

    def _abort(self) -> None:
        self._transport.abort()

    def _send(self, opcode: int, payload: bytes) -> None:
        # Masked with zeros, which change nothing.
        length = len(payload)
        size = bytes((0x80 | length,)) if length < 126 else b"\xfe" + length.to_bytes(2)
        self._transport.write(bytes((0x80 | opcode,)) + size + b"\0\0\0\0" + payload)


def move_in(crowd: Crowd, count: int) -> list[Client]:
    """Make clients that come over some seconds."""
    clients = [Client(crowd, number) for number in range(count)]
    for client in clients:
        client.come(client.number / 250)
    return clients


async def move_out(crowd: Crowd, clients: Sequence[Client]) -> None:
    """End all of them."""
    crowd.leaving = True
    for client in clients:
        client.end()
    await asyncio.sleep(0)


async def until(check: Callable[[], bool], limit: float) -> bool:
    """Wait for something up to `limit` seconds; gives whether it came."""
    deadline = time.monotonic() + limit
    while not check():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.05)
    return True

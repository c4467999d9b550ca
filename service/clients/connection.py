"""A Connection: one client's WebSocket, from the handshake to the close.

uvicorn hands it the socket after an Upgrade (its `ws=` option). An idle connection has no task, no
timer, no queue and no parser of its own. What it is made of: a Wire (`wire.py`), which writes and
ends; Inbound (`inbound.py`), which reads and answers; and here, how it comes in.
"""

import asyncio
import math
import time
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from websockets.frames import Frame
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol

from nacos_boot.http.problem import PROBLEM_TYPE, problem_json
from service import metrics
from service.clients import close_codes
from service.clients.door import Door, Refusal
from service.clients.frames import PING, PONG
from service.clients.handshake import (
    CLUSTER_V1,
    Client,
    NoSuchPathError,
    UserRefusedError,
    parse_target,
    read_ordinary,
)
from service.clients.inbound import Inbound
from service.clients.reader import Reader
from service.clients.row import Row, Socket
from service.user_id import EXPECTED

_NO_ATTRIBUTES: Mapping[str, str] = MappingProxyType({})


class Connection(Inbound):
    """One client. `opened_at` is Unix time; `row`, `seen` and `slot` are the Hub's."""

    __slots__ = ("address", "attributes", "opened_at", "row", "seen", "slot")

    def __init__(self, config: Any, server_state: Any, app_state: Any) -> None:  # noqa: ARG002 - uvicorn's signature
        super().__init__()
        self.address = ""
        self.attributes: Mapping[str, str] = _NO_ATTRIBUTES
        self.row: Row
        self.seen = 0
        self.slot: dict[Socket, None] | None = None
        self.opened_at = 0.0

    def head_received(
        self, method: bytes, target: bytes, headers: Sequence[tuple[bytes, bytes]]
    ) -> bool:
        """Take an ordinary client in; False, with nothing done, for `data_received` to judge."""
        handshake = read_ordinary(method, target, headers)
        if handshake is None:
            return False
        client, expires = handshake.client, math.inf
        self._come_from(handshake.forwarded_for)
        if self.door.refusal(client.user, self.address) is not None:
            return False
        if self.door.admission is not None:
            until = self.door.admission.admits(client.user, target.decode(), headers)
            if until is None:
                self.door.passed = self
                return False
            expires = until
        self.max_message = self.door.limits.max_message
        self._transport.write(handshake.answer)
        self._take_in(client, handshake.subprotocol, expires)
        return True

    def data_received(self, data: bytes) -> None:
        """Read the handshake, or what an accepted client sends."""
        if self._entered:
            self._read(data)
            return
        if self.door.room and self.door.room.keep(self, data):
            return
        begins = self._reader is None
        if self._reader is None:
            self.max_message = self.door.limits.max_message
            self._reader = Reader(self._make_protocol(State.CONNECTING))
        reader = self._reader
        for event in reader.read(data):
            if isinstance(event, Request):
                self._handshake(reader.protocol, event)
            elif isinstance(event, Frame):
                self._take(reader, event)
        self._flush(reader.protocol)
        if reader.protocol.state is not State.OPEN:
            self._leave()
        elif begins and data.find(b"\r\n\r\n") == len(data) - 4:
            # That was the head and nothing else, as HTTP hands it over.
            self._reader = None

    def eof_received(self) -> None:
        """End with the client's end.

        A client that is gone without a close frame does not read ours. One behind a gateway does:
        a gateway that leaves can only end the stream, and has the node say why.
        """
        protocol = self._reading().protocol
        if protocol.state is State.OPEN:
            protocol.send_close(close_codes.DRAINING, "the way here has ended; reconnect")
        protocol.receive_eof()
        self._flush(protocol)
        self._leave()

    def pause_writing(self) -> None:
        """Note that bytes wait for the client to read."""
        if self.direct is not None:
            self.row.slow(self)
        super().pause_writing()

    def resume_writing(self) -> None:
        """Note that it has caught up."""
        super().resume_writing()
        if self.direct is not None:
            self.row.quick(self)

    def start(self) -> None:
        """Say `pong`, now that the directory knows where the user is, and let pushes through."""
        if self.held is not None:
            self.held.start()
        else:
            self.let_in(PONG)

    def let_in(self, first: bytes) -> None:
        """Let pushes through, behind these frames."""
        # It may have gone while the directory was written.
        if self.open or not self._entered:
            return
        self._begin(first)
        self.door.hub.opened(self)

    def ping(self, now: float) -> None:
        """Send a ping frame; the answer, or anything else, clears `ping_sent_at`."""
        self.ping_sent_at = now
        if self.open:
            self._answer_control(PING)

    def judge_again(self, head: bytes, early: bytes) -> None:
        """Take a handshake up again that has waited; `early` came behind its head meanwhile."""
        if self._transport.is_closing():
            return
        self._reader = None
        self.data_received(head)
        if early and not self._transport.is_closing():
            self.data_received(early)
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def give_up(self) -> None:
        """End a handshake without a word."""
        self._transport.abort()

    def _left(self) -> None:
        self.door.leave(self)

    def _handshake(self, protocol: ServerProtocol, request: Request) -> None:
        try:
            client = parse_target(request.path)
        except NoSuchPathError:
            self._reject(protocol, 404, "Not Found", "WebSockets are at /websocket/{userId}.")
            return
        except (UserRefusedError, ValueError):
            self._answer(protocol, request, Refusal(close_codes.REFUSED, f"user id: {EXPECTED}"))
            return
        by_gateway = bool(request.headers.get_all("X-Gateway-Attempt"))
        self._come_from(request.headers.get_all("X-Forwarded-For"))
        refusal, expires = None, math.inf
        if self.door.passed is not self:
            refusal = self.door.refusal(client.user, self.address)
        self.door.passed = None
        if refusal is None and self.door.admission is not None:
            judged = self.door.admission.judge(self, client.user, request)
            if judged is None:
                # The keys of tokens are being fetched; `judge_again` comes back here.
                self._transport.pause_reading()
                return
            refusal, expires = judged
        if refusal is not None and refusal.limit:
            metrics.LIMITED.labels(refusal.limit).inc()
        if refusal is not None and refusal.elsewhere and by_gateway:
            # Our gateway tries another node; nobody else gets to see an HTTP status.
            self._reject(protocol, 503, "Service Unavailable", refusal.reason)
            return
        if not self._answer(protocol, request, refusal):
            return
        self._flush(protocol)
        self._take_in(client, protocol.subprotocol, expires)

    def _come_from(self, forwarded_for: Sequence[str]) -> None:
        peer = self._transport.get_extra_info("peername")
        self.address = self.door.proxies.client(peer[0] if peer else "", forwarded_for)

    def _take_in(self, client: Client, subprotocol: str | None, expires: float) -> None:
        self.user, self.attributes = client.user, client.attributes or _NO_ATTRIBUTES
        self.cluster_form = subprotocol == CLUSTER_V1
        self.opened_at = time.time()
        self.alive_at = asyncio.get_running_loop().time()
        self._entered = True
        self.door.enter(self, client.resume)
        if expires != math.inf:
            self.door.may_stay_until(self, expires)

    def _answer(self, protocol: ServerProtocol, request: Request, refusal: Refusal | None) -> bool:
        """Answer the handshake; True where the client may stay."""
        response = protocol.accept(request)
        protocol.send_response(response)
        if protocol.state is not State.OPEN:
            metrics.HANDSHAKES_REFUSED.labels(str(response.status_code)).inc()
            return False
        if refusal is not None:
            metrics.HANDSHAKES_REFUSED.labels(str(refusal.code)).inc()
            self._flush(protocol)
            self.close(refusal.code, refusal.reason)
            return False
        return True

    def _reject(self, protocol: ServerProtocol, status: int, title: str, detail: str) -> None:
        metrics.HANDSHAKES_REFUSED.labels(str(status)).inc()
        response = protocol.reject(status, problem_json(status, title, detail).decode())
        # Headers keep every value that they are given.
        del response.headers["Content-Type"]
        response.headers["Content-Type"] = PROBLEM_TYPE
        protocol.send_response(response)


def connection_class(door: Door) -> type[Connection]:
    """Give the class that uvicorn makes connections of; they share one Door."""
    return type("NodeConnection", (Connection,), {"door": door, "__slots__": ()})

"""A Connection: one client's WebSocket, from the handshake to the close.

uvicorn hands it the socket after an Upgrade (its `ws=` option). websockets' sans-I/O protocol
checks the handshake and reads the client's frames; frames to the client come ready from the Hub
and go straight to the transport. An idle connection has no task, no timer and no queue of its own.
"""

import asyncio
import time
from collections.abc import Mapping
from typing import Any

from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol

from nacos_boot.http.problem import PROBLEM_TYPE, problem_json
from service import close_codes, metrics
from service.client_messages import ClientMessages, NotTextError
from service.door import Door, Refusal
from service.frames import PING, PONG
from service.handshake import (
    CLUSTER_V1,
    NoSuchPathError,
    UserRefusedError,
    choose_subprotocol,
    client_address,
    parse_target,
)
from service.user_id import EXPECTED
from service.wire import Wire


class Connection(Wire):
    """One client.

    `alive_at` is when it last sent anything, on the loop's clock; `opened_at` is Unix time.
    """

    __slots__ = (
        "_inbound",
        "address",
        "alive_at",
        "attributes",
        "cluster_form",
        "opened_at",
        "ping_sent_at",
        "queue",
        "seen",
        "user",
    )

    def __init__(self, config: Any, server_state: Any, app_state: Any) -> None:  # noqa: ARG002 - uvicorn's signature
        super().__init__(
            ServerProtocol(
                select_subprotocol=_select,
                max_size=self.door.limits.max_message,
                logger=self.door.protocol_logger,
            )
        )
        self._inbound: ClientMessages | None = None
        self.cluster_form = False
        self.user = ""
        self.address = ""
        self.attributes: Mapping[str, str] = {}
        self.queue: list[bytes] = []
        self.seen = 0
        self.alive_at = 0.0
        self.ping_sent_at = 0.0
        self.opened_at = 0.0

    def data_received(self, data: bytes) -> None:
        """Feed the protocol, and act on what it reads."""
        self._protocol.receive_data(data)
        self._handle()

    def eof_received(self) -> None:
        """End with the client's end.

        A client that is gone without a close frame does not read ours. One behind a gateway does:
        a gateway that leaves can only end the stream, and has the node say why.
        """
        if self._protocol.state is State.OPEN:
            self._protocol.send_close(close_codes.DRAINING, "the way here has ended; reconnect")
        self._protocol.receive_eof()
        self._handle()

    def start(self) -> None:
        """Say `pong`, now that the directory knows where the user is, and let pushes through."""
        # It may have gone while the directory was written.
        if self.open or not self._entered:
            return
        self.open = True
        self._transport.write(PONG)
        self.door.hub.opened(self)

    def ping(self, now: float) -> None:
        """Send a ping frame; the answer, or anything else, clears `ping_sent_at`."""
        self.ping_sent_at = now
        self.write(PING)

    def _handle(self) -> None:
        for event in self._protocol.events_received():
            if isinstance(event, Request):
                self._handshake(event)
            elif isinstance(event, Frame):
                self._frame(event)
        self._flush()
        if self._protocol.state is not State.OPEN:
            self._leave()

    def _left(self) -> None:
        self.door.leave(self)

    def _handshake(self, request: Request) -> None:
        try:
            client = parse_target(request.path)
        except NoSuchPathError:
            self._reject(404, "Not Found", "WebSockets are at /websocket/{userId}.")
            return
        except (UserRefusedError, ValueError):
            self._answer(request, Refusal(close_codes.REFUSED, f"user id: {EXPECTED}"))
            return
        by_gateway = bool(request.headers.get_all("X-Gateway-Attempt"))
        refusal = self.door.refusal()
        if refusal is not None and refusal.elsewhere and by_gateway:
            # Our gateway tries another node; nobody else gets to see an HTTP status.
            self._reject(503, "Service Unavailable", refusal.reason)
            return
        if not self._answer(request, refusal):
            return
        peer = self._transport.get_extra_info("peername")
        forwarded = request.headers.get_all("X-Forwarded-For")
        self.address = client_address(peer[0] if peer else "", forwarded)
        self.user, self.attributes = client.user, client.attributes
        self.cluster_form = self._protocol.subprotocol == CLUSTER_V1
        self.opened_at = time.time()
        self.alive_at = asyncio.get_running_loop().time()
        self._flush()
        self._entered = True
        self.door.enter(self)

    def _answer(self, request: Request, refusal: Refusal | None) -> bool:
        """Answer the handshake; True where the client may stay."""
        response = self._protocol.accept(request)
        self._protocol.send_response(response)
        if self._protocol.state is not State.OPEN:
            metrics.HANDSHAKES_REFUSED.labels(str(response.status_code)).inc()
            return False
        if refusal is not None:
            metrics.HANDSHAKES_REFUSED.labels(str(refusal.code)).inc()
            self._flush()
            self.close(refusal.code, refusal.reason)
            return False
        return True

    def _reject(self, status: int, title: str, detail: str) -> None:
        metrics.HANDSHAKES_REFUSED.labels(str(status)).inc()
        response = self._protocol.reject(status, problem_json(status, title, detail).decode())
        # Headers keep every value that they are given.
        del response.headers["Content-Type"]
        response.headers["Content-Type"] = PROBLEM_TYPE
        self._protocol.send_response(response)

    def _frame(self, frame: Frame) -> None:
        self.alive_at = asyncio.get_running_loop().time()
        self.ping_sent_at = 0.0
        if frame.opcode not in {Opcode.TEXT, Opcode.BINARY, Opcode.CONT}:
            return
        if self._inbound is None:
            self._inbound = ClientMessages(cluster_form=self.cluster_form)
        try:
            answer = self._inbound.take(frame)
        except NotTextError as error:
            self._protocol.fail(CloseCode.INVALID_DATA, str(error))
            return
        if answer is None:
            return
        if self._entered and not self.open:
            # The Hub sends it behind the first `pong`.
            self.queue.append(answer)
        else:
            self.write(answer)


def _select(_protocol: ServerProtocol, offered: Any) -> Any:
    return choose_subprotocol(offered)


def connection_class(door: Door) -> type[Connection]:
    """Give the class that uvicorn makes connections of; they share one Door."""
    return type("NodeConnection", (Connection,), {"door": door, "__slots__": ()})

"""A relay being opened: from the client's handshake to the moment when bytes just flow.

uvicorn gives the connection over by constructing a class (its `ws=` option) for each Upgrade.
"""

import asyncio
import logging
from typing import Any, ClassVar, cast

from gateway_lb import metrics
from gateway_lb.answer import answer_to_client
from gateway_lb.head import (
    Handshake,
    NoHandshakeError,
    accept_and_close,
    parse_handshake,
    request_to_node,
)
from gateway_lb.headers import origin_of
from gateway_lb.reach import NoNodeError, Reached, reach
from gateway_lb.relay import Relay
from gateway_lb.relays import Relays
from gateway_lb.sockets import keep_alive, take_over
from gateway_lb.transport_relay import TransportRelay, is_plain
from nacos_boot.http.protocol import problem_response, say_last

log = logging.getLogger(__name__)

DRAINING = 4001
NO_NODE = 4503
_INTERNAL_ERROR = 1011

_EARLY_LIMIT = 64 * 1024
"""Bytes a client may send before a node has answered; then it waits."""


class Opening(asyncio.Protocol):
    """One client's handshake. Ends by starting a Relay, or by answering the client itself."""

    __slots__ = (
        "_answered",
        "_connections",
        "_early",
        "_handshake",
        "_task",
        "_transport",
    )

    relays: ClassVar[Relays]
    _transport: asyncio.Transport

    def __init__(self, config: Any, server_state: Any, app_state: Any) -> None:  # noqa: ARG002 - uvicorn's signature
        self._connections: set[Any] = server_state.connections
        self._handshake: Handshake | None = None
        self._early = bytearray()
        self._answered = False
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection over from HTTP."""
        # uvloop's transports have its methods without being its subclass.
        self._transport = cast("asyncio.Transport", transport)
        self._connections.add(self)

    def data_received(self, data: bytes) -> None:
        """Take the head, which uvicorn gives in one piece; keep what comes behind it for the node.

        A client may send frames before it knows that it has been accepted.
        """
        if self._handshake is None and not self._answered:
            self._begin(data)
        elif not self._answered:
            self._early += data
            if len(self._early) > _EARLY_LIMIT:
                self._transport.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Give up when the client does: no WebSocket client ends its side and still waits."""
        self._connections.discard(self)
        if self._task is not None and not self._answered:
            self._fail("client-gone")
            self._task.cancel()

    def shutdown(self) -> None:
        """End because the server does (uvicorn calls this)."""
        if self._task is not None:
            self._task.cancel()
        if not self._answered and self._handshake is not None:
            self._refuse(self._handshake, DRAINING, "the gateway is leaving; reconnect")
        self._transport.close()

    def _begin(self, head: bytes) -> None:
        try:
            handshake = self._handshake = parse_handshake(head)
        except NoHandshakeError as error:
            self._fail(f"http-{error.status}")
            self._answer(problem_response(error.status, error.detail, error.headers))
            return
        if self.relays.draining:
            self._fail("draining")
            self._refuse(handshake, DRAINING, "the gateway is leaving; reconnect")
            return
        self._task = asyncio.get_running_loop().create_task(self._open(handshake))

    async def _open(self, handshake: Handshake) -> None:
        peer = self._transport.get_extra_info("peername")
        spoken = "https" if self._transport.get_extra_info("sslcontext") else "http"
        client, scheme = origin_of(
            handshake.headers, peer[0] if peer else "unknown", spoken, self.relays.proxies
        )

        def request(attempt: int) -> bytes:
            return request_to_node(handshake, client, scheme, attempt)

        try:
            reached = await reach(self.relays, handshake.user, request)
        except NoNodeError as error:
            self._fail("no-node")
            self._refuse(handshake, NO_NODE, str(error))
        except Exception:
            log.exception("a handshake failed by a fault of the gateway")
            self._fail("error")
            self._refuse(handshake, _INTERNAL_ERROR, "the gateway failed")
        else:
            self._join(handshake, reached)

    def _join(self, handshake: Handshake, reached: Reached) -> None:
        """Start the relay, or pass on why the node refused. Runs in one go: nothing may come in."""
        self._answered = True
        if not reached.accepted:
            reached.member.open -= 1
            self._fail(f"http-{reached.answer.status}")
            self._answer(answer_to_client(reached.answer, reached.body))
            return
        node = reached.node
        if node.lost:
            # It had its say.
            reached.member.open -= 1
            self._fail("node-gone")
            self._answer(bytes(node.received))
            return
        if not (is_plain(self._transport) and is_plain(node.transport)):
            self._join_transports(reached)
            return
        try:
            client_socket, node_socket = take_over(self._transport, node.transport)
        except OSError as error:
            log.warning("a relay cannot be opened: %s", error)
            node.transport.abort()
            reached.member.open -= 1
            self._fail("error")
            self._refuse(handshake, _INTERNAL_ERROR, "the gateway has no room")
            return
        keep_alive(node_socket)
        relay = Relay(
            self.relays,
            reached.member,
            client=client_socket,
            node=node_socket,
            buffer_high_water=self.relays.settings.buffer_high_water,
        )
        self._connections.discard(self)
        self.relays.started(relay)
        relay.start(bytes(node.received), bytes(self._early))

    def _join_transports(self, reached: Reached) -> None:
        node = reached.node
        relay = TransportRelay(
            self.relays,
            reached.member,
            client=self._transport,
            node=node.transport,
            buffer_high_water=self.relays.settings.buffer_high_water,
        )
        self._connections.discard(self)
        self.relays.started(relay)
        relay.start(bytes(node.received), bytes(self._early))
        if node.ended:
            relay.half_closed(relay.node)

    def _refuse(self, handshake: Handshake, code: int, reason: str) -> None:
        self._answer(accept_and_close(handshake, code, reason))

    def _answer(self, data: bytes) -> None:
        self._answered = True
        self._early.clear()
        self._transport.resume_reading()
        say_last(self._transport, data)

    def _fail(self, reason: str) -> None:
        metrics.HANDSHAKE_FAILURES.labels(reason).inc()


def relay_class(relays: Relays) -> type[Opening]:
    """Give the class for uvicorn's `ws=` option whose connections belong to `relays`."""
    return type("BoundOpening", (Opening,), {"__slots__": (), "relays": relays})

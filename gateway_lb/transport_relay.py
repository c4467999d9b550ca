"""A relay of which a side is TLS: two transports of the event loop, joined.

TLS has to pass through the transport that does it, so its bytes cannot be the Pump's.
"""

import asyncio

from gateway_lb.metrics import TRAFFIC, Direction
from gateway_lb.pool import Member
from gateway_lb.relay import CLOSE_TIMEOUT, Owner


class End(asyncio.Protocol):
    """One side of the relay. What it receives is written to its peer."""

    __slots__ = ("_relay", "direction", "ended", "lost", "peer", "transport")

    peer: "End"

    def __init__(
        self, relay: "TransportRelay", transport: asyncio.Transport, direction: Direction
    ) -> None:
        """`direction`: the account of the bytes that go out here."""
        self._relay = relay
        self.transport = transport
        self.direction = direction
        self.ended = False
        self.lost = False

    def send(self, data: bytes) -> None:
        """Write bytes to this side."""
        if not self.lost:
            self.direction.bytes += len(data)
            self.transport.write(data)

    def data_received(self, data: bytes) -> None:
        """Pass bytes on."""
        self.peer.send(data)

    def pause_writing(self) -> None:
        """Stop reading from the peer: this side is slow."""
        if not self.peer.lost:
            self.peer.transport.pause_reading()

    def resume_writing(self) -> None:
        """Read from the peer again."""
        if not (self.peer.lost or self.peer.ended):
            self.peer.transport.resume_reading()

    def eof_received(self) -> bool:
        """Pass on that this side will send no more. By TLS, that is its end altogether."""
        self.ended = True
        self._relay.half_closed(self)
        return self.transport.can_write_eof()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Note the end of both directions."""
        self.lost = self.ended = True
        self._relay.side_lost(self)


class TransportRelay:
    """A client and a node, joined by their transports, which are the relay's from now on."""

    __slots__ = ("_owner", "_timer", "client", "member", "node")

    def __init__(
        self,
        owner: Owner,
        member: Member,
        *,
        client: asyncio.Transport,
        node: asyncio.Transport,
        buffer_high_water: int,
    ) -> None:
        self._owner = owner
        self._timer: asyncio.TimerHandle | None = None
        self.member = member
        self.client = End(self, client, TRAFFIC.down)
        self.node = End(self, node, TRAFFIC.up)
        self.client.peer, self.node.peer = self.node, self.client
        for side in (self.client, self.node):
            side.transport.set_write_buffer_limits(high=buffer_high_water)

    def start(self, to_client: bytes, to_node: bytes) -> None:
        """Send what came before the two were joined; from now on bytes just flow."""
        for side in (self.client, self.node):
            side.transport.set_protocol(side)
        if to_client:
            self.client.send(to_client)
        if to_node:
            self.node.send(to_node)
        for side in (self.client, self.node):
            # It may have been paused while the relay was opened.
            side.transport.resume_reading()

    def half_closed(self, side: End) -> None:
        """Pass on that one side has ended; the other direction may go on for a while."""
        if side.peer.ended:
            self.close()
            return
        if self._end_stream(side.peer):
            self._set_timer(self._owner.half_close_timeout)
        else:
            self.close()

    def side_lost(self, side: End) -> None:
        """End the other side when one is gone; tell the owner when both are."""
        if not side.peer.lost:
            self._close(side.peer)
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        del self.client.peer, self.node.peer
        self._owner.ended(self)

    def leave(self) -> None:
        """End for the gateway's sake: with the node's close frame where the way to it can say so.

        A node that is reached by TLS cannot be told that the stream ends without ending all of it.
        """
        if not (self.client.lost or self.node.lost or self.node.ended):
            self.client.transport.pause_reading()
            if self._end_stream(self.node):
                self._set_timer(CLOSE_TIMEOUT)
                return
        self.close()

    def close(self) -> None:
        """End both sides as soon as they have taken what is buffered for them."""
        for side in (self.client, self.node):
            if not side.lost:
                self._close(side)

    def _close(self, side: End) -> None:
        side.transport.close()
        asyncio.get_running_loop().call_later(CLOSE_TIMEOUT, side.transport.abort)

    def _end_stream(self, side: End) -> bool:
        if side.lost or not side.transport.can_write_eof():
            return False
        side.transport.write_eof()
        return True

    def _set_timer(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, self.close)


def is_plain(transport: asyncio.Transport) -> bool:
    """Tell whether a transport's bytes are those on its socket."""
    return transport.get_extra_info("sslcontext") is None

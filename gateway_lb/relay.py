"""A Relay: a client and a node, joined once the node has taken the client, and how the two end.

The bytes themselves are the Pump's.
"""

import asyncio
import socket
from collections.abc import Callable
from typing import Protocol

from gateway_lb.metrics import TRAFFIC
from gateway_lb.pool import Member
from gateway_lb.pump import Pump, Side

CLOSE_TIMEOUT = 5.0
"""Seconds in which a closed side may take what is buffered for it."""


class Owner(Protocol):
    """Who keeps account of a relay."""

    @property
    def pump(self) -> Pump:
        """What moves the bytes of all relays."""

    @property
    def half_close_timeout(self) -> float:
        """Seconds for which one direction may outlive the other."""

    def ended(self, relay: "Relayed") -> None:
        """Hear that both sides of a relay are gone."""


class Relayed(Protocol):
    """A client and a node, joined, in whatever way."""

    member: Member

    def leave(self) -> None:
        """End for the gateway's sake, with the node's help where that can be had."""

    def close(self) -> None:
        """End both sides as soon as they have taken what is buffered for them."""


class Relay:
    """A client and a node, joined. It has no task; a timer only while it ends."""

    __slots__ = ("_owner", "_timer", "buffer_high_water", "client", "member", "node")

    def __init__(
        self, owner: Owner, member: Member, *, client: int, node: int, buffer_high_water: int
    ) -> None:
        """Join two sockets, given as descriptors that are the relay's from now on.

        `buffer_high_water`: bytes that may wait for a slow side before the other is paused.
        """
        self._owner = owner
        self._timer: asyncio.TimerHandle | None = None
        self.member = member
        self.buffer_high_water = buffer_high_water
        self.client = Side(self, client, TRAFFIC.down)
        self.node = Side(self, node, TRAFFIC.up)
        self.client.peer, self.node.peer = self.node, self.client

    def start(self, to_client: bytes, to_node: bytes) -> None:
        """Send what came before the two were joined; from now on bytes just flow.

        Raises OSError when the kernel will not watch the sockets; then both are closed.
        """
        pump = self._owner.pump
        try:
            pump.add((self.client, self.node))
        except OSError:
            self.close()
            raise
        pump.pass_on([(self.client, to_client)])
        if to_node and self.node.open:
            pump.pass_on([(self.node, to_node)])

    def half_closed(self, side: Side) -> None:
        """Pass on that one side has ended; the other direction may go on for a while."""
        if side.peer.ended:
            self.close()
            return
        self._set_timer(self._owner.half_close_timeout, self.close)
        self._owner.pump.when_written(side.peer, self._end_stream)

    def lost(self, side: Side) -> None:
        """End the other side when one is gone; tell the owner when both are."""
        self._owner.pump.drop(side)
        if side.peer.open:
            self._end(side.peer)
            return
        self._stop_timer()
        # These refer to each other; without this they would wait for the garbage collector.
        del self.client.peer, self.node.peer
        self._owner.ended(self)

    def leave(self) -> None:
        """End for the gateway's sake, with the node's help.

        The gateway cannot know where in a frame the stream to the client stands, so it cannot send
        a close frame itself. It ends the stream to the node instead; a node then closes with a
        close frame of its own, and one that does not is given up after a moment.
        """
        if self.client.open and self.node.open and not self.node.ended:
            self._stop_reading(self.client)
            self._set_timer(CLOSE_TIMEOUT, self.close)
            self._owner.pump.when_written(self.node, self._end_stream)
        else:
            self.close()

    def close(self) -> None:
        """End both sides as soon as they have taken what is buffered for them."""
        for side in (self.client, self.node):
            if side.open:
                self._end(side)

    def _end(self, side: Side) -> None:
        self._stop_reading(side)
        # A side that reads nothing would keep its socket, and its buffer, for ever.
        self._set_timer(CLOSE_TIMEOUT, self._abort)
        self._owner.pump.when_written(side, self.lost)

    def _abort(self) -> None:
        for side in (self.client, self.node):
            if side.open:
                self.lost(side)

    def _stop_reading(self, side: Side) -> None:
        side.ended = True
        self._owner.pump.watch(side)

    def _end_stream(self, side: Side) -> None:
        """Tell a side's socket that nothing more will be written."""
        own = socket.socket(fileno=side.fd)
        try:
            own.shutdown(socket.SHUT_WR)
        except OSError:
            # It is gone already.
            own.detach()
            self.lost(side)
        else:
            own.detach()

    def _set_timer(self, seconds: float, action: Callable[[], None]) -> None:
        self._stop_timer()
        self._timer = asyncio.get_running_loop().call_later(seconds, action)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

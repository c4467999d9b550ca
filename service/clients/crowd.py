"""The Crowd: how many clients of one user or one address may be here, and how fast they may come.

Users are counted here at this node only; `user_limit.py` counts them in the whole cluster.
"""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from nacos_boot.config.live import LiveSettings
from service.clients.hub import Hub
from service.clients.settings import LimitsSection
from service.pace import Bucket, Pace
from service.settings import NodeSettings


@dataclass(frozen=True, slots=True)
class Over:
    """A limit that is reached: its key, and why the client may not come in."""

    limit: str
    reason: str
    elsewhere: bool = False


class Crowd:
    """Judges who comes. What is not limited is not counted either."""

    def __init__(
        self,
        live: LiveSettings[NodeSettings],
        hub: Hub,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._hub = hub
        self._clock = clock
        self._handshakes = Bucket()
        self._addresses: Counter[str] | None = None
        self._use(live.current.websocket.limits)
        live.subscribe(lambda _, new: self._use(new.websocket.limits))

    def over(self, user: str, address: str) -> Over | None:
        """Name the limit that one more client reaches; one let in counts as a handshake."""
        if not self._limited:
            return None
        limits = self._limits
        most = limits.max_connections_per_user
        if most and len(self._hub.of_user(user)) >= most:
            return Over("max-connections-per-user", "this user has too many connections")
        most = limits.max_connections_per_address
        if self._addresses is not None and self._addresses[address] >= most:
            return Over("max-connections-per-address", "too many connections from this address")
        if not self._handshakes.take(self._clock()):
            return Over("handshakes-per-second", "too many clients come at once", elsewhere=True)
        return None

    def entered(self, address: str) -> None:
        """Count a client that was let in."""
        if self._addresses is not None:
            self._addresses[address] += 1

    def left(self, address: str) -> None:
        """Count no longer a client that has left the Hub."""
        addresses = self._addresses
        if addresses is not None:
            addresses[address] -= 1
            if addresses[address] <= 0:
                del addresses[address]

    def _use(self, limits: LimitsSection) -> None:
        self._limits = limits
        pace = Pace.of(limits.handshakes_per_second, limits.handshake_burst)
        self._handshakes.change(pace)
        if not limits.max_connections_per_address:
            self._addresses = None
        elif self._addresses is None:
            # Those who came while there was no such limit count, too.
            self._addresses = Counter(socket.address for socket in self._hub.sockets)
        self._limited = bool(
            pace or limits.max_connections_per_user or limits.max_connections_per_address
        )

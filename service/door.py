"""The Door: what every Connection shares, from whether a client may come in to its farewell."""

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nacos_boot.config.live import LiveSettings
from service import close_codes, metrics
from service.directories import Directories
from service.hub import Hub
from service.settings import NodeSettings
from service.settings_limits import LimitsSection

if TYPE_CHECKING:
    from service.connection import Connection


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a client may not stay; `elsewhere` where another node would take it."""

    code: int
    reason: str
    elsewhere: bool = False


class Door:
    """Lets clients in and out of the Hub, and keeps the directory informed."""

    def __init__(self, live: LiveSettings[NodeSettings], hub: Hub, directory: Directories) -> None:
        self._live = live
        self._directory = directory
        self.hub = hub
        self.ready = True
        self.draining = False
        # A client's broken frames are its own affair; they are counted, not logged.
        self.protocol_logger = logging.getLogger("service.protocol")
        self.protocol_logger.setLevel(logging.CRITICAL)

    @property
    def limits(self) -> LimitsSection:
        """The limits in force."""
        return self._live.current.websocket.limits

    def refusal(self) -> Refusal | None:
        """Say why no client may come in now; None where one may."""
        if not self.ready:
            reason = "this node is not ready yet; reconnect"
            return Refusal(close_codes.DRAINING, reason, elsewhere=True)
        if self.draining:
            return Refusal(close_codes.DRAINING, "this node is leaving; reconnect", elsewhere=True)
        if len(self.hub) >= self.limits.max_connections:
            return Refusal(
                close_codes.TOO_MANY, "this node has too many connections", elsewhere=True
            )
        return None

    def enter(self, connection: "Connection") -> None:
        """Take a client in: it is started as soon as the directory knows of it."""
        self.hub.add(connection)
        metrics.CONNECTIONS.set(len(self.hub))
        metrics.CONNECTIONS_OPENED.inc()
        self._directory.after_next_write(connection.start)

    def leave(self, connection: "Connection") -> None:
        """Let a client go."""
        self.hub.remove(connection)
        metrics.CONNECTIONS.set(len(self.hub))

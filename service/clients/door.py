"""The Door: what every Connection shares, from whether a client may come in to its farewell."""

import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nacos_boot.config.live import LiveSettings
from nacos_boot.http.proxies import TrustedProxies
from service import metrics
from service.auth.token_expiry import ExpiryWheel
from service.clients import close_codes
from service.clients.crowd import Crowd
from service.clients.frames import RESET
from service.clients.hub import Hub
from service.clients.settings import LimitsSection
from service.directory.directories import Directories
from service.pace import Meter, Pace
from service.settings import NodeSettings

if TYPE_CHECKING:
    from service.auth.admission import Admission
    from service.auth.waiting_room import WaitingRoom
    from service.clients.connection import Connection
    from service.history.history import History


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a client may not stay; `elsewhere` where another node would take it."""

    code: int
    reason: str
    elsewhere: bool = False
    limit: str = ""
    """The key under `websocket.limits` of the limit that is reached, if it is one."""


class Door:
    """Lets clients in and out of the Hub, and keeps the directory informed."""

    def __init__(self, live: LiveSettings[NodeSettings], hub: Hub, directory: Directories) -> None:
        self._live = live
        self._directory = directory
        self.hub = hub
        self.crowd = Crowd(live, hub)
        self.meter = Meter()
        self._pace_clients(live.current)
        live.subscribe(lambda _, new: self._pace_clients(new))
        self.ready = True
        self.draining = False
        # Who has passed `refusal` already, and is judged anew for another reason.
        self.passed: Connection | None = None
        self.admission: Admission | None = None
        self.room: WaitingRoom | None = None
        self.history: History | None = None
        self.expiries = ExpiryWheel()
        self.proxies = TrustedProxies.of(live, lambda settings: settings.websocket.trusted_proxies)
        # A client's broken frames are its own affair; they are counted, not logged.
        self.protocol_logger = logging.getLogger("service.protocol")
        self.protocol_logger.setLevel(logging.CRITICAL)

    @property
    def limits(self) -> LimitsSection:
        """The limits in force."""
        return self._live.current.websocket.limits

    def _pace_clients(self, settings: NodeSettings) -> None:
        limits = settings.websocket.limits
        self.meter.change(Pace.of(limits.messages_per_second, limits.message_burst))

    def refusal(self, user: str, address: str) -> Refusal | None:
        """Say why no client may come in now; None where one may."""
        if not self.ready:
            reason = "this node is not ready yet; reconnect"
            return Refusal(close_codes.DRAINING, reason, elsewhere=True)
        if self.draining:
            return Refusal(close_codes.DRAINING, "this node is leaving; reconnect", elsewhere=True)
        if len(self.hub) >= self.limits.max_connections:
            return Refusal(
                close_codes.TOO_MANY,
                "this node has too many connections",
                elsewhere=True,
                limit="max-connections",
            )
        over = self.crowd.over(user, address)
        if over is not None:
            return Refusal(close_codes.TOO_MANY, over.reason, over.elsewhere, over.limit)
        return None

    def enter(self, connection: "Connection", resume: str | None = None) -> None:
        """Take a client in: it is started as soon as the directory knows of it.

        `resume` is the token that came with its handshake.
        """
        self.hub.add(connection)
        self.crowd.entered(connection.address)
        metrics.CONNECTIONS.set(len(self.hub))
        metrics.CONNECTIONS_OPENED.inc()
        token = resume if connection.cluster_form else None
        if self.history is not None:
            self.history.come(connection, token)
        elif token is not None:
            connection.queue = [RESET]
        self._directory.after_next_write(connection.start)

    def may_stay_until(self, connection: "Connection", expires: float) -> None:
        """Have a client that was taken in go at a Unix time, if it is still here."""
        self.expiries.add(connection, expires, time.time())

    def leave(self, connection: "Connection") -> None:
        """Let a client go."""
        self.hub.remove(connection)
        self.crowd.left(connection.address)
        if self.history is not None:
            self.history.leave(connection)
        if self.expiries:
            self.expiries.remove(connection)
        metrics.CONNECTIONS.set(len(self.hub))

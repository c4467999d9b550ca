"""All relays of the gateway: what they share, how many there are, how they end."""

import asyncio
import time
from collections.abc import Callable
from random import SystemRandom

from gateway_lb import metrics
from gateway_lb.pool import Pool
from gateway_lb.pump import Pump
from gateway_lb.relay import Relayed
from gateway_lb.settings import GatewaySection, GatewaySettings
from gateway_lb.strategy import Chooser
from nacos_boot.config.live import LiveSettings
from nacos_boot.http.proxies import TrustedProxies

_STEP = 0.05
"""Seconds between two batches of relays that are closed while draining."""


class Relays:
    """What every relay shares: the pool, the live settings, the way to choose, the account."""

    def __init__(
        self,
        pool: Pool,
        live: LiveSettings[GatewaySettings],
        chooser: Chooser | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.pool = pool
        self.pump = Pump()
        self.chooser = chooser or Chooser(SystemRandom())
        self.clock = clock
        self.draining = False
        """Whether new handshakes are refused with 4001."""
        self.proxies = TrustedProxies.of(live, lambda settings: settings.gateway.trusted_proxies)
        self._live = live
        self._open: set[Relayed] = set()
        self._none_open = asyncio.Event()

    def __len__(self) -> int:
        return len(self._open)

    @property
    def settings(self) -> GatewaySection:
        """The settings in force."""
        return self._live.current.gateway

    @property
    def half_close_timeout(self) -> float:
        """Seconds for which one direction may outlive the other."""
        return self.settings.half_close_timeout.total_seconds()

    def started(self, relay: Relayed) -> None:
        """Take a relay into the account; its member counts it since the handshake began."""
        self._open.add(relay)
        metrics.RELAYS.inc()
        metrics.RELAYS_OPEN.set(len(self._open))
        if self.draining:
            relay.leave()

    def ended(self, relay: Relayed) -> None:
        """Strike a relay off, with its place at the node."""
        self._open.discard(relay)
        relay.member.open -= 1
        if self.draining and not self._open:
            self._none_open.set()
        metrics.RELAYS_OPEN.set(len(self._open))

    async def drain(self) -> None:
        """Refuse new handshakes and end every relay, spread over the drain window.

        Takes the window, and ten seconds more at most for sides that do not follow.
        """
        self.draining = True
        loop = asyncio.get_running_loop()
        start, window = loop.time(), self.settings.drain.window.total_seconds()
        left = list(self._open)
        total = len(left)
        while left:
            elapsed = loop.time() - start
            keep = int(total * (1 - elapsed / window)) if elapsed < window else 0
            while len(left) > keep:
                relay = left.pop()
                # It may have ended by itself meanwhile.
                if relay in self._open:
                    relay.leave()
            if left:
                await asyncio.sleep(min(_STEP, window))
        if self._open:
            await self._none_open.wait()

    def close(self) -> None:
        """End every relay at once; what its sides have not taken is flushed for a moment."""
        for relay in list(self._open):
            relay.close()

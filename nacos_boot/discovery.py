"""The live list of a service's instances: pushed by Nacos, checked by a watchdog."""

import asyncio
import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Protocol

from nacos_boot.instance import Instance
from nacos_boot.nacos_error import NacosError

log = logging.getLogger(__name__)


class DiscoveryServer(Protocol):
    """What discovery needs of Nacos; `nacos_client.NacosClient` is the real one."""

    async def instances(self, service: str, group: str) -> tuple[Instance, ...]:
        """Ask for the whole list; raises NacosError."""

    async def subscribe(
        self, service: str, group: str, changed: Callable[[tuple[Instance, ...]], None]
    ) -> None:
        """Call `changed(instances)` after each change; raises NacosError."""


class Discovery:
    """The instances of one service. While Nacos cannot be asked, the last list stays in force."""

    def __init__(
        self, server: DiscoveryServer, service: str, group: str, interval: timedelta
    ) -> None:
        self._server = server
        self._service = service
        self._group = group
        self._interval = interval.total_seconds()
        self._observers: list[Callable[[tuple[Instance, ...]], None]] = []
        self._subscribed = False
        self._pushes = 0
        self._stopped = False
        self.instances: tuple[Instance, ...] = ()
        self.error: str | None = None

    def observe(self, callback: Callable[[tuple[Instance, ...]], None]) -> None:
        """Have `callback(instances)` called after each change, and now with the present list."""
        self._observers.append(callback)
        callback(self.instances)

    async def watch(self) -> None:
        """Subscribe, and pull the list at the watchdog's interval; runs until stopped."""
        while not self._stopped:
            await self.refresh()
            await asyncio.sleep(self._interval)

    def stop(self) -> None:
        """Follow the service no longer: the observers are not called again."""
        self._stopped = True
        self._observers.clear()

    async def refresh(self) -> None:
        """Ask Nacos for the list now. Never raises; `error` says what went wrong."""
        try:
            if not self._subscribed:
                await self._server.subscribe(self._service, self._group, self._pushed)
                self._subscribed = True
            before = self._pushes
            found = await self._server.instances(self._service, self._group)
            if self._pushes == before:  # or the answer may be older than what was pushed
                self._take(found)
        except NacosError as error:
            if self.error is None:
                log.warning("%s; the last list of %s stays in force", error, self._service)
            self.error = str(error)
        else:
            self.error = None

    def _pushed(self, instances: tuple[Instance, ...]) -> None:
        self._pushes += 1
        self._take(instances)

    def _take(self, instances: tuple[Instance, ...]) -> None:
        found = tuple(sorted(instances, key=lambda instance: (instance.ip, instance.port)))
        if found == self.instances:
            return
        self.instances = found
        if self._stopped:
            # The subscription outlives the wish to follow.
            return
        addresses = ", ".join(instance.address for instance in found) or "none"
        log.info("instances of %s: %s", self._service, addresses)
        for callback in list(self._observers):
            try:
                callback(found)
            except Exception:
                # The others must learn of it all the same, and so must the next call.
                log.exception("a component could not take over the instances")

"""The live list of a service's instances: pushed by Nacos, checked by a watchdog."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Protocol

from nacos_boot.nacos.error import NacosError
from nacos_boot.registry.instance import Instance
from nacos_boot.registry.instance_list import InstanceList
from nacos_boot.start.startup import StartError

log = logging.getLogger(__name__)


class DiscoveryServer(Protocol):
    """What discovery needs of Nacos; `nacos.client.NacosClient` is the real one."""

    async def connect(self) -> None:
        """Log in and connect, if that has not been done; raises StartError."""

    async def instances(self, service: str, group: str) -> tuple[Instance, ...]:
        """Ask for the whole list; raises NacosError."""

    async def subscribe(
        self, service: str, group: str, changed: Callable[[tuple[Instance, ...]], None]
    ) -> None:
        """Call `changed(instances)` after each change; raises NacosError."""

    def on_reconnect(self, callback: Callable[[], None]) -> None:
        """Call `callback()` each time that a lost connection is there again."""


class Discovery:
    """The instances of one service. While Nacos cannot be asked, the last list stays in force.

    Nor does its return empty the list: see `instance_list`.
    """

    def __init__(
        self,
        server: DiscoveryServer,
        service: str,
        group: str,
        interval: timedelta,
        hold: timedelta = timedelta(0),
    ) -> None:
        self._server = server
        self._interval = interval.total_seconds()
        self._list = InstanceList(hold.total_seconds())
        self._observers: list[Callable[[tuple[Instance, ...]], None]] = []
        self._subscribed = False
        self._pushes = 0
        self._stirred = asyncio.Event()
        self.service = service
        self.group = group
        self.stopped = False
        self.error: str | None = None
        server.on_reconnect(self._reconnected)

    @property
    def instances(self) -> tuple[Instance, ...]:
        """The instances in use, in the order of their addresses; empty before the first list."""
        return self._list.instances

    @property
    def held(self) -> frozenset[str]:
        """Addresses of instances that Nacos, back from an outage, does not list yet."""
        return self._list.held

    def observe(self, callback: Callable[[tuple[Instance, ...]], None]) -> None:
        """Have `callback(instances)` called with the first list and after each change.

        Where Nacos has given a list already, that is now.
        """
        self._observers.append(callback)
        if self._list.given:
            callback(self.instances)

    async def watch(self) -> None:
        """Subscribe, and pull the list at the watchdog's interval; runs until stopped."""
        while not self.stopped:
            self._stirred.clear()
            try:
                await self.refresh()
            except Exception:
                # A bug must not end the watch: the list would stay as it is for ever.
                log.exception("the instances of %s could not be listed", self.service)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._pause()):
                    await self._stirred.wait()

    def stop(self) -> None:
        """Follow the service no longer: the observers are not called again."""
        self.stopped = True
        self._observers.clear()
        self._stirred.set()

    async def refresh(self) -> None:
        """Ask Nacos for the list now. Never raises; `error` says what went wrong."""
        try:
            await self._server.connect()
            if not self._subscribed:
                await self._server.subscribe(self.service, self.group, self._pushed)
                self._subscribed = True
            before = self._pushes
            found = await self._server.instances(self.service, self.group)
        except (NacosError, StartError) as error:
            self._list.lost()
            if self.error is None:
                log.warning("%s; the last list of %s stays in force", error, self.service)
            self.error = str(error)
            return
        self.error = None
        if self._pushes == before:  # or the answer may be older than what was pushed
            self._take(found)

    def _pause(self) -> float:
        ends = self._list.hold_ends
        if ends is None:
            return self._interval
        return max(min(self._interval, ends - asyncio.get_running_loop().time()), 0)

    def _reconnected(self) -> None:
        # What was pushed meanwhile is missed, and the server may be one that was started anew.
        self._list.lost()
        self._stirred.set()

    def _pushed(self, instances: tuple[Instance, ...]) -> None:
        self._pushes += 1
        self._take(instances)

    def _take(self, instances: tuple[Instance, ...]) -> None:
        held, before = self.held, _addresses(self.instances)
        changed = self._list.take(instances, asyncio.get_running_loop().time())
        if self.stopped:
            # The subscription outlives the wish to follow.
            return
        if self.held and self.held != held:
            log.warning(
                "Nacos is back and does not list %s of %s yet: kept for now",
                ", ".join(sorted(self.held)),
                self.service,
            )
        if not changed:
            return
        found = self.instances
        # Metadata changes at each edit of the settings; who is there is what people look for.
        level = logging.DEBUG if before == _addresses(found) and found else logging.INFO
        log.log(level, "instances of %s: %s", self.service, _addresses(found) or "none")
        for callback in list(self._observers):
            try:
                callback(found)
            except Exception:
                # The others must learn of it all the same, and so must the next call.
                log.exception("a component could not take over the instances")


def _addresses(instances: Iterable[Instance]) -> str:
    return ", ".join(instance.address for instance in instances)

"""Keep this program's own instance in the registry, as it is now."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Protocol

from nacos_boot.nacos.error import NacosError
from nacos_boot.registry.instance import Instance
from nacos_boot.registry.metrics import REGISTERED, REGISTRATION_LOST
from nacos_boot.registry.own_instance import differences, find
from nacos_boot.start.startup import StartError

log = logging.getLogger(__name__)

_TRIES_OF_WHAT_DOES_NOT_HELP = 12
"""An instance out of sight is registered again at once, and then at every so many checks."""


class RegistryServer(Protocol):
    """What registration needs of Nacos; `nacos.client.NacosClient` is the real one."""

    async def connect(self) -> None:
        """Log in and connect, if that has not been done; raises StartError."""

    async def register(self, instance: Instance, group: str) -> None:
        """Register or update; raises NacosError."""

    async def deregister(self, instance: Instance, group: str) -> None:
        """Take out; raises NacosError."""

    async def instances(self, service: str, group: str) -> tuple[Instance, ...]:
        """Ask for the whole list; raises NacosError."""

    def on_reconnect(self, callback: Callable[[], None]) -> None:
        """Call `callback()` each time that a lost connection is there again."""


class Registration:
    """One instance in the registry, put back when the registry has lost it.

    `lost` counts how often that happened. The SDK's own repair misses a server's request to move
    and a stream that died quietly, so the registry is asked at the watchdog's interval.

    Where the registry says something else of the instance (that of a former process on this port,
    say), it is put right once. What then stays otherwise was edited in the console: Nacos puts that
    above every registration, so it is only told, in `overridden`.
    """

    def __init__(
        self, server: RegistryServer, instance: Instance, group: str, interval: timedelta
    ) -> None:
        self._server = server
        self._interval = interval.total_seconds()
        self._stirred = asyncio.Event()
        # A registration under way must not end after the deregistration.
        self._one_at_a_time = asyncio.Lock()
        self._wanted = False
        self._outdated = False  # the registry may not have the instance as it is now
        self._unseen = 0  # checks in a row that did not find it
        self._put_right: Mapping[str, str] = {}
        self._registered = False
        self.group = group
        self.instance = instance
        self.lost = 0
        self.overridden: Mapping[str, str] = {}
        """What the console keeps otherwise, with its values: `the weight`, keys of the metadata."""
        self.error: str | None = None
        server.on_reconnect(self._reconnected)

    @property
    def _hidden(self) -> bool:
        return self._unseen > 1

    @property
    def registered(self) -> bool:
        """Whether the registry had the instance when it was last asked or told."""
        return self._registered

    async def register(self) -> None:
        """Register now; where Nacos is away, the watch goes on trying."""
        self._wanted = self._outdated = True
        await self._put()

    async def deregister(self) -> None:
        """Take the instance out, and don't put it back. Never raises."""
        if not self._wanted:
            return
        self._wanted = False
        async with self._one_at_a_time:
            try:
                await self._server.deregister(self.instance, self.group)
            except NacosError as error:
                if self.instance.ephemeral:
                    rest = "Nacos drops the instance by itself when we are gone"
                else:
                    rest = "the instance stays in the registry until somebody deletes it there"
                log.warning("%s; %s", error, rest)
            self._is_registered(False)

    def update(self, *, weight: float, enabled: bool, metadata: Mapping[str, str]) -> None:
        """Change what the registry says of us, soon. The metadata replaces what stood there."""
        changed = replace(self.instance, weight=weight, enabled=enabled, metadata=dict(metadata))
        if changed != self.instance:
            self.instance = changed
            self._put_right = {}
            self._outdated = True
            self._stirred.set()

    async def watch(self) -> None:
        """Keep the registry right; runs until cancelled."""
        while True:
            try:
                try:
                    async with asyncio.timeout(self._interval):
                        await self._stirred.wait()
                except TimeoutError:
                    await self._check()
                else:
                    self._stirred.clear()
                    await self._put()
            except Exception:
                # A bug must not end the watch: nobody else would put the instance back.
                log.exception("the registration of %s could not be checked", self.instance.address)

    def _reconnected(self) -> None:
        if not self._wanted:
            return
        if self.instance.ephemeral:
            # It lived with the connection that is gone.
            self._count_loss("its connection to Nacos was lost")
        self._outdated = True
        self._stirred.set()

    async def _check(self) -> None:
        if not self._wanted:
            return
        if not self._outdated:
            try:
                known = await self._server.instances(self.instance.service, self.group)
            except NacosError as error:
                self._failed(error)
                return
            if self._is_right(known):
                return
            self._outdated = True
        await self._put()

    def _is_right(self, known: tuple[Instance, ...]) -> bool:
        listed = find(self.instance, known)
        if listed is not None:
            self._unseen = 0
            self._seen()
            return self._is_ours(listed)
        if not self.instance.enabled:
            # Nacos lists enabled instances only.
            self._seen()
            return True
        self._unseen += 1
        if not self._hidden:
            self._count_loss("the registry has lost it")
        else:
            self._is_registered(False)
            self._failed(
                f"Nacos does not list {self.instance.address} though it was registered again:"
                " was it taken offline in the console?"
            )
        return self._unseen % _TRIES_OF_WHAT_DOES_NOT_HELP != 1

    def _is_ours(self, listed: Instance) -> bool:
        found = differences(self.instance, listed)
        if found and found != self._put_right:
            self._put_right = found
            log.info("the registry says otherwise of %s: %s", listed.address, _written(found))
            return False
        if found != self.overridden:
            self.overridden = found
            if found:
                log.warning(
                    "the console's edit of %s counts more than our registration: %s;"
                    " to end that, delete it from the instance's metadata in the console",
                    listed.address,
                    _written(found),
                )
        return True

    async def _put(self) -> None:
        async with self._one_at_a_time:
            if not self._wanted:
                return
            instance = self.instance
            try:
                await self._server.connect()
                await self._server.register(instance, self.group)
            except (NacosError, StartError) as error:
                self._failed(error)
                return
            self._outdated = self.instance is not instance
            if not self._hidden:
                self._seen()
                log.info("registered %s as %s", instance.address, instance.service)

    def _seen(self) -> None:
        self.error = None
        self._is_registered(True)

    def _count_loss(self, why: str) -> None:
        self._is_registered(False)
        self.lost += 1
        REGISTRATION_LOST.inc()
        log.warning("%s is registered again: %s", self.instance.address, why)

    def _is_registered(self, state: bool) -> None:
        self._registered = state
        REGISTERED.set(state)

    def _failed(self, error: object) -> None:
        if self.error is None:
            log.warning("%s; trying again", error)
        self.error = str(error)


def _written(found: Mapping[str, str]) -> str:
    return ", ".join(f"{key} = '{value}'" for key, value in found.items())

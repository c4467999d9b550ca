"""Keep this program's own instance in the registry."""

import asyncio
import logging
from dataclasses import replace
from datetime import timedelta
from typing import Protocol

from nacos_boot.instance import Instance
from nacos_boot.nacos_error import NacosError
from nacos_boot.startup import StartError

log = logging.getLogger(__name__)


class RegistryServer(Protocol):
    """What registration needs of Nacos; `nacos_client.NacosClient` is the real one."""

    async def connect(self) -> None:
        """Log in and connect, if that has not been done; raises StartError."""

    async def register(self, instance: Instance, group: str) -> None:
        """Register or update; raises NacosError."""

    async def deregister(self, instance: Instance, group: str) -> None:
        """Take out; raises NacosError."""

    async def instances(self, service: str, group: str) -> tuple[Instance, ...]:
        """Ask for the whole list; raises NacosError."""


class Registration:
    """One instance in the registry, put back when the registry has lost it.

    `lost` counts how often that happened. The SDK's own repair misses a server's request to move
    and a stream that died quietly, so the registry is asked at the watchdog's interval.
    """

    def __init__(
        self, server: RegistryServer, instance: Instance, group: str, interval: timedelta
    ) -> None:
        self._server = server
        self._group = group
        self._interval = interval.total_seconds()
        self._stirred = asyncio.Event()
        # A registration under way must not end after the deregistration.
        self._one_at_a_time = asyncio.Lock()
        self._wanted = False
        self._outdated = False  # the registry may not have the instance as it is now
        self._missing = False
        self.instance = instance
        self.lost = 0
        self.error: str | None = None

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
                await self._server.deregister(self.instance, self._group)
            except NacosError as error:
                log.warning("%s; Nacos drops the instance by itself when we are gone", error)

    def update(
        self, *, weight: float | None = None, metadata: dict[str, str] | None = None
    ) -> None:
        """Change what the registry says of us, soon; metadata is added to what stands there."""
        merged = {**self.instance.metadata, **(metadata or {})}
        weight = self.instance.weight if weight is None else weight
        changed = replace(self.instance, weight=weight, metadata=merged)
        if changed != self.instance or merged != self.instance.metadata:
            self.instance = changed
            self._outdated = True
            self._stirred.set()

    async def watch(self) -> None:
        """Keep the registry right; runs until cancelled."""
        while True:
            try:
                async with asyncio.timeout(self._interval):
                    await self._stirred.wait()
            except TimeoutError:
                await self._check()
            else:
                self._stirred.clear()
                await self._put()

    async def _check(self) -> None:
        if not self._wanted:
            return
        if not self._outdated:
            try:
                known = await self._server.instances(self.instance.service, self._group)
            except NacosError as error:
                self._failed(error)
                return
            if any(instance.address == self.instance.address for instance in known):
                self.error = None
                self._missing = False
                return
            self._outdated = True
            # An instance that was disabled in the console stays out of sight; that counts once.
            if not self._missing:
                self._missing = True
                self.lost += 1
                log.warning("the registry has lost %s; registering again", self.instance.address)
        await self._put()

    async def _put(self) -> None:
        async with self._one_at_a_time:
            if not self._wanted:
                return
            instance = self.instance
            try:
                await self._server.connect()
                await self._server.register(instance, self._group)
            except (NacosError, StartError) as error:
                self._failed(error)
                return
            self.error = None
            self._outdated = self.instance is not instance
            if not self._missing:
                log.info("registered %s as %s", instance.address, instance.service)

    def _failed(self, error: Exception) -> None:
        if self.error is None:
            log.warning("%s; trying again", error)
        self.error = str(error)

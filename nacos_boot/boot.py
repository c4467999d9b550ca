"""What a Quart service gets from Nacos, put together: config, registration, discovery, health."""

import logging
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from pydantic import BaseModel

from nacos_boot.actuator.configprops import configprops_endpoint
from nacos_boot.actuator.env import env_endpoint
from nacos_boot.actuator.health import HealthRegistry
from nacos_boot.actuator.loggers import loggers_endpoint
from nacos_boot.actuator.routes import actuator
from nacos_boot.actuator.standard import (
    health_endpoint,
    info_endpoint,
    pages,
    prometheus_endpoint,
    refresh_endpoint,
)
from nacos_boot.background import Background
from nacos_boot.config.live import LiveSettings
from nacos_boot.config.nacos_config import NacosConfig
from nacos_boot.config.report import config_health, describe_config
from nacos_boot.config.state import ConfigState
from nacos_boot.logs.lines import Service
from nacos_boot.logs.setup import apply_logging
from nacos_boot.nacos.client import NacosClient
from nacos_boot.registry.discovery import Discovery
from nacos_boot.registry.instance import Instance
from nacos_boot.registry.network import address_to_register
from nacos_boot.registry.own_instance import own_metadata
from nacos_boot.registry.registration import Registration
from nacos_boot.registry.report import (
    describe_discovery,
    discovery_health,
    registration_health,
)
from nacos_boot.settings.configuration import Configuration
from nacos_boot.settings.setting import effect_of
from nacos_boot.start.bootstrap import Bootstrap
from nacos_boot.start.nacos_settings import DiscoverySettings, NacosSettings

log = logging.getLogger(__name__)

T = TypeVar("T", bound=BaseModel)


class Boot(Generic[T]):
    """One program's ties to Nacos, in the order in which a composition root uses them.

    `load` before anything else; `register` last, when the program serves; `deregister` first when
    it ends; `close` last. `version` is the program's own, told in the registry and the actuator.
    """

    def __init__(
        self, model: type[T], bootstrap: Bootstrap, background: Background, *, version: str
    ) -> None:
        self.bootstrap = bootstrap
        self.version = version
        self.health = HealthRegistry()
        self._background = background
        self._client = NacosClient(bootstrap.nacos.for_config())
        self._registry = self._client
        self.config = NacosConfig(model, bootstrap, self._client)
        self.registration: Registration | None = None
        self.announce: Callable[[], None] = lambda: None
        """Tell the registry soon of metadata that has changed; nothing before `register`."""
        self.metadata: dict[str, str] = {}
        """What the registry is told of the program, beside what `register` is given."""
        self._discoveries: list[Discovery] = []
        self._at_start: DiscoverySettings | None = None

    async def load(self) -> LiveSettings[T]:
        """Read the settings, have the log follow them, and go on watching. Raises StartError."""
        live = await self.config.load()
        self._at_start = self.config.framework.current.discovery
        if not self._nacos.one_connection:
            self._registry = NacosClient(self._nacos.for_discovery())
        framework = self.config.framework
        apply_logging(framework.current.logging, Service(self.bootstrap.application, self.version))
        framework.subscribe(lambda _, new: apply_logging(new.logging))
        self._background.spawn("config-watch", self.config.watch())
        self.health.add("nacosConfig", lambda: config_health(self.config), readiness=True)
        return live

    @property
    def _settings(self) -> DiscoverySettings:
        """What is in use: an edit of what needs a restart is pending, and changes nothing."""
        if self._at_start is None:
            return self.bootstrap.nacos.discovery
        now = self.config.framework.current.discovery
        live = {
            name: getattr(now, name)
            for name, field in DiscoverySettings.model_fields.items()
            if effect_of(field).live
        }
        return self._at_start.model_copy(update=live)

    @property
    def _nacos(self) -> NacosSettings:
        return self.bootstrap.nacos.model_copy(update={"discovery": self._settings})

    def discover(self, service: str) -> Discovery:
        """Follow the instances of a service, from now on."""
        settings = self._settings
        discovery = Discovery(
            self._registry,
            service,
            settings.group,
            settings.watchdog_interval,
            settings.hold_after_outage,
        )
        if not settings.enabled:
            discovery.stop()
            return discovery
        self._discoveries = [*self._followed(), discovery]
        self._background.spawn(f"discover-{service}", discovery.watch())
        self.health.add(
            "nacosDiscovery", lambda: discovery_health(self._followed()), readiness=True
        )
        return discovery

    @property
    def address(self) -> str:
        """The IPv4 literal under which this program is registered. Raises StartError."""
        return address_to_register(self._settings.ip, self._nacos.for_discovery().server_addr)

    def location(self, port: int) -> str:
        """Give `ip:port` as registered by a program that listens on `port`. Raises StartError."""
        return f"{self.address}:{self._settings.port or port}"

    async def register(
        self,
        port: int,
        metadata: Callable[[], Mapping[str, str]] = dict,
        *,
        tls: bool = False,
    ) -> None:
        """Register the program as serving on `port`, by TLS or not, and keep it registered.

        `metadata` gives the program's own; it is asked again by `announce` and at each change of
        the settings, which the registry is then told of, with their weight and metadata.
        """
        settings = self._settings
        if not (settings.enabled and settings.register_enabled):
            return

        def own() -> dict[str, str]:
            md5 = self.config.state.md5
            told = {**self.metadata, **metadata()}
            return own_metadata(self._settings, told, version=self.version, md5=md5, tls=tls)

        instance = Instance(
            service=settings.service or self.bootstrap.application,
            ip=self.address,
            port=settings.port or port,
            weight=settings.weight,
            enabled=settings.instance_enabled,
            ephemeral=settings.ephemeral,
            cluster=settings.cluster_name,
            metadata=own(),
        )
        registration = Registration(
            self._registry, instance, settings.group, settings.watchdog_interval
        )
        self.registration = registration
        self.health.add(
            "nacosRegistration", lambda: registration_health(registration), readiness=True
        )
        await registration.register()
        self._background.spawn("registration-watch", registration.watch())

        def update(_state: ConfigState) -> None:
            now = self._settings
            registration.update(weight=now.weight, enabled=now.instance_enabled, metadata=own())

        self.announce = lambda: update(self.config.state)
        self.config.observe(update)

    async def deregister(self) -> None:
        """Leave the registry, so that no new traffic comes. Never raises."""
        if self.registration is not None:
            await self.registration.deregister()

    async def close(self) -> None:
        """Close the connections to Nacos; leaves the registry before, if need be. Never raises."""
        # A signal may have come in the middle of the registration.
        await self.deregister()
        if self._registry is not self._client:
            await self._registry.close()
        await self._client.close()

    def actuator(
        self, endpoints: Mapping[str, Callable[[], Mapping[str, Any]]] | None = None
    ) -> Any:
        """Build the actuator's routes for the program's Quart app."""

        def in_force() -> Configuration[T]:
            return self.config.in_force

        shown = {
            "nacosconfig": lambda: describe_config(self.config),
            "nacosdiscovery": self._describe_discovery,
            **(endpoints or {}),
        }
        return actuator(
            [
                health_endpoint(self.health),
                info_endpoint(self.bootstrap.application, self.version),
                prometheus_endpoint(),
                refresh_endpoint(self.config.refresh),
                env_endpoint(self.bootstrap, in_force),
                configprops_endpoint(self.bootstrap.application, in_force),
                loggers_endpoint(),
                *pages(shown),
            ]
        )

    def _followed(self) -> list[Discovery]:
        return [discovery for discovery in self._discoveries if not discovery.stopped]

    def _describe_discovery(self) -> Mapping[str, Any]:
        settings = self._nacos.for_discovery()
        return describe_discovery(settings, self._followed(), self.registration)

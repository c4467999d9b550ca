"""What a Quart service gets from Nacos, put together: config, registration, discovery, health."""

import logging
import socket
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from pydantic import BaseModel

from nacos_boot.actuator import actuator
from nacos_boot.background import Background
from nacos_boot.bootstrap import Bootstrap
from nacos_boot.config import ConfigState, NacosConfig
from nacos_boot.discovery import Discovery
from nacos_boot.health import Health, HealthRegistry, Status
from nacos_boot.instance import Instance
from nacos_boot.live import LiveSettings
from nacos_boot.nacos_client import NacosClient
from nacos_boot.network import local_address
from nacos_boot.registration import Registration
from nacos_boot.startup import StartError

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
        self._client = NacosClient(bootstrap.nacos)
        self.config = NacosConfig(model, bootstrap, self._client)
        self.registration: Registration | None = None

    async def load(self) -> LiveSettings[T]:
        """Read the settings and go on watching them. Raises StartError."""
        live = await self.config.load()
        self._background.spawn("config-watch", self.config.watch())
        self.health.add("nacosConfig", self._config_health, readiness=False)
        return live

    def discover(self, service: str) -> Discovery:
        """Follow the instances of a service, from now on."""
        settings = self.bootstrap.nacos.discovery
        discovery = Discovery(self._client, service, settings.group, settings.watchdog_interval)
        self._background.spawn(f"discover-{service}", discovery.watch())

        def indicator() -> Health:
            if discovery.error:
                return Health(Status.UNKNOWN, {"service": service, "error": discovery.error})
            return Health(Status.UP, {"service": service, "instances": len(discovery.instances)})

        self.health.add("nacosDiscovery", indicator, readiness=False)
        return discovery

    @property
    def address(self) -> str:
        """The IPv4 literal under which this program is registered. Raises StartError."""
        settings = self.bootstrap.nacos.discovery
        if not settings.ip:
            return local_address(self.bootstrap.nacos.server_addr)
        try:
            socket.inet_pton(socket.AF_INET, settings.ip)
        except OSError as error:
            raise StartError(
                f"spring.cloud.nacos.discovery.ip is '{settings.ip}';"
                " expected an IPv4 address such as 10.0.0.5",
                final=True,
            ) from error
        return settings.ip

    async def register(self, port: int, metadata: Mapping[str, str]) -> None:
        """Register the program as serving on `port`, and keep it registered."""
        settings = self.bootstrap.nacos.discovery
        if not settings.register_enabled:
            return
        instance = Instance(
            service=settings.service or self.bootstrap.application,
            ip=self.address,
            port=settings.port or port,
            weight=settings.weight,
            ephemeral=settings.ephemeral,
            cluster=settings.cluster_name,
            metadata={
                "preserved.register.source": "SPRING_CLOUD",
                "management.context-path": "/actuator",
                "version": self.version,
                "nacos.config.md5": self.config.state.md5,
                **metadata,
                **settings.metadata,
            },
        )
        registration = Registration(
            self._client, instance, settings.group, settings.watchdog_interval
        )
        self.registration = registration
        self.health.add(
            "nacosRegistration",
            lambda: Health(
                Status.UNKNOWN if registration.error else Status.UP,
                {"instance": instance.address, "error": registration.error}
                if registration.error
                else {"instance": instance.address},
            ),
            readiness=False,
        )
        await registration.register()
        self._background.spawn("registration-watch", registration.watch())
        self.config.observe(
            lambda state: registration.update(metadata={"nacos.config.md5": state.md5})
        )

    async def deregister(self) -> None:
        """Leave the registry, so that no new traffic comes. Never raises."""
        if self.registration is not None:
            await self.registration.deregister()

    async def close(self) -> None:
        """Close the connection to Nacos. Never raises."""
        await self._client.close()

    def actuator(
        self, endpoints: Mapping[str, Callable[[], Mapping[str, Any]]] | None = None
    ) -> Any:
        """Build the actuator's routes for the program's Quart app."""
        return actuator(
            self.health,
            lambda: {"app": {"name": self.bootstrap.application, "version": self.version}},
            {"nacosconfig": self._describe_config, **(endpoints or {})},
        )

    def _config_health(self) -> Health:
        state = self.config.state
        details: dict[str, Any] = {"md5": state.md5}
        for name in ("error", "unreachable", "snapshot_age"):
            value = getattr(state, name)
            if value is not None:
                details[name] = value
        # A refused document or an absent Nacos leaves the program serving with its last settings.
        unwell = state.error or state.unreachable or state.snapshot_age is not None
        return Health(Status.UNKNOWN if unwell else Status.UP, details)

    def _describe_config(self) -> Mapping[str, Any]:
        state: ConfigState = self.config.state
        md5s = self.config.document_md5s
        return {
            "md5": state.md5,
            "appliedAt": state.applied_at,
            "error": state.error,
            "unreachable": state.unreachable,
            "documents": [
                {
                    "dataId": item.data_id,
                    "group": item.group,
                    "refresh": item.refresh,
                    # None where the document does not exist.
                    "md5": md5s.get(item.key),
                }
                for item in self.bootstrap.documents
            ],
        }

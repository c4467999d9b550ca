"""The Nacos SDK behind a small, typed surface. Nothing else imports the SDK.

It works around what the SDK gets wrong: see docs/nacos-sdk.md.
"""

import asyncio
import contextlib
import logging
import re
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
from v2.nacos import (
    ClientConfig,
    ClientConfigBuilder,
    ConfigParam,
    DeregisterInstanceParam,
    ListInstanceParam,
    NacosConfigService,
    NacosException,
    NacosNamingService,
    RegisterInstanceParam,
    SubscribeServiceParam,
)

from nacos_boot.bootstrap import NacosSettings
from nacos_boot.instance import Instance
from nacos_boot.nacos_error import NacosError, NacosForbiddenError
from nacos_boot.startup import StartError

log = logging.getLogger(__name__)

T = TypeVar("T")

_CONFIG_NOT_FOUND = 300
_FORBIDDEN = 403
_SDK_FOLDER = str(Path("v2", "nacos"))
_TOKEN = re.compile(r"(access[_-]?token['\"]?\s*[:=]\s*['\"]?)[^'\",\s}&]+", re.IGNORECASE)


class NacosClient:
    """A connection to Nacos for configuration and naming.

    Every call is bounded by the timeout of the settings, whatever the SDK does, and raises
    NacosError.
    """

    def __init__(self, settings: NacosSettings) -> None:
        self._settings = settings
        self._address = ", ".join(settings.server_addr)
        self._timeout = settings.config.timeout.total_seconds()
        self._config: NacosConfigService | None = None
        self._naming: NacosNamingService | None = None
        self._connecting = asyncio.Lock()
        # The SDK insists on folders for logs and caches; it gets ones that end with us.
        self._folder = tempfile.TemporaryDirectory(prefix="nacos-sdk-")

    @property
    def address(self) -> str:
        """The configured server list, for messages."""
        return self._address

    async def connect(self) -> None:
        """Log in and open the gRPC streams, once. Raises StartError, final for a wrong password."""
        async with self._connecting:
            if self._naming is not None:
                return
            await self._log_in()
            try:
                self._config = await self._bounded(
                    NacosConfigService.create_config_service(self._client_config()), "connect"
                )
                self._naming = await self._bounded(
                    NacosNamingService.create_naming_service(self._client_config()), "connect"
                )
            except NacosError as error:
                await self._shut_down()
                raise StartError(f"{error}: check spring.cloud.nacos.server-addr") from error
            _quieten("config", "naming")

    async def get_config(self, data_id: str, group: str) -> str | None:
        """Read a document; None where it doesn't exist (Nacos holds no empty ones).

        Raises NacosForbiddenError, NacosError.
        """
        try:
            content = await self._bounded(
                self._configs.get_config(ConfigParam(data_id=data_id, group=group)),
                f"read {data_id}",
            )
        except NacosError as error:
            cause = error.__cause__
            if isinstance(cause, NacosException) and cause.error_code == _CONFIG_NOT_FOUND:
                return None
            raise
        return content or None

    async def publish_config(self, data_id: str, group: str, content: str) -> None:
        """Create or replace a YAML document. Raises NacosError."""
        done = await self._bounded(
            self._configs.publish_config(
                ConfigParam(data_id=data_id, group=group, content=content, type="yaml")
            ),
            f"publish {data_id}",
        )
        if not done:
            raise NacosError(f"Nacos at {self._address} did not accept {data_id}")

    async def listen(self, data_id: str, group: str, changed: Callable[[], None]) -> None:
        """Have `changed()` called soon after each publication of a document."""

        async def listener(_tenant: str, _group: str, _data_id: str, _content: str) -> None:
            changed()

        await self._bounded(
            self._configs.add_listener(data_id, group, listener), f"listen to {data_id}"
        )

    async def start_listening(self) -> None:
        """Register the listeners at the server now; by itself the SDK waits up to 5 s."""
        await self._configs.grpc_client_proxy.execute_config_listen_channel.put(None)

    async def register(self, instance: Instance, group: str) -> None:
        """Register an instance, or update it. Raises NacosError."""
        request = RegisterInstanceParam(
            service_name=instance.service,
            group_name=group,
            ip=instance.ip,
            port=instance.port,
            weight=instance.weight,
            enabled=instance.enabled,
            healthy=True,
            ephemeral=instance.ephemeral,
            cluster_name=instance.cluster,
            metadata=dict(instance.metadata),
        )
        await self._bounded(self._names.register_instance(request), f"register {instance.address}")

    async def deregister(self, instance: Instance, group: str) -> None:
        """Take an instance out of the registry. Raises NacosError."""
        request = DeregisterInstanceParam(
            service_name=instance.service,
            group_name=group,
            ip=instance.ip,
            port=instance.port,
            cluster_name=instance.cluster,
            ephemeral=instance.ephemeral,
        )
        await self._bounded(
            self._names.deregister_instance(request), f"deregister {instance.address}"
        )

    async def instances(self, service: str, group: str) -> tuple[Instance, ...]:
        """Ask the server for a service's instances, past every cache. Raises NacosError."""
        request = ListInstanceParam(
            service_name=service, group_name=group, clusters=[], subscribe=False, healthy_only=None
        )
        found = await self._bounded(self._names.list_instances(request), f"list {service}")
        return tuple(_instance(service, item) for item in found)

    async def subscribe(
        self, service: str, group: str, changed: Callable[[tuple[Instance, ...]], None]
    ) -> None:
        """Have `changed(instances)` called with the whole list after each change."""

        async def callback(found: list[Any]) -> None:
            changed(tuple(_instance(service, item) for item in found))

        request = SubscribeServiceParam(
            service_name=service, group_name=group, clusters=[], subscribe_callback=callback
        )
        await self._bounded(self._names.subscribe(request), f"subscribe to {service}")

    async def close(self) -> None:
        """Close both streams. Never raises."""
        await self._shut_down()
        self._folder.cleanup()

    async def _log_in(self) -> None:
        # The SDK's own login hides why it failed; asking once beforehand gives a clear sentence.
        if not self._settings.username:
            return
        form = {
            "username": self._settings.username,
            "password": self._settings.password.get_secret_value(),
        }
        faults: list[str] = []
        timeout = aiohttp.ClientTimeout(total=self._timeout)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            for server in self._settings.server_addr:
                url = f"{_with_scheme(server)}/nacos/v1/auth/users/login"
                try:
                    async with session.post(url, data=form) as response:
                        if response.ok:
                            return
                        if response.status in {401, _FORBIDDEN}:
                            raise StartError(
                                f"Nacos at {server} refuses the user '{self._settings.username}':"
                                " check spring.cloud.nacos.username and spring.cloud.nacos.password",
                                final=True,
                            )
                        # Nacos 3.1 says 500 for a wrong password, and while it has no user yet.
                        faults.append(
                            f"{server} answers {response.status} to the login of the user"
                            f" '{self._settings.username}'; is the password right, and has the"
                            " user been created?"
                        )
                except (aiohttp.ClientError, TimeoutError) as error:
                    faults.append(f"{server}: {str(error) or 'no answer in time'}")
        raise StartError(
            f"no login to Nacos ({'; '.join(faults)}): check spring.cloud.nacos.server-addr,"
            " username and password"
        )

    async def _bounded(self, call: Awaitable[T], what: str) -> T:
        try:
            async with asyncio.timeout(self._timeout):
                return await call
        except NacosException as error:
            if error.error_code == _FORBIDDEN:
                raise NacosForbiddenError(
                    f"Nacos at {self._address} forbids the user '{self._settings.username}'"
                    f" to {what}"
                ) from error
            raise NacosError(
                f"Nacos at {self._address} failed to {what}: {_hide(error)}"
            ) from error
        except TimeoutError as error:
            raise NacosError(
                f"Nacos at {self._address} did not {what} within {self._timeout:g} s"
            ) from error
        except Exception as error:
            raise NacosError(
                f"Nacos at {self._address} failed to {what}: {_hide(error)}"
            ) from error

    def _client_config(self) -> ClientConfig:
        builder = (
            ClientConfigBuilder()
            .server_address(",".join(_with_scheme(item) for item in self._settings.server_addr))
            .namespace_id(self._settings.namespace)
            .log_level(logging.CRITICAL)
            .log_dir(f"{self._folder.name}/log")
            .cache_dir(f"{self._folder.name}/cache")
        )
        if self._settings.username:
            builder = builder.username(self._settings.username).password(
                self._settings.password.get_secret_value()
            )
        config = builder.build()
        config.timeout_ms = self._timeout
        config.update_cache_when_empty = True
        config.load_cache_at_start = False
        config.disable_use_config_cache = True
        config.grpc_config.grpc_timeout = int(self._timeout * 1000)
        return config

    @property
    def _configs(self) -> NacosConfigService:
        if self._config is None:
            raise NacosError(f"not connected to Nacos at {self._address}")
        return self._config

    @property
    def _names(self) -> NacosNamingService:
        if self._naming is None:
            raise NacosError(f"not connected to Nacos at {self._address}")
        return self._naming

    async def _shut_down(self) -> None:
        config, self._config = self._config, None
        naming, self._naming = self._naming, None
        # A server that is gone must not hold up our own end.
        with contextlib.suppress(Exception):
            async with asyncio.timeout(self._timeout):
                if config is not None:
                    # The SDK's listen task only looks at its stop flag when its queue stirs.
                    config.grpc_client_proxy.stop_event.set()
                    await config.grpc_client_proxy.execute_config_listen_channel.put(None)
                    await config.shutdown()
        with contextlib.suppress(Exception):
            async with asyncio.timeout(self._timeout):
                if naming is not None:
                    await naming.shutdown()


class _NotFromSdk(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return _SDK_FOLDER not in record.pathname


def _quieten(*names: str) -> None:
    # The SDK writes files of its own, with the access token in them, and errors for what is
    # normal (an absent document); what goes wrong is told by our own exceptions.
    for name in names:
        logger = logging.getLogger(name)
        for handler in list(logger.handlers):
            logger.removeHandler(handler)
            handler.close()
        logger.setLevel(logging.CRITICAL)
    for handler in logging.getLogger().handlers:
        if not any(isinstance(present, _NotFromSdk) for present in handler.filters):
            handler.addFilter(_NotFromSdk())


def _hide(error: object) -> str:
    return _TOKEN.sub(r"\1******", str(error))


def _with_scheme(server: str) -> str:
    # Without the scheme the SDK computes a wrong gRPC port and a malformed login address.
    return server if server.startswith(("http://", "https://")) else f"http://{server}"


def _instance(service: str, item: Any) -> Instance:
    metadata: Mapping[str, str] = {str(key): str(value) for key, value in item.metadata.items()}
    return Instance(
        service=service,
        ip=item.ip,
        port=item.port,
        weight=item.weight,
        healthy=item.healthy,
        enabled=item.enabled,
        ephemeral=item.ephemeral,
        cluster=item.clusterName or "DEFAULT",
        metadata=metadata,
    )

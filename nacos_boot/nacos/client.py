"""The Nacos SDK behind a small, typed surface.

It works around what the SDK gets wrong: see docs/nacos-sdk.md.
"""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from nacos_boot.documents.parse import kind_of
from nacos_boot.nacos.error import NacosError, NacosForbiddenError, UnreachableError
from nacos_boot.nacos.http import NacosHttp
from nacos_boot.nacos.read import read_either_way
from nacos_boot.nacos.reconnects import Reconnects
from nacos_boot.nacos.sdk import (
    ConfigParam,
    DeregisterInstanceParam,
    NacosConfigService,
    NacosException,
    NacosNamingService,
    NetUtils,
    RegisterInstanceParam,
    SubscribeServiceParam,
    client_config,
)
from nacos_boot.nacos.sdk_instance import identity, instance_of, of_other_kind
from nacos_boot.nacos.sdk_login import SdkLogin
from nacos_boot.nacos.sdk_servers import answering, begin_with
from nacos_boot.nacos.sdk_tidy import ClientIp, keep_no_files, quieten, shut_down, without_token
from nacos_boot.registry.instance import Instance
from nacos_boot.start.nacos_settings import NacosSettings
from nacos_boot.start.startup import StartError

T = TypeVar("T")

_FORBIDDEN = 403
_MOMENT = 0.02  # seconds
_PATIENCE = 0.5  # seconds for an answer by gRPC before HTTP is tried

_client_ip = ClientIp(NetUtils.get_local_ip)
NetUtils.get_local_ip = _client_ip.get


class NacosClient:
    """A connection to Nacos for configuration and naming.

    Every call is bounded by the timeout of the settings, whatever the SDK does, and raises
    NacosError.
    """

    def __init__(self, settings: NacosSettings) -> None:
        self._settings, self._address = settings, ", ".join(settings.server_addr)
        self._timeout = settings.config.timeout.total_seconds()
        self._patience = min(_PATIENCE, self._timeout / 4)
        self._http = NacosHttp(settings, self._timeout - self._patience)
        self._login = SdkLogin(settings)
        self._config: NacosConfigService | None = None
        self._naming: NacosNamingService | None = None
        self._reconnects = Reconnects()
        self._connecting = asyncio.Lock()
        self._connected = False
        self._closed = False
        self._failed: int | None = None  # the server that the last attempt began with
        # The SDK insists on folders for logs and caches; it gets ones that end with us.
        self._folder = tempfile.TemporaryDirectory(prefix="nacos-sdk-", ignore_cleanup_errors=True)

    @property
    def address(self) -> str:
        """The configured server list, for messages."""
        return self._address

    async def connect(self) -> None:
        """Log in and open the gRPC streams, once.

        Raises StartError, final for a wrong password; UnreachableError where nobody answers.
        """
        async with self._connecting:
            if self._closed:
                raise StartError(f"the connection to Nacos at {self._address} was closed")
            if self._connected:
                return
            self._login.begin_with(await self._http.log_in())
            _client_ip.use(await self._http.choose_client_ip())
            first = await answering(self._settings.server_addr, self._failed)
            try:
                await self._bounded(self._open(first), "connect")
            except NacosError as error:
                self._failed = first
                await self._shut_down()
                raise UnreachableError(
                    f"{error}: check spring.cloud.nacos.server-addr, and that the gRPC port,"
                    " which is 1000 above its port, can be reached"
                ) from error
            self._connected = True

    async def get_config(self, data_id: str, group: str) -> str | None:
        """Read a document; None where it doesn't exist (Nacos holds no empty ones).

        Where the gRPC stream does not answer soon, HTTP does. Raises NacosForbiddenError,
        NacosError.
        """
        content = await read_either_way(
            self._bounded(self._read(self._configs, data_id, group), f"read {data_id}"),
            lambda: self._http.get_config(data_id, group),
            self._patience,
            self._renew_login,
        )
        return content or None

    async def _read(self, configs: NacosConfigService, data_id: str, group: str) -> str:
        while True:
            try:
                found = await configs.get_config(ConfigParam(data_id=data_id, group=group))
                return str(found or "")
            except NacosException as error:
                # Just published, and being written to disk there: a matter of milliseconds.
                if "being modified" not in str(error):
                    raise
            await asyncio.sleep(_MOMENT)

    async def publish_config(self, data_id: str, group: str, content: str) -> None:
        """Create or replace a document, of the kind that its name says. Raises NacosError."""
        kind = kind_of(data_id)
        done = await self._bounded(
            self._configs.publish_config(
                ConfigParam(
                    data_id=data_id,
                    group=group,
                    content=content,
                    # Its console colours and checks by this; it knows no "yml".
                    type="yaml" if kind == "yml" else kind,
                )
            ),
            f"publish {data_id}",
        )
        if not done:
            raise NacosError(f"Nacos at {self._address} did not accept {data_id}")

    async def listen(self, data_id: str, group: str, changed: Callable[[str | None], None]) -> None:
        """Have `changed(content)` called soon after each publication of a document.

        It is None where the document is gone, or so the SDK says.
        """
        loop = asyncio.get_running_loop()

        async def listener(_tenant: str, _group: str, _data_id: str, content: str) -> None:
            # Not in the SDK's task: what is raised there ends a listener.
            loop.call_soon(changed, content or None)

        await self._bounded(
            self._configs.add_listener(data_id, group, listener), f"listen to {data_id}"
        )

    async def start_listening(self) -> None:
        """Register the listeners at the server now; by itself the SDK waits up to 5 s."""
        await self._configs.grpc_client_proxy.execute_config_listen_channel.put(None)

    async def register(self, instance: Instance, group: str) -> None:
        """Register an instance, or update it. Raises NacosError."""
        request = RegisterInstanceParam(
            **identity(instance, group),
            weight=instance.weight,
            enabled=instance.enabled,
            healthy=True,
            metadata=dict(instance.metadata),
        )
        what = f"register {instance.address}"
        try:
            await self._asked(lambda: self._names.register_instance(request), what)
        except NacosError as error:
            if reason := of_other_kind(instance, error):
                raise NacosError(f"Nacos at {self._address} refuses to {what}: {reason}") from error
            raise

    async def deregister(self, instance: Instance, group: str) -> None:
        """Take an instance out of the registry. Raises NacosError."""
        request = DeregisterInstanceParam(**identity(instance, group))
        what = f"deregister {instance.address}"
        await self._asked(lambda: self._names.deregister_instance(request), what)

    async def instances(self, service: str, group: str) -> tuple[Instance, ...]:
        """Ask the server for a service's instances, past every cache. Raises NacosError."""
        # The SDK's own list_instances() subscribes, and from then on answers from its cache.
        names = self._names.grpc_client_proxy
        found = await self._asked(
            lambda: names.query_instance_of_service(service, group, "", False), f"list {service}"
        )
        return tuple(instance_of(service, item) for item in found.hosts) if found else ()

    async def subscribe(
        self, service: str, group: str, changed: Callable[[tuple[Instance, ...]], None]
    ) -> None:
        """Have `changed(instances)` called with the whole list after each change."""

        async def callback(found: list[Any]) -> None:
            changed(tuple(instance_of(service, item) for item in found))

        request = SubscribeServiceParam(
            service_name=service, group_name=group, clusters=[], subscribe_callback=callback
        )
        await self._asked(lambda: self._names.subscribe(request), f"subscribe to {service}")

    def on_reconnect(self, callback: Callable[[], None]) -> None:
        """Have `callback()` called each time that the naming connection was lost and is back.

        Pushes may have been missed, and Nacos has dropped this client's ephemeral instances.
        """
        self._reconnects.add(callback)

    async def close(self) -> None:
        """Close both streams, for good. Never raises."""
        self._closed = True
        await self._shut_down()
        self._folder.cleanup()

    async def _open(self, first: int | None) -> None:
        # The SDK's create_…() functions would leave their tasks behind when they fail.
        folder = self._folder.name
        self._config = NacosConfigService(client_config(self._settings, self._timeout, folder))
        self._naming = NacosNamingService(client_config(self._settings, self._timeout, folder))
        quieten("config", "naming")
        keep_no_files(self._config)
        self._login.use_for(self._config, self._naming)
        if first is not None:
            begin_with(first, self._config, self._naming)
        naming = self._naming.grpc_client_proxy
        # Together, since each of them sleeps for a tenth of a second.
        starts = [
            asyncio.create_task(proxy.start()) for proxy in (self._config.grpc_client_proxy, naming)
        ]
        try:
            await asyncio.gather(*starts)
        finally:
            for start in starts:
                start.cancel()
        self._reconnects.redo = naming.redo_service.start_redo_task
        await naming.rpc_client.register_connection_listener(self._reconnects)

    async def _bounded(self, call: Awaitable[T], what: str) -> T:
        try:
            async with asyncio.timeout(self._timeout):
                return await call
        except TimeoutError as error:
            raise NacosError(
                f"Nacos at {self._address} did not {what} within {self._timeout:g} s"
            ) from error
        except Exception as error:
            if isinstance(error, NacosException) and error.error_code == _FORBIDDEN:
                raise NacosForbiddenError(
                    f"Nacos at {self._address} forbids the user '{self._settings.username}'"
                    f" to {what}"
                ) from error
            raise NacosError(
                f"Nacos at {self._address} failed to {what}: {without_token(error)}"
            ) from error

    async def _asked(self, call: Callable[[], Awaitable[T]], what: str) -> T:
        try:
            return await self._bounded(call(), what)
        except NacosForbiddenError:
            await self._renew_login()
        return await self._bounded(call(), what)

    async def _renew_login(self) -> None:
        # A token is asked for again only when it is too old, hours later.
        if self._settings.username:
            await self._bounded(self._login.get_access_token(force_refresh=True), "log in again")

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
        self._connected = False
        await shut_down(config, naming, self._timeout)

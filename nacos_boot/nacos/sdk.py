"""The Nacos SDK without the parts that nothing here uses. Nothing else imports it.

Of a program's start a quarter went to them, and 24 MB of its memory: the client of Alibaba's key
service, which the SDK loads for encrypted documents, and the models of its registry for agents.
"""

import asyncio
import contextlib
import logging
import sys
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any

import grpc

from nacos_boot.nacos.login import with_scheme
from nacos_boot.nacos.tls import grpc_credentials, uses_tls
from nacos_boot.start.nacos_settings import NacosSettings

_UNUSED = (
    "v2.nacos.config.filter.config_encryption_filter",
    "v2.nacos.ai.model.ai_response",
)
"""The SDK's modules that import those parts, and that are imported for their names only."""


class _NotLoaded:
    """Stands for whatever is imported from a module that is left out."""

    def __init__(self, *_: Any, **__: Any) -> None:
        raise NotImplementedError("this part of the Nacos SDK is not loaded here")


class _LeftOut(ModuleType):
    def __getattr__(self, name: str) -> type[_NotLoaded]:
        if name.startswith("__"):
            raise AttributeError(name)
        return _NotLoaded


@contextlib.contextmanager
def _without(modules: Sequence[str]) -> Iterator[None]:
    """Have imports within get placeholders for these modules, unless they are loaded already."""
    left_out = {name: _LeftOut(name) for name in modules if name not in sys.modules}
    sys.modules.update(left_out)
    try:
        yield
    finally:
        # Whoever else imports them gets the real ones.
        for name in left_out:
            del sys.modules[name]


with _without(_UNUSED):
    from v2.nacos import (
        ClientConfig,
        ClientConfigBuilder,
        ConfigParam,
        DeregisterInstanceParam,
        NacosConfigService,
        NacosException,
        NacosNamingService,
        RegisterInstanceParam,
        SubscribeServiceParam,
    )
    from v2.nacos.common.client_config import TLSConfig
    from v2.nacos.transport.grpc_client import GrpcClient
    from v2.nacos.utils.net_util import NetUtils


def client_config(settings: NacosSettings, timeout: float, folder: str) -> ClientConfig:
    """Tell the SDK where the servers are; each call may take `timeout` seconds.

    It insists on a folder for logs and caches.
    """
    builder = (
        ClientConfigBuilder()
        .server_address(",".join(with_scheme(item) for item in settings.server_addr))
        .namespace_id(settings.namespace)
        .log_level(logging.CRITICAL)
        .log_dir(f"{folder}/log")
        .cache_dir(f"{folder}/cache")
    )
    config = builder.build()
    config.timeout_ms = timeout
    config.update_cache_when_empty = True
    config.load_cache_at_start = False
    config.disable_use_config_cache = True
    config.grpc_config.grpc_timeout = int(timeout * 1000)
    if uses_tls(settings):
        config.tls_config = _Tls(settings)
    return config


class _Tls(TLSConfig):  # type: ignore[misc]  # the SDK is untyped
    """Stands in the SDK's settings where a channel is opened."""

    def __init__(self, settings: NacosSettings) -> None:
        super().__init__(enabled=True)
        self._settings = settings

    def credentials(self) -> grpc.ChannelCredentials:
        return grpc.ssl_channel_credentials(*grpc_credentials(self._settings))


_plain_channel = GrpcClient._create_new_managed_channel  # noqa: SLF001 - it has no other hook


async def _open_channel(client: Any, host: str, port: int) -> Any:
    """Open a channel of the SDK; by TLS, it would insist on a certificate of ours in a file."""
    if not isinstance(client.tls_config, _Tls):
        return await _plain_channel(client, host, port)
    grpc_config = client.grpc_config
    channel = grpc.aio.secure_channel(
        f"{host}:{port}",
        client.tls_config.credentials(),
        options=[
            ("grpc.max_call_recv_msg_size", grpc_config.max_receive_message_length),
            ("grpc.keepalive_time_ms", grpc_config.max_keep_alive_ms),
            ("grpc.use_local_subchannel_pool", 1),
        ],
    )
    try:
        async with asyncio.timeout(grpc_config.grpc_timeout / 1000):
            await channel.channel_ready()
    except BaseException:
        await channel.close()
        raise
    return channel


GrpcClient._create_new_managed_channel = _open_channel  # noqa: SLF001 - as above


__all__ = [
    "ConfigParam",
    "DeregisterInstanceParam",
    "NacosConfigService",
    "NacosException",
    "NacosNamingService",
    "NetUtils",
    "RegisterInstanceParam",
    "SubscribeServiceParam",
    "client_config",
]

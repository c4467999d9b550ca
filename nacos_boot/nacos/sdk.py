"""The Nacos SDK without the parts that nothing here uses. Nothing else imports it.

Of a program's start a quarter went to them, and 24 MB of its memory: the client of Alibaba's key
service, which the SDK loads for encrypted documents, and the models of its registry for agents.
"""

import contextlib
import logging
import sys
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any

from nacos_boot.nacos.login import with_scheme
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
    return config


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

"""Where a program serves its actuator: on its own port, or on one for the actuator alone.

Source: Spring Boot reference, "Monitoring and Management Over HTTP" (`management.server`); the
metadata is that of Spring Cloud Alibaba, by which Spring Boot Admin finds the port.
"""

import ipaddress
from collections.abc import Mapping
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Protocol, TypeVar

from pydantic import BaseModel
from quart import Quart

from nacos_boot.boot import Boot
from nacos_boot.http.access import Access
from nacos_boot.http.problem import use_problems
from nacos_boot.http.server import HttpServer
from nacos_boot.settings.spring import ManagementSection, ServerSection
from nacos_boot.tls.port import PortTls

T = TypeVar("T", bound=BaseModel)

_NOT_SERVED = -1
_GRACE = timedelta(seconds=2)


class Ports(Protocol):
    """Settings that say where a program listens."""

    @property
    def server(self) -> ServerSection:
        """`server`."""

    @property
    def management(self) -> ManagementSection:
        """`management`."""


async def serve_actuator(
    boot: Boot[T],
    app: Quart,
    access: Access,
    settings: Ports,
    ending: AsyncExitStack,
    *,
    tls: PortTls | None = None,
) -> None:
    """Add the actuator to the app, or serve it on the port of `management.server`.

    To be called before the app is served, and before `boot.register`. A port of its own closes with
    `ending`. Raises StartError where it cannot be had.
    """
    own, server = settings.management.server, settings.server
    if own.port in {None, server.port}:
        app.register_blueprint(boot.actuator())
        return
    if own.port == _NOT_SERVED:
        return
    alone = Quart("actuator", static_folder=None)
    use_problems(alone)
    access.guard(alone)
    alone.register_blueprint(boot.actuator())
    port = HttpServer(
        alone,
        address=own.address or server.address,
        port=own.port or 0,
        upgrade_class=None,
        tls=tls,
        setting="management.server",
    )
    await port.open()
    ending.push_async_callback(port.close, _GRACE)
    boot.metadata.update(metadata_of(port.port, own.address))


def metadata_of(port: int, address: str) -> Mapping[str, str]:
    """Give what the registry is told of the actuator's port."""
    metadata = {"management.port": str(port)}
    try:
        everywhere = not address or ipaddress.ip_address(address).is_unspecified
    except ValueError:
        everywhere = False
    return metadata if everywhere else {**metadata, "management.address": address}

"""The gateway's settings: the keys under `gateway.` in `websocket-gateway.yml`. All are live."""

from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import model_validator

from gateway_lb.strategy import Strategy
from nacos_boot.http.api_keys import ApiKeySection, EachOnce
from nacos_boot.http.proxies import NEARBY, Cidr
from nacos_boot.settings import Duration, DurationOrZero, OpenSection, Section, setting
from nacos_boot.settings.spring import LoggingSection, ManagementSection, ServerSection
from nacos_boot.tls.settings import PeerSslSection, use_bundles


class GatewayKeySection(ApiKeySection):
    """One entry of `gateway.api.keys`."""

    scopes: tuple[Literal["read", "actuator"], ...] = setting(
        ..., "What it may be used for: read, actuator."
    )


class ApiSection(Section):
    """`gateway.api`."""

    keys: Annotated[tuple[GatewayKeySection, ...], EachOnce] = setting(
        (),
        "API keys for the gateway's own routes, each with name, hash and scopes (read: /api/nodes"
        " and /discover; actuator). What is passed on to the nodes is judged by them. Without any,"
        " only callers on loopback and private addresses are answered.",
        when="next call",
    )


class NodesSection(Section):
    """`gateway.nodes`: the way to the nodes."""

    ssl: PeerSslSection = PeerSslSection()


class ProxySection(Section):
    """`gateway.proxy`: requests to `/api/**` and `/openapi.json`, passed on to a node."""

    timeout: Duration = setting(
        timedelta(seconds=30),
        "Longest silence of a node before its answer and within it, and of a client within its"
        " request. The length of a whole request is not limited.",
        when="next request",
    )


class LimitsSection(Section):
    """`gateway.limits`: what a client may cost before it is served."""

    head_size: int = setting(
        64 * 1024,
        "Longest head of a request, in bytes; a longer one gets 431.",
        unit="bytes",
        when="next request",
        ge=1024,
        le=1024 * 1024,
    )
    head_timeout: Duration = setting(
        timedelta(seconds=10),
        "Time from the connection, or a request's first byte, to the end of its head; then 408.",
    )


class DrainSection(Section):
    """`gateway.drain`: how the gateway leaves."""

    notice: DurationOrZero = setting(
        timedelta(seconds=2),
        "Time between leaving the registry and closing relays, in which clients and balancers"
        " learn of it and the gateway serves on.",
        when="next shutdown",
    )
    window: DurationOrZero = setting(
        timedelta(seconds=5),
        "Time over which open relays are closed, evenly spread, so that their clients do not"
        " return all at once.",
        when="next shutdown",
    )


class GatewaySection(Section):
    """`gateway`: how clients are brought to nodes."""

    strategy: Strategy = setting(
        "least-connections",
        "How a WebSocket finds its node: round-robin, weighted-random (Nacos weight),"
        " least-connections (open relays of this gateway, per weight; ties take turns) or"
        " consistent-hash (user id).",
        when="next handshake; open relays stay where they are",
    )
    service_name: str = setting(
        "websocket-service",
        "Name in Nacos of the service whose instances are the nodes.",
        when="the list is replaced by that of the new name",
        min_length=1,
    )
    connect_timeout: Duration = setting(
        timedelta(seconds=2),
        "Longest wait for a TCP connection to one node; then the next is tried.",
        when="next handshake or request",
    )
    handshake_timeout: Duration = setting(
        timedelta(seconds=10),
        "Longest time for a WebSocket handshake with all its attempts. An attempt gets an equal"
        " share of what is left, so that a hanging node leaves time for the others.",
        when="next handshake",
    )
    set_aside: DurationOrZero = setting(
        timedelta(seconds=10),
        "How long a node that failed, or answered 503 to a handshake, is passed over while there"
        " are others; 0s: not at all.",
        when="next failure",
    )
    max_attempts: int = setting(
        3, "How many nodes are tried for one handshake or request.", when="next one", ge=1, le=20
    )
    buffer_high_water: int = setting(
        256 * 1024,
        "Bytes that wait for a slow side of a relay before reading from the other side pauses;"
        " one read of up to 32 KiB may come on top.",
        unit="bytes",
        when="new relays",
        ge=4096,
        le=64 * 1024 * 1024,
    )
    half_close_timeout: Duration = setting(
        timedelta(seconds=30),
        "How long one direction of a relay may go on after the other has ended.",
        when="next time that a side ends",
    )
    nodes: NodesSection = NodesSection()
    api: ApiSection = ApiSection()
    trusted_proxies: tuple[Cidr, ...] = setting(
        NEARBY,
        "Addresses and ranges of the proxies in front of the gateway: only their X-Forwarded-For"
        " and X-Forwarded-Proto are believed, and handed on.",
        when="next request or handshake",
    )
    proxy: ProxySection = ProxySection()
    limits: LimitsSection = LimitsSection()
    drain: DrainSection = DrainSection()


class GatewaySettings(OpenSection):
    """Everything that a gateway can be told."""

    @model_validator(mode="before")
    @classmethod
    def _bundles(cls, data: Any) -> Any:
        return use_bundles(data, ("server.ssl", "gateway.nodes.ssl"))

    gateway: GatewaySection = GatewaySection()
    server: ServerSection = ServerSection()
    management: ManagementSection = ManagementSection()
    logging: LoggingSection = LoggingSection()


SETTINGS = GatewaySettings
"""What `nacos_boot check` and `schema` find under the name of this package."""

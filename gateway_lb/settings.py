"""The gateway's settings: the keys under `gateway.` in `websocket-gateway.yml`. All are live."""

from datetime import timedelta

from pydantic import Field

from gateway_lb.strategy import Strategy
from nacos_boot.section import Duration, DurationOrZero, OpenSection, Section
from nacos_boot.spring import LoggingSection, ServerSection


class ProxySection(Section):
    """`gateway.proxy`: requests to `/api/**` and `/openapi.json`, passed on to a node."""

    timeout: Duration = Field(
        default=timedelta(seconds=30),
        description="Longest silence of a node before its answer and within it, and of a client"
        " within its request. The length of a whole request is not limited. Live: next request.",
    )


class LimitsSection(Section):
    """`gateway.limits`: what a client may cost before it is served."""

    head_size: int = Field(
        default=64 * 1024,
        ge=1024,
        le=1024 * 1024,
        description="Longest head of a request, in bytes; a longer one gets 431."
        " Live: next request.",
    )
    head_timeout: Duration = Field(
        default=timedelta(seconds=10),
        description="Time from the connection, or a request's first byte, to the end of its head;"
        " then 408. Live: at once.",
    )


class DrainSection(Section):
    """`gateway.drain`: how the gateway leaves."""

    notice: DurationOrZero = Field(
        default=timedelta(seconds=2),
        description="Time between leaving the registry and closing relays, in which clients and"
        " balancers learn of it and the gateway serves on. Live: next shutdown.",
    )
    window: DurationOrZero = Field(
        default=timedelta(seconds=5),
        description="Time over which open relays are closed, evenly spread, so that their clients"
        " do not return all at once. Live: next shutdown.",
    )


class GatewaySection(Section):
    """`gateway`: how clients are brought to nodes."""

    strategy: Strategy = Field(
        default="least-connections",
        description="How a WebSocket finds its node: round-robin, weighted-random (Nacos weight),"
        " least-connections (open relays of this gateway, per weight; ties take turns) or"
        " consistent-hash (user id). Live: next handshake; open relays stay where they are.",
    )
    service_name: str = Field(
        default="websocket-service",
        min_length=1,
        description="Name in Nacos of the service whose instances are the nodes. Live: the list"
        " is replaced by that of the new name.",
    )
    connect_timeout: Duration = Field(
        default=timedelta(seconds=2),
        description="Longest wait for a TCP connection to one node; then the next is tried."
        " Live: next handshake or request.",
    )
    handshake_timeout: Duration = Field(
        default=timedelta(seconds=10),
        description="Longest time for a WebSocket handshake with all its attempts. An attempt gets"
        " an equal share of what is left, so that a hanging node leaves time for the others."
        " Live: next handshake.",
    )
    set_aside: DurationOrZero = Field(
        default=timedelta(seconds=10),
        description="How long a node that failed, or answered 503 to a handshake, is passed over"
        " while there are others; 0s: not at all. Live: next failure.",
    )
    max_attempts: int = Field(
        default=3,
        ge=1,
        le=20,
        description="How many nodes are tried for one handshake or request. Live: next one.",
    )
    buffer_high_water: int = Field(
        default=256 * 1024,
        ge=4096,
        le=64 * 1024 * 1024,
        description="Bytes that wait for a slow side of a relay before reading from the other side"
        " pauses; one read of up to 256 KiB may come on top. Live: new relays.",
    )
    half_close_timeout: Duration = Field(
        default=timedelta(seconds=30),
        description="How long one direction of a relay may go on after the other has ended."
        " Live: next time that a side ends.",
    )
    proxy: ProxySection = ProxySection()
    limits: LimitsSection = LimitsSection()
    drain: DrainSection = DrainSection()


class GatewaySettings(OpenSection):
    """Everything that a gateway can be told."""

    gateway: GatewaySection = GatewaySection()
    server: ServerSection = ServerSection()
    logging: LoggingSection = LoggingSection()

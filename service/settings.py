"""The node's settings: every key, its default, its unit, and whether a change is live."""

from datetime import timedelta
from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator

from nacos_boot.cron import CronError, SpringCron
from nacos_boot.section import Duration, DurationOrZero, OpenSection, Section
from nacos_boot.spring import LoggingSection, ServerSection

PushMode = Literal["fanout", "routed"]


class PushSection(Section):
    """`websocket.push`."""

    mode: PushMode = Field(
        default="fanout",
        description="fanout: every node gets every push; routed: only the nodes that hold a"
        " target, looked up in Redis. Live.",
    )


class NodeSection(Section):
    """`websocket.node`."""

    heartbeat_cron: str = Field(
        default="*/10 * * * * *",
        description="When the node record in Redis is refreshed: Spring's six cron fields. Live.",
    )
    ttl: Duration = Field(
        default=timedelta(seconds=15),
        description="Life of the node record; must be longer than the cron's longest gap. Live.",
    )
    public_url: str = Field(
        default="",
        pattern=r"^(wss?://.+)?$",
        description="ws:// or wss:// address under which clients reach this node directly;"
        " empty: its registered address. Needs a restart.",
    )

    @model_validator(mode="after")
    def _refreshed_before_it_expires(self) -> Self:
        try:
            gap = SpringCron(self.heartbeat_cron).longest_gap(self.ttl)
        except CronError as error:
            raise ValueError(f"heartbeat-cron '{self.heartbeat_cron}': {error}") from error
        if gap is None or gap >= self.ttl:
            raise ValueError(
                f"heartbeat-cron '{self.heartbeat_cron}' must fire more often than the ttl of"
                f" {self.ttl.total_seconds():g} s, or the node record expires between two beats"
            )
        return self


class PingSection(Section):
    """`websocket.ping`."""

    interval: DurationOrZero = Field(
        default=timedelta(seconds=25),
        description="How often each client is sent a ping frame; 0: never. Live.",
    )
    timeout: Duration = Field(
        default=timedelta(seconds=20),
        description="How long a client may leave a ping unanswered before it is closed. Live.",
    )


class LimitsSection(Section):
    """`websocket.limits`."""

    max_connections: int = Field(
        default=100_000, ge=1, description="Connections of this node; more get 4429. Live."
    )
    send_buffer: int = Field(
        default=1_048_576,
        ge=4096,
        description="Bytes that may wait for one client that reads slowly; beyond it is closed"
        " with 4008. Live.",
    )
    max_message: int = Field(
        default=65_536,
        ge=125,
        description="Bytes of one message from a client. For new connections.",
    )
    max_body: int = Field(
        default=8_388_608, ge=1024, description="Bytes of an API request's body. Live."
    )
    max_batch: int = Field(default=10_000, ge=1, description="Pushes in one batch request. Live.")
    max_targets: int = Field(
        default=100_000, ge=1, description="Distinct targets of one push. Live."
    )


class InteropSection(Section):
    """`websocket.interop`."""

    java: bool = Field(
        default=False,
        description="Look for nodes of netty-websocket-cluster in Redis, list them as foreign,"
        " and push to users by fanout while one is alive. Live.",
    )


class DrainSection(Section):
    """`websocket.drain`: how a node leaves."""

    notice: DurationOrZero = Field(
        default=timedelta(seconds=2),
        description="Time between leaving the registry and closing clients, in which gateways"
        " learn of it and the node serves on. Live.",
    )
    window: DurationOrZero = Field(
        default=timedelta(seconds=5),
        description="Time over which clients are closed with 4001. Live.",
    )


class RedisKeysSection(Section):
    """`websocket.redis`."""

    key_prefix: str = Field(
        default="websocket:",
        min_length=1,
        description="What every Redis key starts with. Needs a restart.",
    )


class WebSocketSection(Section):
    """`websocket`: the settings that are ours."""

    push: PushSection = PushSection()
    node: NodeSection = NodeSection()
    ping: PingSection = PingSection()
    limits: LimitsSection = LimitsSection()
    interop: InteropSection = InteropSection()
    drain: DrainSection = DrainSection()
    redis: RedisKeysSection = RedisKeysSection()


class RabbitSection(OpenSection):
    """`spring.rabbitmq`."""

    host: str = Field(default="127.0.0.1", description="Host of RabbitMQ. Needs a restart.")
    port: int = Field(default=5672, ge=1, le=65535, description="AMQP port. Needs a restart.")
    username: str = Field(default="guest", description="Account. Needs a restart.")
    password: SecretStr = Field(
        default=SecretStr("guest"), description="Its password. Needs a restart."
    )
    virtual_host: str = Field(default="/", description="Virtual host. Needs a restart.")


class RedisSection(OpenSection):
    """`spring.data.redis`."""

    host: str = Field(default="127.0.0.1", description="Host of Redis. Needs a restart.")
    port: int = Field(default=6379, ge=1, le=65535, description="Its port. Needs a restart.")
    username: str = Field(default="", description="Account; empty: default. Needs a restart.")
    password: SecretStr = Field(
        default=SecretStr(""), description="Its password; empty: none. Needs a restart."
    )
    database: int = Field(default=0, ge=0, description="Database number. Needs a restart.")
    timeout: Duration = Field(
        default=timedelta(seconds=1), description="Limit of one command. Needs a restart."
    )


class _DataSection(OpenSection):
    redis: RedisSection = RedisSection()


class SpringSection(OpenSection):
    """`spring`: where the servers are."""

    rabbitmq: RabbitSection = RabbitSection()
    data: _DataSection = _DataSection()


class NodeSettings(OpenSection):
    """Everything that a node can be told."""

    websocket: WebSocketSection = WebSocketSection()
    spring: SpringSection = SpringSection()
    server: ServerSection = ServerSection()
    logging: LoggingSection = LoggingSection()

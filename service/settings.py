"""The node's settings: every key, its default, its unit, and whether a change is live."""

from datetime import timedelta
from typing import Literal, Self

from pydantic import model_validator

from nacos_boot.settings import Duration, DurationOrZero, OpenSection, Section, setting
from nacos_boot.settings.cron import CronError, SpringCron
from nacos_boot.settings.spring import LoggingSection, ServerSection
from service.settings_limits import LimitsSection
from service.settings_servers import SpringSection

PushMode = Literal["fanout", "routed"]


class PushSection(Section):
    """`websocket.push`."""

    mode: PushMode = setting(
        "fanout",
        "fanout: every node gets every push; routed: only the nodes that hold a target, looked up"
        " in Redis.",
    )


class NodeSection(Section):
    """`websocket.node`."""

    heartbeat_cron: str = setting(
        "*/10 * * * * *", "When the node record in Redis is refreshed: Spring's six cron fields."
    )
    ttl: Duration = setting(
        timedelta(seconds=15),
        "Life of the node record; must be longer than the cron's longest gap.",
    )
    public_url: str = setting(
        "",
        "ws:// or wss:// address under which clients reach this node directly; empty: its"
        " registered address.",
        pattern="^(wss?://.+)?$",
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

    interval: DurationOrZero = setting(
        timedelta(seconds=25), "How often each client is sent a ping frame; 0: never."
    )
    timeout: Duration = setting(
        timedelta(seconds=20), "How long a client may leave a ping unanswered before it is closed."
    )


class InteropSection(Section):
    """`websocket.interop`."""

    java: bool = setting(
        False,
        "Look for nodes of netty-websocket-cluster in Redis, list them as foreign, and push to"
        " users by fanout while one is alive.",
    )


class DrainSection(Section):
    """`websocket.drain`: how a node leaves."""

    notice: DurationOrZero = setting(
        timedelta(seconds=2),
        "Time between leaving the registry and closing clients, in which gateways learn of it and"
        " the node serves on.",
    )
    window: DurationOrZero = setting(
        timedelta(seconds=5), "Time over which clients are closed with 4001."
    )


class HandoverSection(Section):
    """`websocket.handover`: how nodes move to another RabbitMQ or Redis together."""

    limit: Duration = setting(
        timedelta(seconds=30),
        "How long a node that moves to another RabbitMQ or Redis waits for the other nodes at each"
        " step; then it goes on without those that stayed behind.",
    )


class RedisKeysSection(Section):
    """`websocket.redis`."""

    key_prefix: str = setting(
        "websocket:", "What every Redis key starts with.", live=False, min_length=1
    )


class WebSocketSection(Section):
    """`websocket`: the settings that are ours."""

    push: PushSection = PushSection()
    node: NodeSection = NodeSection()
    ping: PingSection = PingSection()
    limits: LimitsSection = LimitsSection()
    interop: InteropSection = InteropSection()
    drain: DrainSection = DrainSection()
    handover: HandoverSection = HandoverSection()
    redis: RedisKeysSection = RedisKeysSection()


class NodeSettings(OpenSection):
    """Everything that a node can be told."""

    websocket: WebSocketSection = WebSocketSection()
    spring: SpringSection = SpringSection()
    server: ServerSection = ServerSection()
    logging: LoggingSection = LoggingSection()


SETTINGS = NodeSettings
"""What `nacos_boot check` and `schema` find under the name of this package."""

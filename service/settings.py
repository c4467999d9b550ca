"""The node's settings: every key, its default, its unit, and whether a change is live."""

from datetime import timedelta
from typing import Any, Literal, Self

from pydantic import model_validator

from nacos_boot.http.proxies import NEARBY, Cidr
from nacos_boot.settings import Duration, DurationOrZero, OpenSection, Section, setting
from nacos_boot.settings.cron import CronError, SpringCron
from nacos_boot.settings.spring import LoggingSection, ManagementSection, ServerSection
from nacos_boot.tls.settings import use_bundles
from service.api.settings import ApiSection
from service.auth.settings import AllowedOrigin, AuthSection
from service.broker.settings import ResendSection
from service.clients.settings import LimitsSection
from service.history.settings import HistorySection
from service.settings_servers import SpringSection

PushMode = Literal["fanout", "routed"]


class PushSection(Section):
    """`websocket.push`."""

    mode: PushMode = setting(
        "fanout",
        "fanout: every node gets every push; routed: only the nodes that hold a target, looked up"
        " in Redis.",
    )
    max_wait: Duration = setting(
        timedelta(seconds=10),
        "Longest `wait` of a push that asks for a delivery report; a longer one is refused.",
    )
    idempotency_ttl: Duration = setting(
        timedelta(hours=24), "How long the answer to a request with an Idempotency-Key is kept."
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
    return_window: DurationOrZero = setting(
        timedelta(seconds=8),
        "Time over which clients are asked to come back, evenly spread from the first close on: the"
        " reason of the close says how long each is to wait. Up to the window: not at all.",
        when="next shutdown",
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

    allowed_origins: tuple[AllowedOrigin, ...] = setting(
        ("*",),
        "Origins of web pages that may connect: *, origins, or patterns with * in the host as in"
        " Spring's allowedOriginPatterns. Clients that send no Origin are no browsers, and pass.",
        when="new connections",
    )
    auth: AuthSection = AuthSection()
    push: PushSection = PushSection()
    node: NodeSection = NodeSection()
    ping: PingSection = PingSection()
    limits: LimitsSection = LimitsSection()
    interop: InteropSection = InteropSection()
    drain: DrainSection = DrainSection()
    handover: HandoverSection = HandoverSection()
    redis: RedisKeysSection = RedisKeysSection()
    history: HistorySection = HistorySection()
    resend: ResendSection = ResendSection()
    api: ApiSection = ApiSection()
    trusted_proxies: tuple[Cidr, ...] = setting(
        NEARBY,
        "Addresses and ranges of the proxies in front, the gateways among them: only their"
        " X-Forwarded-For is believed.",
        when="next call and new connections",
    )


class NodeSettings(OpenSection):
    """Everything that a node can be told."""

    @model_validator(mode="before")
    @classmethod
    def _bundles(cls, data: Any) -> Any:
        return use_bundles(data, ("server.ssl", "spring.rabbitmq.ssl", "spring.data.redis.ssl"))

    websocket: WebSocketSection = WebSocketSection()
    spring: SpringSection = SpringSection()
    server: ServerSection = ServerSection()
    management: ManagementSection = ManagementSection()
    logging: LoggingSection = LoggingSection()


SETTINGS = NodeSettings
"""What `nacos_boot check` and `schema` find under the name of this package."""

"""The node's settings: names, defaults and rules. The names are scripted by others."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from nacos_boot.http.proxies import NEARBY
from service.auth.settings import ALL
from service.settings import NodeSettings

SERVERS = ("spring.rabbitmq", "spring.data.redis")
DEFAULTS: dict[str, Any] = {
    "websocket.push.mode": "fanout",
    "websocket.push.max-wait": timedelta(seconds=10),
    "websocket.push.idempotency-ttl": timedelta(hours=24),
    "websocket.resend.buffer": 33_554_432,
    "websocket.resend.age": timedelta(minutes=1),
    "websocket.drain.return-window": timedelta(seconds=8),
    "websocket.node.heartbeat-cron": "*/10 * * * * *",
    "websocket.node.ttl": timedelta(seconds=15),
    "websocket.node.public-url": "",
    "websocket.ping.interval": timedelta(seconds=25),
    "websocket.ping.timeout": timedelta(seconds=20),
    "websocket.limits.max-connections": 100_000,
    "websocket.limits.max-connections-per-user": 0,
    "websocket.limits.max-connections-per-address": 0,
    "websocket.limits.handshakes-per-second": 0,
    "websocket.limits.handshake-burst": 1000,
    "websocket.limits.head-size": 65_536,
    "websocket.limits.head-timeout": timedelta(seconds=10),
    "websocket.limits.slow-client": "close",
    "websocket.limits.messages-per-second": 10_000,
    "websocket.limits.message-burst": 20_000,
    "websocket.limits.pushes-per-second": 0,
    "websocket.limits.push-burst": 1000,
    "websocket.limits.max-content": 1_048_576,
    "websocket.limits.send-buffer": 1_048_576,
    "websocket.limits.max-message": 65_536,
    "websocket.limits.max-body": 8_388_608,
    "websocket.limits.max-batch": 10_000,
    "websocket.limits.max-targets": 100_000,
    "websocket.interop.java": False,
    "websocket.drain.notice": timedelta(seconds=2),
    "websocket.drain.window": timedelta(seconds=5),
    "websocket.handover.limit": timedelta(seconds=30),
    "websocket.redis.key-prefix": "websocket:",
    "websocket.history.enabled": False,
    "websocket.history.length": 1000,
    "websocket.history.all-length": 10_000,
    "websocket.history.age": timedelta(hours=24),
    "websocket.history.resume-wait": timedelta(seconds=1),
    "websocket.api.keys": (),
    "websocket.allowed-origins": ("*",),
    "websocket.auth.mode": "none",
    "websocket.auth.jwt.keys": (),
    "websocket.auth.jwt.jwks-url": "",
    "websocket.auth.jwt.jwks-refresh": timedelta(minutes=5),
    "websocket.auth.jwt.algorithms": ALL,
    "websocket.auth.jwt.issuer": "",
    "websocket.auth.jwt.audience": (),
    "websocket.auth.jwt.leeway": timedelta(minutes=1),
    "websocket.auth.jwt.require-exp": True,
    "websocket.trusted-proxies": NEARBY,
    "spring.rabbitmq.host": "127.0.0.1",
    "spring.rabbitmq.port": 5672,
    "spring.rabbitmq.username": "",
    "spring.rabbitmq.virtual-host": "/",
    "spring.data.redis.host": "127.0.0.1",
    "spring.data.redis.port": 6379,
    "spring.data.redis.username": "",
    "spring.data.redis.database": 0,
    "spring.data.redis.timeout": timedelta(seconds=1),
    **{
        f"{server}.ssl.{key}": default
        for server in SERVERS
        for key, default in (
            ("enabled", False),
            ("bundle", ""),
            ("trust-certificate", ""),
            ("certificate", ""),
            ("verify-hostname", True),
        )
    },
}
SECRETS = {
    f"{server}.{key}": ""
    for server in SERVERS
    for key in ("password", "ssl.certificate-private-key", "ssl.key-password")
}


def tree(key: str, value: Any) -> dict[str, Any]:
    """Give the document that sets one key."""
    for part in reversed(key.split(".")):
        value = {part: value}
    return dict(value)


def fields(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Give every setting under a model by its key."""
    for name, field in model.model_fields.items():
        key = f"{prefix}{field.alias or name}"
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from fields(kind, f"{key}.")
        else:
            yield key, field


def value_of(settings: NodeSettings, key: str) -> Any:
    value: Any = settings
    for part in key.split("."):
        value = getattr(value, part.replace("-", "_"))
    return value


def test_names_and_defaults() -> None:
    settings = NodeSettings()
    assert {key: value_of(settings, key) for key in DEFAULTS} == DEFAULTS
    secrets = {key: value_of(settings, key).get_secret_value() for key in SECRETS}
    assert secrets == SECRETS
    # And there are no others of ours, or of the servers.
    found = {
        key
        for key, _ in fields(NodeSettings)
        if not key.startswith(("server.", "management.", "logging."))
    }
    assert found == DEFAULTS.keys() | SECRETS.keys()


def test_every_setting_says_what_it_is_for_and_whether_it_is_live() -> None:
    for key, field in fields(NodeSettings):
        assert (field.description or "").endswith("."), key
        # What a change does is declared, not assumed.
        assert isinstance(field.json_schema_extra, dict), key
        assert "x-live" in field.json_schema_extra, key


@pytest.mark.parametrize(
    ("key", "written", "value"),
    [
        ("websocket.push.mode", "routed", "routed"),
        ("websocket.node.heartbeat-cron", "*/5 * * * * ?", "*/5 * * * * ?"),
        ("websocket.node.ttl", "1m", timedelta(minutes=1)),
        ("websocket.node.public-url", "wss://example.org/x", "wss://example.org/x"),
        ("websocket.ping.interval", "500ms", timedelta(milliseconds=500)),
        ("websocket.ping.interval", 0, timedelta(0)),
        ("websocket.limits.max-connections", 5, 5),
        ("websocket.limits.max-connections", "5", 5),
        ("websocket.interop.java", True, True),
        ("websocket.drain.window", "0s", timedelta(0)),
        ("websocket.trusted-proxies", ["10.1.2.3", " ::1"], ("10.1.2.3/32", "::1/128")),
        ("websocket.trusted-proxies", [], ()),
        ("spring.data.redis.timeout", "250ms", timedelta(milliseconds=250)),
        # A password that YAML reads as a number.
        ("spring.rabbitmq.username", 12345, "12345"),
    ],
)
def test_values_are_read(key: str, written: Any, value: Any) -> None:
    assert value_of(NodeSettings.model_validate(tree(key, written)), key) == value


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("websocket.push.mode", "Routed", "'fanout' or 'routed'"),
        ("websocket.push.modes", "routed", "Extra inputs"),
        ("websocket.node.ttl", "0s", "above zero"),
        ("websocket.node.ttl", "soon", "expected a duration"),
        ("websocket.node.public-url", "http://example.org", "pattern"),
        ("websocket.ping.interval", "-1s", "zero or more"),
        ("websocket.ping.timeout", "0s", "above zero"),
        ("websocket.limits.max-connections", 0, "greater than or equal to 1"),
        ("websocket.limits.max-connections", "many", "integer"),
        ("websocket.limits.send-buffer", 100, "greater than or equal to 4096"),
        ("websocket.redis.key-prefix", "", "at least 1 character"),
        ("spring.rabbitmq.port", 65_536, "65535"),
        ("spring.data.redis.port", 0, "greater than or equal to 1"),
    ],
)
def test_values_that_cannot_be_used_are_refused(key: str, value: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message) as caught:
        NodeSettings.model_validate(tree(key, value))
    [error] = caught.value.errors()
    assert ".".join(map(str, error["loc"])) == key


def test_springs_other_keys_are_passed_over() -> None:
    document = {"spring": {"rabbitmq": {"listener": {"x": 1}}, "jackson": {}}, "management": {}}
    assert NodeSettings.model_validate(document) == NodeSettings()


def test_settings_cannot_be_changed_in_place() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        NodeSettings().websocket.push.mode = "routed"  # type: ignore[misc]  # what this shows


@pytest.mark.parametrize(
    ("cron", "ttl", "fits"),
    [
        ("*/10 * * * * *", "15s", True),
        ("*/10 * * * * *", "10s", False),
        ("*/10 * * * * *", "10001ms", True),
        ("* * * * * *", "1500ms", True),
        ("0 * * * * *", "61s", True),
        ("0 * * * * *", "60s", False),
        # The gap over the end of the minute counts: from second 50 to 0 is 10, from 45 to 0 is 15.
        ("*/50 * * * * *", "45s", False),
        ("*/50 * * * * *", "51s", True),
        ("0,45 * * * * *", "40s", False),
        # Not at night.
        ("*/10 * 8-20 * * *", "15s", False),
        ("*/10 * * * * MON-FRI", "15s", False),
        ("@hourly", "61m", True),
    ],
)
def test_a_node_record_is_refreshed_before_it_expires(cron: str, ttl: str, fits: bool) -> None:
    document = tree("websocket.node", {"heartbeat-cron": cron, "ttl": ttl})
    if fits:
        NodeSettings.model_validate(document)
        return
    with pytest.raises(ValidationError, match="must fire more often than the ttl") as caught:
        NodeSettings.model_validate(document)
    assert cron in str(caught.value)


@pytest.mark.parametrize(
    "cron", ["* * * * *", "*/10 * * * * * *", "x * * * * *", "* * * L * *", ""]
)
def test_an_expression_that_is_none_is_refused_with_an_example(cron: str) -> None:
    with pytest.raises(ValidationError, match=r"expected Spring's six fields"):
        NodeSettings.model_validate(tree("websocket.node.heartbeat-cron", cron))


def test_secrets_are_not_shown() -> None:
    settings = NodeSettings.model_validate(tree("spring.rabbitmq.password", "hush"))
    assert "hush" not in repr(settings)

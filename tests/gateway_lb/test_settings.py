from datetime import timedelta

import pytest
from pydantic import BaseModel, ValidationError

from gateway_lb.settings import GatewaySection, GatewaySettings


def test_defaults() -> None:
    gateway = GatewaySettings().gateway
    assert gateway.strategy == "least-connections"
    assert gateway.service_name == "websocket-service"
    assert gateway.connect_timeout == timedelta(seconds=2)
    assert gateway.proxy.timeout == timedelta(seconds=30)


def test_keys_are_written_as_in_yaml() -> None:
    tree = {"gateway": {"max-attempts": 5, "set-aside": "0s", "proxy": {"timeout": "1m"}}}
    gateway = GatewaySettings.model_validate(tree).gateway
    assert (gateway.max_attempts, gateway.set_aside) == (5, timedelta(0))
    assert gateway.proxy.timeout == timedelta(minutes=1)


def test_keys_of_others_are_passed_over() -> None:
    GatewaySettings.model_validate({"spring": {"application": {"name": "x"}}})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("strategy", "random"),
        ("strategie", "round-robin"),
        ("connect-timeout", "0s"),
        ("connect-timeout", "soon"),
        ("max-attempts", 0),
        ("service-name", ""),
        ("buffer-high-water", 1),
        ("proxy", {"timout": "1s"}),
        ("limits", {"head-size": 10}),
    ],
)
def test_a_bad_value_is_refused(key: str, value: object) -> None:
    with pytest.raises(ValidationError, match=f"gateway.{key}"):
        GatewaySettings.model_validate({"gateway": {key: value}})


def described(model: type[BaseModel]) -> list[str]:
    missing = []
    for name, field in model.model_fields.items():
        nested = field.annotation
        if isinstance(nested, type) and issubclass(nested, BaseModel):
            missing += described(nested)
        elif not field.description or "x-live" not in (field.json_schema_extra or {}):
            missing.append(f"{model.__name__}.{name}")
    return missing


def test_every_key_says_what_it_means_and_when_a_change_holds() -> None:
    assert described(GatewaySection) == []

from datetime import timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from nacos_boot.settings.bind import Bound, bind
from nacos_boot.settings.changes import changed_keys, changes, pinned, shown, without_effect
from nacos_boot.settings.section import Section
from nacos_boot.settings.sources import PropertySource
from tests.nacos_boot.samples import DemoSettings


class LoginSection(Section):
    token: SecretStr = SecretStr("")


def bound(
    tree: dict[str, Any], environ: dict[str, str] | None = None, *arguments: PropertySource
) -> Bound[DemoSettings]:
    local = PropertySource("bootstrap.yml", {"demo": {"names": ["local"]}})
    return bind(DemoSettings, [local, PropertySource("demo.yml", tree)], environ or {}, arguments)


@pytest.mark.parametrize(
    ("old", "new", "keys", "text"),
    [
        ({}, {}, [], ""),
        (
            {"demo": {"mode": "slow"}},
            {"demo": {"mode": "fast"}},
            ["demo.mode"],
            "demo.mode: 'slow' -> 'fast' (demo.yml)",
        ),
        ({}, {"demo": {"mode": "fast"}}, ["demo.mode"], "demo.mode: (unset) -> 'fast' (demo.yml)"),
        ({"demo": {"mode": "fast"}}, {}, ["demo.mode"], "demo.mode: 'fast' -> (unset) (demo.yml)"),
        (
            {"demo": {"names": ["a"]}},
            {},
            ["demo.names"],
            "demo.names: '['a']' -> '['local']' (bootstrap.yml)",
        ),
        # What a placeholder gives is text; the same number is no change.
        ({"server": {"port": "8080"}}, {"server": {"port": 8080}}, [], ""),
        (
            {"demo": {"password": "old"}},
            {"demo": {"password": "new"}},
            ["demo.password"],
            "demo.password: ****** -> ****** (demo.yml)",
        ),
        (
            {"demo": {"mode": "slow", "interval": "1s"}},
            {"demo": {"mode": "fast", "interval": "2s"}},
            ["demo.interval", "demo.mode"],
            "demo.interval: '1s' -> '2s' (demo.yml), demo.mode: 'slow' -> 'fast' (demo.yml)",
        ),
    ],
)
def test_what_changed(old: dict[str, Any], new: dict[str, Any], keys: list[str], text: str) -> None:
    before, after = bound(old).merged, bound(new).merged
    found = changes(before, after, changed_keys(before, after))
    assert [change.key for change in found] == keys
    assert ", ".join(map(str, found)) == text


@pytest.mark.parametrize(
    "value",
    [
        SecretStr("hunter2"),
        ["a", SecretStr("hunter2")],
        [{"name": "a", "password": "hunter2"}],
        {"inner": {"api-key": "hunter2"}},
        "amqp://alice:hunter2@rabbit:5672",
        LoginSection(token="hunter2"),
    ],
    ids=["its type", "in a list", "in an item", "below it", "in an address", "in a section"],
)
def test_secrets_are_masked_wherever_they_stand(value: Any) -> None:
    text = shown("demo.value", value)
    assert "hunter2" not in text
    assert "******" in text


def test_values_are_shown_as_a_document_would_have_them() -> None:
    assert shown("demo.interval", timedelta(seconds=90)) == "'90s'"
    assert shown("demo.mode", None) == "(empty)"


SLOW, FAST = {"demo": {"mode": "slow"}}, {"demo": {"mode": "fast"}}
PINNED = {"DEMO_MODE": "slow"}


@pytest.mark.parametrize(
    ("old", "new", "environ", "expected"),
    [
        (SLOW, FAST, {}, []),
        (SLOW, FAST, PINNED, ["demo.mode"]),
        ({}, FAST, PINNED, ["demo.mode"]),
        (FAST, {}, PINNED, ["demo.mode"]),
        (FAST, FAST, PINNED, []),
        (SLOW, {"demo": {"mode": "slow", "interval": "2s"}}, PINNED, []),
        ({"demo": {"names": ["a"]}}, {}, {}, []),
        (
            {"demo": {"limits": {"maxConnections": 200}}},
            {"demo": {"limits": {"maxConnections": 300}}},
            {"DEMO_LIMITS_MAXCONNECTIONS": "400"},
            ["demo.limits.max-connections"],
        ),
    ],
    ids=[
        "not pinned",
        "pinned",
        "added",
        "removed",
        "not edited",
        "another key",
        "back to the local file",
        "another spelling",
    ],
)
def test_edits_that_have_no_effect(
    old: dict[str, Any], new: dict[str, Any], environ: dict[str, str], expected: list[str]
) -> None:
    assert without_effect(bound(old, environ), bound(new, environ)) == expected


def test_the_command_line_pins_too() -> None:
    argument = PropertySource("the command line", {"demo": {"mode": "slow"}})
    assert without_effect(bound(SLOW, {}, argument), bound(FAST, {}, argument)) == ["demo.mode"]


def test_keys_that_are_pinned_to_another_value() -> None:
    tree = {"demo": {"mode": "fast", "interval": "2s"}}
    documents = {"demo.yml"}
    assert pinned(bound(tree), documents) == {}
    assert pinned(bound(tree, {"DEMO_MODE": "fast"}), documents) == {}
    environ = {"DEMO_MODE": "slow", "DEMO_PAUSE": "1s", "DEMO_NAMES": "b"}
    assert pinned(bound(tree, environ), documents) == {"demo.mode": "the environment"}

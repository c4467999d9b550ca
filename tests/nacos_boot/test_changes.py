from typing import Any

import pytest

from nacos_boot.changes import changed_keys, describe, without_effect
from nacos_boot.settings import Bound, bind
from nacos_boot.sources import PropertySource
from tests.nacos_boot.samples import DemoSettings


def bound(
    tree: dict[str, Any], environ: dict[str, str] | None = None, *arguments: PropertySource
) -> Bound[DemoSettings]:
    local = PropertySource("bootstrap.yml", {"demo": {"names": ["local"]}})
    return bind(DemoSettings, [local, PropertySource("demo.yml", tree)], environ or {}, arguments)


@pytest.mark.parametrize(
    ("old", "new", "keys", "text"),
    [
        ({}, {}, [], "no value differs"),
        (
            {"demo": {"mode": "slow"}},
            {"demo": {"mode": "fast"}},
            ["demo.mode"],
            "demo.mode: 'slow' -> 'fast'",
        ),
        ({}, {"demo": {"mode": "fast"}}, ["demo.mode"], "demo.mode: (unset) -> 'fast'"),
        ({"demo": {"mode": "fast"}}, {}, ["demo.mode"], "demo.mode: 'fast' -> (unset)"),
        (
            {"demo": {"password": "old"}},
            {"demo": {"password": "new"}},
            ["demo.password"],
            "demo.password: ****** -> ******",
        ),
        (
            {"demo": {"mode": "slow", "interval": "1s"}},
            {"demo": {"mode": "fast", "interval": "2s"}},
            ["demo.interval", "demo.mode"],
            "demo.interval: '1s' -> '2s', demo.mode: 'slow' -> 'fast'",
        ),
    ],
)
def test_what_changed(old: dict[str, Any], new: dict[str, Any], keys: list[str], text: str) -> None:
    before, after = bound(old).merged, bound(new).merged
    assert changed_keys(before, after) == keys
    assert describe(before, after) == text


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

from collections.abc import Iterator
from inspect import signature
from typing import Any

import pytest
from quart import Quart

from nacos_boot.config.live import LiveSettings
from nacos_boot.http.proxies import TrustedProxies
from service.api.access import node_access, scope_of
from service.api.app import build_app
from service.settings import NodeSettings

EXPECTED = {
    ("POST", "/api/push"): "push",
    ("POST", "/api/push/batch"): "push",
    ("GET", "/api/users"): "read",
    ("GET", "/api/users/<user_id>"): "read",
    ("DELETE", "/api/users/<user_id>"): "disconnect",
    ("GET", "/api/nodes"): "read",
    ("GET", "/openapi.json"): None,
}


@pytest.fixture
def app() -> Quart:
    live = LiveSettings(NodeSettings())
    unused: dict[str, Any] = dict.fromkeys(signature(build_app).parameters)
    return build_app(**unused | {"live": live, "access": node_access(live, TrustedProxies())})


def routes(app: Quart) -> Iterator[tuple[str, str]]:
    for rule in app.url_map.iter_rules():
        for method in (rule.methods or set()) - {"OPTIONS", "HEAD"}:
            yield method, rule.rule


def test_each_route_asks_for_its_scope_and_a_new_one_is_named_here(app: Quart) -> None:
    assert {route: scope_of(*route) for route in routes(app)} == EXPECTED


@pytest.mark.parametrize(
    ("method", "scope"),
    [
        ("GET", "read"),
        ("HEAD", "read"),
        ("POST", "push"),
        ("PUT", "push"),
        ("DELETE", "disconnect"),
    ],
)
def test_a_route_below_api_is_never_open(method: str, scope: str) -> None:
    assert scope_of(method, "/api/whatever/comes") == scope

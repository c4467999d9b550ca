"""Who may call, seen from outside: a small app behind the door."""

import logging
from typing import Annotated, Any

import pytest
from quart import Quart, Response, g

from nacos_boot.actuator.health import HealthRegistry
from nacos_boot.actuator.routes import actuator
from nacos_boot.actuator.standard import health_endpoint, info_endpoint
from nacos_boot.config.live import LiveSettings
from nacos_boot.http.access import REFUSED, Access
from nacos_boot.http.api_keys import ApiKeySection, EachOnce, hash_of
from nacos_boot.http.guarded import GuardedQuart
from nacos_boot.http.problem import PROBLEM_TYPE, use_problems
from nacos_boot.http.proxies import NEARBY, TrustedProxies
from nacos_boot.settings import Section, setting

STRANGER, NEIGHBOUR, PROXY = "203.0.113.9", "10.0.0.7", "10.0.0.1"


class _Key(ApiKeySection):
    scopes: tuple[str, ...] = setting(..., "Scopes.")


class _Settings(Section):
    keys: Annotated[tuple[_Key, ...], EachOnce] = setting((), "Keys.")


def key(name: str, text: str, *scopes: str) -> dict[str, Any]:
    return {"name": name, "hash": hash_of(text), "scopes": scopes}


class Shop:
    """An app with a route to read, one to buy and one for everybody."""

    app_class: type[Quart] = Quart

    def __init__(self, *keys: dict[str, Any], trusted: tuple[str, ...] = NEARBY) -> None:
        self.live = LiveSettings(_Settings())
        access = Access.of(
            self.live,
            TrustedProxies(trusted),
            lambda method, rule: None if rule == "/open" else "read" if method == "GET" else "buy",
            setting="shop.api.keys",
            keys=lambda settings: settings.keys,
        )
        self.use(*keys)
        self.app = app = self.app_class("shop", static_folder=None)
        use_problems(app)
        access.guard(app)
        health = HealthRegistry()
        health.accepting = True
        app.register_blueprint(actuator([health_endpoint(health), info_endpoint("shop", "1")]))

        @app.get("/goods/<name>")
        @app.post("/goods/<name>")
        async def goods(name: str) -> Response:
            return Response(f"{name} for {g.api_key_name} at {g.caller_address}")

        @app.get("/open")
        async def everybody() -> Response:
            return Response("open")

    def use(self, *keys: dict[str, Any]) -> None:
        self.live.swap(_Settings.model_validate({"keys": keys}))

    async def call(
        self, method: str = "GET", path: str = "/goods/tea", peer: str = STRANGER, **headers: str
    ) -> tuple[int, str, Any]:
        answer = await self.app.test_client().open(
            path,
            method=method,
            headers={name.replace("_", "-"): value for name, value in headers.items()},
            scope_base={"client": (peer, 4711)},
        )
        if answer.status_code >= 400:
            assert answer.content_type == PROBLEM_TYPE or answer.status_code in {404, 405}
        return answer.status_code, await answer.get_data(as_text=True), answer.headers


@pytest.fixture(autouse=True, params=[Quart, GuardedQuart])
def app_class(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any app, and one that is made for a door."""
    monkeypatch.setattr(Shop, "app_class", request.param)


async def test_an_app_with_a_door_has_its_other_functions_before_a_request_as_well() -> None:
    shop = Shop()
    seen: list[str] = []

    @shop.app.before_request
    async def look() -> None:
        seen.append(g.caller_address)

    assert (await shop.call(peer=STRANGER))[0] == 403
    assert (await shop.call(peer=NEIGHBOUR))[0] == 200
    assert seen == [NEIGHBOUR]


ASKED = {"peer": STRANGER}


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/goods/tea", {}, 401),
        ("GET", "/goods/tea", {"X_API_Key": "reader"}, 200),
        ("GET", "/goods/tea", {"Authorization": "Bearer reader"}, 200),
        ("GET", "/goods/tea", {"Authorization": "bearer  reader "}, 200),
        ("GET", "/goods/tea", {"Authorization": "Basic reader"}, 401),
        ("GET", "/goods/tea", {"Authorization": "reader"}, 401),
        ("GET", "/goods/tea", {"X_API_Key": "wrong"}, 401),
        ("GET", "/goods/tea", {"X_API_Key": ""}, 401),
        ("GET", "/goods/tea", {"X_API_Key": hash_of("reader")}, 401),
        # X-API-Key counts: the other may be for a proxy on the way.
        ("GET", "/goods/tea", {"X_API_Key": "reader", "Authorization": "Basic eDp5"}, 200),
        ("GET", "/goods/tea", {"X_API_Key": "wrong", "Authorization": "Bearer reader"}, 401),
        ("HEAD", "/goods/tea", {}, 401),
        ("POST", "/goods/tea", {"X_API_Key": "reader"}, 403),
        ("POST", "/goods/tea", {"X_API_Key": "buyer"}, 200),
        ("GET", "/goods/tea", {"X_API_Key": "buyer"}, 403),
        ("POST", "/goods/tea", {"X_API_Key": "rotated"}, 200),
        ("GET", "/actuator", {"X_API_Key": "reader"}, 403),
        ("GET", "/actuator", {"X_API_Key": "watcher"}, 200),
        ("GET", "/actuator/info", {}, 401),
        ("GET", "/actuator/info/", {}, 401),
        ("GET", "/%61ctuator/info", {}, 401),
        ("GET", "/actuator/health/livenessState", {}, 401),
        ("POST", "/actuator/health", {}, 401),
        # Whoever asks.
        ("GET", "/actuator/health", {}, 200),
        ("GET", "/actuator/health/", {}, 200),
        ("GET", "/actuator/health/liveness", {}, 200),
        ("GET", "/actuator/health/readiness", {"X_API_Key": "wrong"}, 200),
        ("HEAD", "/actuator/health", {}, 200),
        ("OPTIONS", "/goods/tea", {}, 200),
        ("OPTIONS", "/actuator/info", {}, 200),
        ("GET", "/open", {}, 200),
        ("GET", "/nowhere", {}, 404),
        ("PUT", "/goods/tea", {}, 405),
    ],
)
@pytest.mark.parametrize("peer", [STRANGER, NEIGHBOUR])
async def test_with_keys_a_call_needs_one_from_wherever_it_comes(
    method: str, path: str, headers: dict[str, str], status: int, peer: str
) -> None:
    shop = Shop(
        key("web", "reader", "read"),
        key("till", "buyer", "buy"),
        key("till", "rotated", "buy"),
        key("ops", "watcher", "actuator"),
    )
    before = REFUSED.labels(str(status))._value.get()
    found, text, answered = await shop.call(method, path, peer=peer, **headers)
    assert found == status, text
    assert answered.get("WWW-Authenticate", "").startswith("Bearer ") == (status in {401, 403})
    refused = REFUSED.labels(str(status))._value.get() - before
    assert refused == (status in {401, 403})
    for secret in ("reader", "buyer", "watcher", "rotated", "wrong"):
        assert secret not in text
        assert secret not in answered.get("WWW-Authenticate", "")


@pytest.mark.parametrize(
    ("peer", "forwarded", "status"),
    [
        ("127.0.0.1", None, 200),
        ("::1", None, 200),
        (NEIGHBOUR, None, 200),
        ("172.16.0.1", None, 200),
        ("169.254.3.4", None, 200),
        ("fd12::1", None, 200),
        ("::ffff:10.0.0.9", None, 200),
        (STRANGER, None, 403),
        ("172.32.0.1", None, 403),
        ("2001:db8::1", None, 403),
        # The gateway is near; who it speaks for counts.
        (PROXY, NEIGHBOUR, 200),
        (PROXY, STRANGER, 403),
        (PROXY, f"127.0.0.1, {STRANGER}", 403),
        (PROXY, f"{STRANGER}, {NEIGHBOUR}", 403),
        (STRANGER, "127.0.0.1", 403),
        # A proxy that hides the caller is not the caller.
        (PROXY, "unknown", 403),
        (PROXY, f"{STRANGER}, _hidden", 403),
        (PROXY, "fe80::1%eth0", 403),
        (PROXY, " ", 403),
    ],
)
async def test_without_keys_the_address_decides(
    peer: str, forwarded: str | None, status: int
) -> None:
    headers = {"X_Forwarded_For": forwarded} if forwarded else {}
    for path in ("/goods/tea", "/actuator/info"):
        found, text, _ = await Shop().call(path=path, peer=peer, **headers)
        assert found == status
        assert ("shop.api.keys" in text) == (status == 403)


async def test_a_proxy_that_is_not_trusted_makes_nobody_a_neighbour() -> None:
    shop = Shop(trusted=("198.51.100.1",))
    assert (await shop.call(peer=PROXY))[0] == 200
    status, text, _ = await shop.call(peer=PROXY, X_Forwarded_For=STRANGER)
    assert status == 403
    assert PROXY in text
    assert "trusted" in text
    assert (await shop.call(peer="198.51.100.1", X_Forwarded_For=NEIGHBOUR))[0] == 200


async def test_health_has_no_details_for_who_may_not_see_them() -> None:
    shop = Shop()
    _, near, _ = await shop.call(path="/actuator/health", peer=NEIGHBOUR)
    assert "components" in near
    for path in ("/actuator/health", "/actuator/health/readiness"):
        _, far, _ = await shop.call(path=path, peer=STRANGER)
        assert far == '{"status":"UP"}'


async def test_routes_are_told_who_calls() -> None:
    shop = Shop(key("web", "reader", "read"))
    _, text, _ = await shop.call(peer=PROXY, X_API_Key="reader", X_Forwarded_For=STRANGER)
    assert text == f"tea for web at {STRANGER}"
    shop.use()
    assert (await shop.call(peer=NEIGHBOUR))[1] == f"tea for None at {NEIGHBOUR}"


async def test_an_edit_of_the_keys_counts_at_once_and_no_key_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    shop = Shop()
    assert (await shop.call(peer=NEIGHBOUR))[0] == 200
    shop.use(key("old", "first-key", "read"))
    assert (await shop.call(peer=NEIGHBOUR))[0] == 401
    shop.use(key("old", "first-key", "read"), key("new", "second-key", "read"))
    for text in ("first-key", "second-key"):
        assert (await shop.call(X_API_Key=text))[0] == 200
    shop.use(key("new", "second-key", "read"))
    assert (await shop.call(X_API_Key="first-key"))[0] == 401
    assert "API keys: new, old" in caplog.text
    assert "no API keys" in caplog.text
    for secret in ("first-key", "second-key", hash_of("first-key")):
        assert secret not in caplog.text

"""`websocket.auth` and `websocket.allowed-origins`: what is taken, what is refused and why."""

from datetime import timedelta
from typing import Any

import pytest

from nacos_boot.settings.bind import SettingsError, bind
from nacos_boot.settings.sources import PropertySource
from service.auth.settings import AuthSection
from service.settings import NodeSettings
from tests.service.token_maker import (
    ED25519,
    P256,
    RSA,
    SECRET,
    private_pem,
    public_pem,
)

HS = {"algorithm": "HS256", "secret": SECRET}
RS = {"algorithm": "RS256", "public-key": public_pem(RSA)}


def read(**auth: Any) -> AuthSection:
    """Read `websocket.auth` as it stands in a document."""
    return document({"auth": auth}).websocket.auth


def document(websocket: dict[str, Any]) -> NodeSettings:
    source = PropertySource("websocket-service.yml", {"websocket": websocket})
    return bind(NodeSettings, [source], {}).settings


def test_the_defaults() -> None:
    settings = NodeSettings().websocket
    assert (settings.auth.mode, settings.allowed_origins) == ("none", ("*",))
    jwt = settings.auth.jwt
    assert (jwt.keys, jwt.jwks_url, jwt.issuer, jwt.audience) == ((), "", "", ())
    assert (jwt.leeway, jwt.jwks_refresh) == (timedelta(minutes=1), timedelta(minutes=5))
    assert jwt.require_exp
    assert "none" not in jwt.algorithms


def test_keys_of_every_kind() -> None:
    keys = [
        {**HS, "kid": "2026-11"},
        RS,
        {"algorithm": "ES256", "public-key": public_pem(P256)},
        {"algorithm": "EdDSA", "public-key": public_pem(ED25519)},
    ]
    auth = read(mode="jwt", jwt={"keys": keys, "audience": "push, chat", "leeway": "0s"})
    assert [key.algorithm for key in auth.jwt.keys] == ["HS256", "RS256", "ES256", "EdDSA"]
    assert auth.jwt.keys[0].kid == "2026-11"
    assert auth.jwt.audience == ("push", "chat")
    assert SECRET not in repr(auth)


@pytest.mark.parametrize(
    ("auth", "key", "message"),
    [
        ({"mode": "jws"}, "mode", "'none' or 'jwt'"),
        ({"mode": "jwt"}, "", "mode jwt needs jwt.keys or jwt.jwks-url"),
        ({"jwt": {"keys": [{"secret": SECRET}]}}, "jwt.keys[0].algorithm", "required"),
        (
            {"jwt": {"keys": [{**HS, "algorithm": "none"}]}},
            "jwt.keys[0].algorithm",
            "'HS256', 'HS384'",
        ),
        ({"jwt": {"keys": [{"algorithm": "HS256"}]}}, "jwt.keys[0]", "HS256 needs secret"),
        (
            {"jwt": {"keys": [HS, {**HS, "secret": "short"}]}},
            "jwt.keys[1].secret",
            "5 bytes; expected 32",
        ),
        (
            {"jwt": {"keys": [{**HS, "secret": public_pem(RSA)}]}},
            "jwt.keys[0].secret",
            "not a PEM",
        ),
        (
            {"jwt": {"keys": [{**HS, "public-key": public_pem(RSA)}]}},
            "jwt.keys[0].public-key",
            "HS256 has no public key; expected secret",
        ),
        (
            {"jwt": {"keys": [{**RS, "secret": SECRET}]}},
            "jwt.keys[0].secret",
            "RS256 has no secret; expected public-key",
        ),
        ({"jwt": {"keys": [{"algorithm": "RS256"}]}}, "jwt.keys[0]", "RS256 needs public-key"),
        (
            {"jwt": {"keys": [{**RS, "public-key": "-----BEGIN PUBLIC KEY-----\nx"}]}},
            "jwt.keys[0].public-key",
            "not readable; expected a PEM",
        ),
        (
            {"jwt": {"keys": [{**RS, "public-key": private_pem(RSA)}]}},
            "jwt.keys[0].public-key",
            "private key",
        ),
        (
            {"jwt": {"keys": [HS], "algorithms": ["RS256"]}},
            "jwt",
            "keys[0].algorithm HS256 must be one of algorithms",
        ),
        (
            {"jwt": {"jwks-url": "https://a/b", "algorithms": ["HS256"]}},
            "jwt",
            "must name a public-key algorithm",
        ),
        ({"jwt": {"algorithms": ["none"]}}, "jwt.algorithms[0]", "'HS256', 'HS384'"),
        ({"jwt": {"keys": [HS] * 33}}, "jwt", "keys must be 32 at most"),
        ({"jwt": {"algorithms": []}}, "jwt", "algorithms must name one at least"),
        ({"jwt": {"jwks-url": "file:///etc/keys"}}, "jwt.jwks-url", "pattern"),
        ({"jwt": {"jwks-refresh": "10ms"}}, "jwt.jwks-refresh", "1 second"),
        ({"jwt": {"leeway": "2h"}}, "jwt.leeway", "1 hour"),
    ],
)
def test_a_bad_edit_is_refused_with_its_key_and_the_reason(
    auth: dict[str, Any], key: str, message: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        read(**auth)
    [problem] = caught.value.problems
    assert problem.key == f"websocket.auth.{key}".removesuffix(".")
    assert message in problem.expected
    assert problem.source == "websocket-service.yml"
    assert SECRET not in str(caught.value)
    assert "BEGIN PRIVATE" not in str(caught.value)


def test_origins_are_checked() -> None:
    origins = ["https://App.example.com/", "https://*.example.org:[*]"]
    assert document({"allowed-origins": origins}).websocket.allowed_origins == (
        "https://app.example.com",
        "https://*.example.org:[*]",
    )
    with pytest.raises(SettingsError) as caught:
        document({"allowed-origins": ["https://a.example", "a.example"]})
    [problem] = caught.value.problems
    assert problem.key == "websocket.allowed-origins[1]"
    assert "expected an origin such as" in problem.expected

"""Keys: which are taken, for what, and why others are not."""

import json
from typing import Any

import pytest

from service.auth.jwt_library import keys_of_jwks, public_key, secret_key, verified_payload
from tests.service.token_maker import (
    ED25519,
    K256,
    OTHER_RSA,
    P256,
    P384,
    RSA,
    SECRET,
    SHORT_RSA,
    jwk,
    key_set,
    private_pem,
    public_pem,
    token,
)


@pytest.mark.parametrize(
    ("algorithm", "secret", "message"),
    [
        ("HS256", "", "0 bytes; expected 32 or more"),
        ("HS256", "x" * 31, "31 bytes; expected 32 or more"),
        ("HS384", "x" * 47, "expected 48 or more"),
        ("HS512", "ü" * 31, "62 bytes; expected 64 or more"),
        ("HS256", public_pem(RSA), "a secret, not a PEM"),
        ("HS256", private_pem(P256), "a secret, not a PEM"),
        ("HS256", json.dumps(jwk(RSA)), "a key of another kind"),
    ],
)
def test_a_secret_that_is_none_is_refused(algorithm: str, secret: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        secret_key("", algorithm, secret)
    assert not secret or secret not in str(caught.value)


@pytest.mark.parametrize(
    ("algorithm", "pem", "message"),
    [
        ("RS256", "", "expected a PEM"),
        ("RS256", "nonsense", "expected a PEM"),
        ("RS256", public_pem(RSA)[:200], "expected a PEM"),
        ("RS256", private_pem(RSA), "private key"),
        ("RS256", public_pem(P256), "not for RS256; its algorithm is ES256"),
        ("RS256", public_pem(SHORT_RSA), "1024 bits; expected 2048"),
        ("ES256", public_pem(P384), "not for ES256; its algorithm is ES384"),
        ("ES256", public_pem(K256), "none that is used here"),
        ("ES256", public_pem(ED25519), "its algorithm is EdDSA"),
        ("EdDSA", public_pem(RSA), "its algorithm is PS256 or PS384"),
    ],
)
def test_a_public_key_that_does_not_fit_is_refused(algorithm: str, pem: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        public_key("", algorithm, pem)


def test_a_key_shows_nothing_of_itself() -> None:
    assert SECRET not in repr(secret_key("a", "HS256", SECRET))


def test_a_key_set_is_read() -> None:
    found = keys_of_jwks(
        key_set(
            jwk(RSA, "a"),
            jwk(OTHER_RSA, "b", alg="PS384", use="sig", key_ops=["verify"]),
            jwk(P256, "c"),
            jwk(ED25519),
        )
    )
    assert [(key.kid, sorted(key.algorithms)) for key in found] == [
        ("a", ["PS256", "PS384", "PS512", "RS256", "RS384", "RS512"]),
        ("b", ["PS384"]),
        ("c", ["ES256"]),
        ("", ["EdDSA"]),
    ]
    assert verified_payload(token(key=RSA, algorithm="RS384"), found[0], "RS384")
    assert verified_payload(token(key=OTHER_RSA, algorithm="RS384"), found[0], "RS384") is None


SECRET_KEY = {"kty": "oct", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0", "kid": "x"}


@pytest.mark.parametrize(
    "entry",
    [
        SECRET_KEY,
        {**SECRET_KEY, "alg": "HS256"},
        jwk(RSA, alg="HS256"),
        jwk(RSA, alg="none"),
        jwk(RSA, alg="ES256"),
        jwk(RSA, alg=None),
        jwk(RSA, use="enc"),
        jwk(RSA, key_ops=["encrypt"]),
        jwk(RSA, key_ops="verify"),
        {**jwk(RSA), "kid": 5},
        {**jwk(RSA), "n": 5},
        {**jwk(RSA), "n": "%"},
        {**jwk(RSA), "e": ""},
        jwk(SHORT_RSA),
        jwk(K256),
        {**jwk(P256), "x": "AA"},
        {**jwk(P256), "crv": "P-384"},
        {**jwk(ED25519), "crv": "X25519"},
        {"kty": "new"},
        {"kty": []},
        {},
    ],
)
def test_a_key_that_cannot_be_used_is_passed_over(entry: dict[str, Any]) -> None:
    [left] = keys_of_jwks(key_set(entry, jwk(P256, "good")))
    assert left.kid == "good"
    with pytest.raises(ValueError, match="no public key"):
        keys_of_jwks(key_set(entry))


def test_the_private_half_is_left_alone() -> None:
    private = {**jwk(ED25519, "a"), "d": "AAAA"}
    [key] = keys_of_jwks(key_set(private))
    assert verified_payload(token(key=ED25519, algorithm="EdDSA"), key, "EdDSA")


def test_of_many_keys_some_are_taken() -> None:
    assert len(keys_of_jwks(key_set(*[jwk(ED25519)] * 500))) == 32


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b"[]", b"\xff", b'{"keys":{}}', b'{"keys":[5]}', b'{"keys":[]}', b"[" * 9999],
)
def test_what_is_no_key_set(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"key set|Key Set"):
        keys_of_jwks(body)

"""Where a token stands, and what a token must say."""

import base64
import json
import math
import time
from functools import partial
from typing import Any

import jwt
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from service.auth.jwt_library import VerificationKey, public_key, secret_key
from service.auth.settings import ALL
from service.auth.tokens import (
    TokenRefusedError,
    TokenRules,
    UnknownKeyError,
    check_token,
    find_token,
)
from tests.service.token_maker import (
    OTHER_RSA,
    OTHER_SECRET,
    P256,
    RSA,
    SECRET,
    SIGNERS,
    public_pem,
)
from tests.service.token_maker import token as token_at

NOW = time.time()
token = partial(token_at, now=NOW)
PATH = "/websocket/alice"
RULES = TokenRules(frozenset(ALL), "", frozenset(), 60.0, require_exp=True)
STRICT = TokenRules(
    frozenset(("HS256", "RS256")), "https://issuer", frozenset(("push", "chat")), 0.0, True
)


def key_for(algorithm: str, kid: str = "") -> VerificationKey:
    signer = SIGNERS[algorithm]
    if isinstance(signer, str):
        return secret_key(kid, algorithm, signer)
    return public_key(kid, algorithm, public_pem(signer))


HS256 = key_for("HS256")
RS256 = key_for("RS256")


@pytest.mark.parametrize(
    ("target", "authorizations", "offers"),
    [
        (PATH, ["Bearer t.o.k"], []),
        (PATH, ["bearer   t.o.k "], []),
        (PATH, ["Basic dXNlcg==", "Bearer t.o.k"], []),
        (f"{PATH}?access_token=t.o.k", [], []),
        (f"{PATH}?device=phone&access%5Ftoken=t%2Eo.k", [], []),
        (PATH, [], ["bearer.t.o.k"]),
        (PATH, [], ["cluster.v1, Bearer.t.o.k"]),
        (PATH, [], ["cluster.v1", "bearer.t.o.k ,x"]),
        # The same in several places is one.
        (f"{PATH}?access_token=t.o.k", ["Bearer t.o.k"], ["bearer.t.o.k"]),
    ],
)
def test_a_token_stands_in_one_of_three_places(
    target: str, authorizations: list[str], offers: list[str]
) -> None:
    assert find_token(target, authorizations, offers) == "t.o.k"


@pytest.mark.parametrize(
    ("target", "authorizations", "offers", "reason"),
    [
        (PATH, [], [], "missing"),
        (PATH, ["Basic dXNlcg=="], ["cluster.v1, bearer"], "missing"),
        (f"{PATH}?token=t&access_tokens=t&access_token=", [], [], "missing"),
        (PATH, ["Bearer "], ["bearer."], "missing"),
        (f"{PATH}?access_token=a", ["Bearer b"], [], "several"),
        (f"{PATH}?access_token=a&access_token=b", [], [], "several"),
        (PATH, ["Bearer a", "Bearer b"], [], "several"),
        (PATH, [], ["bearer.a, bearer.b"], "several"),
        (PATH, ["Bearer a"], ["bearer.b"], "several"),
        (PATH, ["Bearer "], ["bearer.b"], "several"),
    ],
)
def test_no_token_or_two_are_refused(
    target: str, authorizations: list[str], offers: list[str], reason: str
) -> None:
    with pytest.raises(TokenRefusedError) as caught:
        find_token(target, authorizations, offers)
    assert (caught.value.reason, caught.value.code) == (reason, 4401)


SEGMENT = st.text("abcXYZ019-_", min_size=1, max_size=8)
JWT = st.builds(lambda *parts: ".".join(parts), SEGMENT, SEGMENT, SEGMENT)


@given(
    header=st.lists(JWT, max_size=2),
    query=st.lists(JWT, max_size=2),
    offer=st.lists(JWT, max_size=2),
)
@example(header=["a"], query=["a"], offer=["b"])
def test_wherever_tokens_stand_one_is_found_and_two_are_refused(
    header: list[str], query: list[str], offer: list[str]
) -> None:
    target = f"{PATH}?x=1&" + "&".join(f"access_token={one}" for one in query)
    offers = [", ".join(["cluster.v1", *(f"bearer.{one}" for one in offer)])]
    authorizations = [f"Bearer {one}" for one in header]
    there = {*header, *query, *offer}
    if len(there) == 1:
        assert {find_token(target, authorizations, offers)} == there
        return
    with pytest.raises(TokenRefusedError) as caught:
        find_token(target, authorizations, offers)
    assert caught.value.reason == ("several" if there else "missing")


@pytest.mark.parametrize("algorithm", ALL)
def test_every_algorithm_lets_its_own_signature_in_and_no_other(algorithm: str) -> None:
    key = key_for(algorithm)
    good = token("alice", SIGNERS[algorithm], algorithm, life=60)
    assert check_token(good, "alice", [key], RULES, NOW) == pytest.approx(NOW + 120, abs=30)
    head, payload, signature = good.split(".")
    for bad in (
        f"{head}.{payload}.{signature[:-6]}AAAAAA",
        f"{head}.{payload}.",
        f"{head}.{segment({'sub': 'bob', 'exp': NOW + 60})}.{signature}",
    ):
        assert refusal(bad, keys=[key]).reason == "signature"
    others = frozenset(ALL) - {algorithm}
    rules = TokenRules(others, "", frozenset(), 60.0, require_exp=True)
    assert refusal(good, keys=[key], rules=rules).reason == "algorithm"


def refusal(
    text: str, keys: list[VerificationKey] | None = None, rules: TokenRules = RULES
) -> TokenRefusedError:
    with pytest.raises(TokenRefusedError) as caught:
        check_token(text, "alice", [HS256, RS256] if keys is None else keys, rules, NOW)
    return caught.value


STRICTLY: dict[str, Any] = {"iss": "https://issuer", "aud": ["other", "chat"]}


def test_what_the_strict_rules_ask_for_lets_in() -> None:
    check_token(token(**STRICTLY), "alice", [HS256], STRICT, NOW)
    check_token(token(**{**STRICTLY, "aud": "push"}), "alice", [HS256], STRICT, NOW)


@pytest.mark.parametrize(
    ("changes", "reason", "code"),
    [
        ({"life": None}, "no-expiry", 4401),
        ({"life": None, "exp": NOW}, "expired", 4401),
        ({"life": -1}, "expired", 4401),
        ({"nbf": NOW + 1}, "not-yet", 4401),
        ({"iss": None}, "issuer", 4401),
        ({"iss": "https://issuer/"}, "issuer", 4401),
        ({"aud": None}, "audience", 4401),
        ({"aud": []}, "audience", 4401),
        ({"aud": ["pus", "push2"]}, "audience", 4401),
        ({"user": None}, "no-subject", 4401),
        ({"user": ""}, "no-subject", 4401),
        ({"user": "bob"}, "subject", 4403),
        ({"user": "Alice"}, "subject", 4403),
        # Of the wrong type, so the token says nothing.
        ({"user": 5}, "malformed", 4401),
        ({"user": ["alice"]}, "malformed", 4401),
        ({"life": None, "exp": "2999-01-01"}, "malformed", 4401),
        ({"life": None, "exp": True}, "malformed", 4401),
        ({"life": None, "exp": float("inf")}, "malformed", 4401),
        ({"life": None, "exp": 10**400}, "malformed", 4401),
        ({"aud": {"push": 1}}, "malformed", 4401),
        # Signed otherwise.
        ({"key": OTHER_SECRET}, "signature", 4401),
        ({"key": OTHER_RSA, "algorithm": "RS256"}, "signature", 4401),
        ({"algorithm": "HS512"}, "algorithm", 4401),
        ({"key": None, "algorithm": "none"}, "algorithm", 4401),
    ],
)
def test_each_way_to_be_refused(changes: dict[str, Any], reason: str, code: int) -> None:
    found = refusal(token(**{**STRICTLY, **changes}), rules=STRICT)
    assert (found.reason, found.code) == (reason, code)


def test_leeway_goes_both_ways() -> None:
    for good in (token(life=-50), token(nbf=NOW + 50)):
        check_token(good, "alice", [HS256], RULES, NOW)
    assert refusal(token(life=-70)).reason == "expired"
    assert refusal(token(nbf=NOW + 70)).reason == "not-yet"


def test_a_token_without_an_end_may_be_allowed() -> None:
    rules = TokenRules(frozenset(ALL), "", frozenset(), 0.0, require_exp=False)
    assert check_token(token(life=None), "alice", [HS256], rules, NOW) == math.inf
    assert refusal(token(life=-1), rules=rules).reason == "expired"


def test_what_is_not_asked_for_is_not_checked() -> None:
    check_token(token(iss="x", aud="y"), "alice", [HS256], RULES, NOW)


def test_the_id_of_a_key_says_which_one_and_without_one_all_are_tried() -> None:
    old, new = secret_key("old", "HS256", OTHER_SECRET), secret_key("new", "HS256", SECRET)
    both = [old, new]
    for kid in ("new", None):
        check_token(token(kid=kid), "alice", both, RULES, NOW)
    assert refusal(token(kid="old"), keys=both).reason == "signature"
    assert isinstance(refusal(token(kid="newer"), keys=both), UnknownKeyError)
    assert isinstance(refusal(token(kid="new"), keys=[old]), UnknownKeyError)
    # A key without an id is for tokens with any; another may still be the one that is named.
    check_token(token(kid="newer"), "alice", [HS256], RULES, NOW)
    wrong = token(kid="newer", key=OTHER_SECRET)
    assert isinstance(refusal(wrong, keys=[HS256]), UnknownKeyError)
    assert isinstance(refusal(token(), keys=[]), UnknownKeyError)


def test_a_public_key_is_never_taken_for_a_secret() -> None:
    # What an attacker can do who knows the public key, and signs with it as a secret.
    head = segment({"alg": "HS256", "typ": "JWT"})
    body = segment({"sub": "alice", "exp": NOW + 60})
    algorithm = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)
    signature = algorithm.sign(f"{head}.{body}".encode(), public_pem(RSA).encode())
    forged = f"{head}.{body}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"
    assert isinstance(refusal(forged, keys=[RS256]), UnknownKeyError)
    assert refusal(forged, keys=[RS256, HS256]).reason == "signature"
    # Nor for a key of another algorithm of its own kind.
    assert isinstance(refusal(token(key=RSA, algorithm="PS256"), keys=[RS256]), UnknownKeyError)


def segment(said: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(said).encode()).decode().rstrip("=")


GOOD = token()
HEAD, BODY, SIGNATURE = GOOD.split(".")


@pytest.mark.parametrize(
    "text",
    [
        "x",
        "..",
        "a.b",
        f"{HEAD}.{BODY}",
        f"{GOOD}.x",
        f"{HEAD}.{BODY}.ü",
        f"ü{GOOD}",
        f"{segment({})}.{BODY}.{SIGNATURE}",
        f"{segment([])}.{BODY}.{SIGNATURE}",
        f"{segment({'alg': None})}.{BODY}.{SIGNATURE}",
        f"{segment({'alg': ['HS256']})}.{BODY}.{SIGNATURE}",
        f"{segment({'alg': 'HS256', 'kid': 5})}.{BODY}.{SIGNATURE}",
        f"{segment({'alg': 'HS256', 'crit': ['b64'], 'b64': False})}.{BODY}.{SIGNATURE}",
        f"{segment({'alg': 'HS256', 'b64': False})}.{BODY}.{SIGNATURE}",
        f"{HEAD}.{'=' * 5}.{SIGNATURE}",
        token()[:20],
        jwt.PyJWS().encode(b"[]", SECRET, algorithm="HS256"),
        jwt.PyJWS().encode(b"\xff", SECRET, algorithm="HS256"),
        jwt.PyJWS().encode(b"[" * 5000, SECRET, algorithm="HS256"),
        jwt.PyJWS().encode(b'{"sub":"\\ud800"}', SECRET, algorithm="HS256"),
    ],
)
def test_what_is_no_token(text: str) -> None:
    assert refusal(text).reason in {"malformed", "signature"}


ANY = st.one_of(
    st.text(max_size=60),
    st.lists(st.text("abAZ09-_=\n +/", max_size=30), max_size=4).map(".".join),
    st.builds(
        lambda said, rest: f"{segment(said)}.{rest}",
        st.dictionaries(
            st.sampled_from(["alg", "kid", "crit", "b64", "typ", "jwk"]),
            st.one_of(
                st.none(),
                st.integers(),
                st.booleans(),
                st.lists(st.text(max_size=3), max_size=2),
                st.sampled_from(["HS256", "RS256", "none", "ES256", "EdDSA", "b64"]),
            ),
        ),
        st.sampled_from(["", ".", "e30.", "e30.e30", f"{BODY}.{SIGNATURE}", "e30.AAAA.x", "%.%"]),
    ),
)
KEYS = [HS256, RS256, public_key("k", "ES256", public_pem(P256)), key_for("EdDSA")]


@given(text=ANY)
def test_no_text_whatsoever_gets_in_or_breaks_the_check(text: str) -> None:
    with pytest.raises(TokenRefusedError):
        check_token(text, "alice", KEYS, RULES, NOW)

"""A client's token: where it stands in the handshake, and whether it proves who connects. Pure."""

import binascii
import math
from base64 import urlsafe_b64decode
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

import msgspec

from service.auth.jwt_library import VerificationKey, verified_payload
from service.clients import close_codes
from service.clients.handshake import BEARER

_SCHEME = "bearer "
_PARAMETER = "access_token"


class TokenRefusedError(Exception):
    """Why a token lets nobody in: `reason` is for metrics, the text for the client."""

    def __init__(self, reason: str, text: str, code: int = close_codes.NOT_AUTHENTICATED) -> None:
        super().__init__(text)
        self.reason = reason
        self.text = text
        self.code = code


class UnknownKeyError(TokenRefusedError):
    """No key at hand has the id that the token names, or has signed it."""

    def __init__(self) -> None:
        super().__init__("unknown-key", "the key of the token is not known here")


@dataclass(frozen=True, slots=True)
class TokenRules:
    """What a token must say, beside its signature; `leeway` in seconds."""

    algorithms: frozenset[str]
    issuer: str
    audience: frozenset[str]
    leeway: float
    require_exp: bool


class _Header(msgspec.Struct):
    alg: str
    kid: str | None = None
    crit: msgspec.Raw | None = None


class _Claims(msgspec.Struct):
    sub: str | None = None
    exp: float | None = None
    nbf: float | None = None
    iss: str | None = None
    aud: str | list[str] | None = None


_read_header = msgspec.json.Decoder(_Header).decode
_read_claims = msgspec.json.Decoder(_Claims).decode


def find_token(target: str, authorizations: Sequence[str], offers: Sequence[str]) -> str:
    """Find the token of a handshake: `Authorization: Bearer`, `?access_token=`, `bearer.<jwt>`.

    `offers` are the values of Sec-WebSocket-Protocol. One token in several places is one. Raises
    TokenRefusedError where there is none, or where there are two.
    """
    found = {
        value[len(_SCHEME) :].strip()
        for value in authorizations
        if value[: len(_SCHEME)].lower() == _SCHEME
    }
    for value in offers:
        for name in value.split(","):
            if (offer := name.strip())[: len(BEARER)].lower() == BEARER:
                found.add(offer[len(BEARER) :])
    if "?" in target:
        found.update(
            value for name, value in parse_qsl(urlsplit(target).query) if name == _PARAMETER
        )
    if len(found) > 1:
        raise TokenRefusedError("several", "more than one token")
    for token in found:
        if token:
            return token
    raise TokenRefusedError("missing", "no token")


def check_token(
    token: str, user: str, keys: Sequence[VerificationKey], rules: TokenRules, now: float
) -> float:
    """Check a token of `user` at the Unix time `now`.

    Gives the Unix time from which on it is no good any more, leeway counted; infinity where it does
    not expire. Raises TokenRefusedError; UnknownKeyError where other keys might know it.
    Source: RFC 7519, section 4.1.
    """
    claims = _claims_of(token, keys, rules)
    expires = math.inf if claims.exp is None else claims.exp + rules.leeway
    if claims.exp is None and rules.require_exp:
        raise TokenRefusedError("no-expiry", "the token has no exp")
    if now >= expires:
        raise TokenRefusedError("expired", "the token has expired")
    if claims.nbf is not None and now < claims.nbf - rules.leeway:
        raise TokenRefusedError("not-yet", "the token is not valid yet")
    if rules.issuer and claims.iss != rules.issuer:
        raise TokenRefusedError("issuer", "the token is of another issuer")
    meant = {claims.aud} if isinstance(claims.aud, str) else {*(claims.aud or ())}
    if rules.audience and not rules.audience & meant:
        raise TokenRefusedError("audience", "the token is for another audience")
    if not claims.sub:
        raise TokenRefusedError("no-subject", "the token has no sub")
    if claims.sub != user:
        text = "the token is another user's"
        raise TokenRefusedError("subject", text, close_codes.REFUSED)
    return expires


def _claims_of(token: str, keys: Sequence[VerificationKey], rules: TokenRules) -> _Claims:
    try:
        header = _header_of(token)
        if header.alg not in rules.algorithms:
            raise TokenRefusedError("algorithm", "the algorithm of the token is not allowed")
        payload = _payload(token, header, keys)
        return _read_claims(payload)
    except (ValueError, msgspec.MsgspecError, RecursionError) as error:
        raise TokenRefusedError("malformed", "the token cannot be read") from error


def _header_of(token: str) -> _Header:
    head = token.partition(".")[0].encode("ascii")
    try:
        header = _read_header(urlsafe_b64decode(head + b"=" * (-len(head) % 4)))
    except binascii.Error as error:
        raise ValueError("not Base64") from error
    if header.crit is not None:
        raise ValueError("an extension that is not known")  # RFC 7515, section 4.1.11
    return header


def _payload(token: str, header: _Header, keys: Sequence[VerificationKey]) -> bytes:
    known = False
    for key in keys:
        if key.kid and header.kid is not None and key.kid != header.kid:
            continue
        if header.alg not in key.algorithms:
            continue
        known = known or header.kid in {None, key.kid}
        payload = verified_payload(token, key, header.alg)
        if payload is not None:
            return payload
    if known:
        raise TokenRefusedError("signature", "the signature of the token is wrong")
    raise UnknownKeyError

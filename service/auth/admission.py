"""Admission: whether a client may come in by its origin and its token, by the settings in force."""

import logging
import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from websockets.http11 import Request

from nacos_boot.actuator.health import Health, Status
from nacos_boot.config.live import LiveSettings
from service import metrics
from service.auth.jwks import Jwks
from service.auth.jwt_library import (
    PUBLIC_KEY_ALGORITHMS,
    VerificationKey,
    public_key,
    secret_key,
)
from service.auth.origins import Origins
from service.auth.settings import JwtSection
from service.auth.tokens import (
    TokenRefusedError,
    TokenRules,
    UnknownKeyError,
    check_token,
    find_token,
)
from service.auth.waiting_room import Waiting, WaitingRoom
from service.clients import close_codes
from service.clients.door import Door, Refusal
from service.settings import NodeSettings

log = logging.getLogger(__name__)

_ORIGIN, _AUTHORIZATION, _OFFERS = b"origin", b"authorization", b"sec-websocket-protocol"
_NOBODY_KNOWS = "websocket.auth.mode is none: any client may connect as any user"
_NO_KEYS = "the keys of tokens cannot be had now; reconnect"


@dataclass(frozen=True, slots=True)
class _Rules:
    """One version of the settings, ready for use; `tokens` is None where none are asked for."""

    origins: Origins
    tokens: TokenRules | None
    keys: tuple[VerificationKey, ...]


class Admission:
    """Judges handshakes; `door.admission` is it while there is something to judge, else None.

    Edits are for connections from now on: who is in stays, until its token expires.
    """

    def __init__(
        self,
        live: LiveSettings[NodeSettings],
        door: Door,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._live = live
        self._door = door
        self._clock = clock
        self.jwks = Jwks(self._wanted)
        self.room = WaitingRoom()
        door.room = self.room
        self._rules = self._put_in_force(live.current)
        live.subscribe(self._changed)
        if self._rules.tokens is None:
            log.warning("%s", _NOBODY_KNOWS)

    def admits(
        self, user: str, target: str, headers: Sequence[tuple[bytes, bytes]]
    ) -> float | None:
        """Tell until when an ordinary client may stay (Unix time; infinity: no limit).

        None where it may not come in; `judge` says why.
        """
        try:
            return self._check(user, target, headers)
        except TokenRefusedError:
            return None

    def judge(
        self, connection: Waiting, user: str, request: Request
    ) -> tuple[Refusal | None, float] | None:
        """Tell why a client may not come in, or until when it may stay.

        None where that cannot be said yet: the connection waits in `room`, and is told to
        `judge_again`.
        """
        headers = (
            (name.lower().encode("latin-1", "replace"), value.encode("latin-1", "replace"))
            for name, value in request.headers.raw_items()
        )
        try:
            return None, self._check(user, request.path, headers)
        except TokenRefusedError as error:
            unknown = isinstance(error, UnknownKeyError)
            if unknown and self.room.hold(connection, request.serialize(), self.jwks.ask):
                return None
            return self._refusal(error), math.inf

    async def prepare(self) -> None:
        """Fetch the key set before the first client comes; a fetch is limited in time."""
        if self.jwks.missing:
            await self.jwks.refresh()

    def health(self) -> Health:
        """Tell the mode, where the keys are from, and what is not as it should be."""
        auth = self._live.current.websocket.auth
        if auth.mode == "none":
            return Health(Status.UP, {"mode": "none", "warnings": [_NOBODY_KNOWS]})
        details: dict[str, Any] = {"mode": auth.mode, "configuredKeys": len(auth.jwt.keys)}
        warnings = []
        jwks = self.jwks
        if auth.jwt.jwks_url:
            age = None if jwks.fetched_at is None else round(self._clock() - jwks.fetched_at)
            details["jwks"] = {"url": auth.jwt.jwks_url, "keys": len(jwks.keys), "ageSeconds": age}
            if jwks.failure:
                warnings.append(f"websocket.auth.jwt.jwks-url: {jwks.failure}")
            if auth.jwt.jwks_url.startswith("http:"):
                warnings.append("websocket.auth.jwt.jwks-url is not https: its keys can be forged")
        if warnings:
            details["warnings"] = warnings
        return Health(Status.DOWN if jwks.missing else Status.UP, details)

    def _check(self, user: str, target: str, headers: Iterable[tuple[bytes, bytes]]) -> float:
        rules = self._rules
        found: dict[bytes, list[str]] = {_ORIGIN: [], _AUTHORIZATION: [], _OFFERS: []}
        for name, value in headers:
            if name in found:
                found[name].append(value.decode("latin-1"))
        if not rules.origins.allow(found[_ORIGIN]):
            text = "this origin is not allowed"
            raise TokenRefusedError("origin", text, close_codes.REFUSED)
        if rules.tokens is None:
            return math.inf
        token = find_token(target, found[_AUTHORIZATION], found[_OFFERS])
        keys = (*rules.keys, *self.jwks.keys)
        return check_token(token, user, keys, rules.tokens, self._clock())

    def _refusal(self, refused: TokenRefusedError) -> Refusal:
        jwks, unknown = self.jwks, isinstance(refused, UnknownKeyError)
        missing = jwks.missing and (unknown or refused.reason == "signature")
        if missing or (unknown and (jwks.failure or jwks.fetching)):
            metrics.ADMISSIONS_REFUSED.labels("no-keys").inc()
            # Another node may have them; but where this one only lacks a new one, anyone could
            # name such a key, and have the gateway pass this node over.
            return Refusal(close_codes.DRAINING, _NO_KEYS, elsewhere=missing)
        metrics.ADMISSIONS_REFUSED.labels(refused.reason).inc()
        return Refusal(refused.code, refused.text)

    def _wanted(self) -> tuple[str, float]:
        auth = self._live.current.websocket.auth
        url = auth.jwt.jwks_url if auth.mode == "jwt" else ""
        return url, auth.jwt.jwks_refresh.total_seconds()

    def _changed(self, old: NodeSettings, new: NodeSettings) -> None:
        self._rules = self._put_in_force(new)
        if "none" == new.websocket.auth.mode != old.websocket.auth.mode:
            log.warning("%s", _NOBODY_KNOWS)
        self.jwks.stir()

    def _put_in_force(self, settings: NodeSettings) -> _Rules:
        auth, patterns = settings.websocket.auth, settings.websocket.allowed_origins
        uses_tokens = auth.mode == "jwt"
        rules = _Rules(
            Origins(patterns),
            _token_rules(auth.jwt) if uses_tokens else None,
            _keys(auth.jwt) if uses_tokens else (),
        )
        self._door.admission = self if uses_tokens or not rules.origins.any else None
        return rules


def _token_rules(jwt: JwtSection) -> TokenRules:
    return TokenRules(
        frozenset(jwt.algorithms),
        jwt.issuer,
        frozenset(jwt.audience),
        jwt.leeway.total_seconds(),
        jwt.require_exp,
    )


def _keys(jwt: JwtSection) -> tuple[VerificationKey, ...]:
    return tuple(
        public_key(key.kid, key.algorithm, key.public_key.get_secret_value())
        if key.algorithm in PUBLIC_KEY_ALGORITHMS
        else secret_key(key.kid, key.algorithm, key.secret.get_secret_value())
        for key in jwt.keys
    )

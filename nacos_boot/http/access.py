"""Who may call an app: by API key, or without any keys by the address.

Use: `Access.of(live, …)` and `access.guard(app)`. The routes then find in `quart.g` who calls:
`g.caller_address`, `g.api_key_name` (None without a key) and `g.authorized`.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
from prometheus_client import Counter
from pydantic import BaseModel
from quart import Quart, Request, Response
from quart.globals import app_ctx, request_ctx

from nacos_boot.config.live import LiveSettings
from nacos_boot.http.api_keys import ApiKeySection, KeyRing
from nacos_boot.http.guarded import GuardedQuart
from nacos_boot.http.problem import problem
from nacos_boot.http.proxies import TrustedProxies, nearby

log = logging.getLogger(__name__)

T = TypeVar("T", bound=BaseModel)

ScopeOf = Callable[[str, str], str | None]
"""Gives the scope that a method of a route asks for (`/users/<id>`); None: open to everyone."""

ACTUATOR = "actuator"
_ACTUATOR = f"/{ACTUATOR}"
_FORWARDED_FOR = b"x-forwarded-for"
_API_KEY = b"x-api-key"
_AUTHORIZATION = b"authorization"
_READ = frozenset((_FORWARDED_FOR, _API_KEY, _AUTHORIZATION))
_BEARER = b"bearer "
# What supervisors and load balancers ask, from wherever they are: a status without details.
_VEILED = frozenset(("health", "health/liveness", "health/readiness"))

REFUSED = Counter("http_calls_refused", "Calls that were refused at the door", ["status"])


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a call is not served."""

    status: int
    title: str
    detail: str
    challenge: str = ""
    """The value of WWW-Authenticate (RFC 6750, section 3)."""


# A tenth of what a frozen dataclass takes to make; one is made for each call.
class Caller(msgspec.Struct, frozen=True, gc=False):
    """Where a call comes from, and the name of its API key; `refusal` where it is not served."""

    address: str
    key_name: str | None = None
    refusal: Refusal | None = None


class Access:
    """The door of an app. `setting` is the key under which its API keys stand."""

    def __init__(self, proxies: TrustedProxies, scope_of: ScopeOf, setting: str) -> None:
        self._proxies = proxies
        self._scope_of = scope_of
        self._setting = setting
        self._ring = KeyRing()
        self._scopes: dict[tuple[str, str], str | None] = {}

    @classmethod
    def of(
        cls,
        live: LiveSettings[T],
        proxies: TrustedProxies,
        scope_of: ScopeOf,
        *,
        setting: str,
        keys: Callable[[T], Sequence[ApiKeySection]],
    ) -> "Access":
        """Follow the settings: a change of the keys counts from the next call on."""
        access = cls(proxies, scope_of, setting)

        def changed(old: T, new: T) -> None:
            if keys(old) != keys(new):
                access.use(keys(new))

        access.use(keys(live.current))
        live.subscribe(changed)
        return access

    def use(self, keys: Sequence[ApiKeySection]) -> None:
        """Take these keys, and no others, from now on."""
        self._ring = KeyRing.of(keys)
        if keys:
            log.info("API keys: %s", ", ".join(sorted({key.name for key in keys})))
        else:
            log.info(
                "no API keys: callers on loopback and private addresses are answered, no others"
                " (%s is empty)",
                self._setting,
            )

    def guard(self, app: Quart) -> None:
        """Judge each call to the app before its route is run."""
        if isinstance(app, GuardedQuart):
            app.check = self.check
            return

        async def before_request() -> Response | None:
            return self.check(request_ctx.request)

        app.before_request(before_request)

    def judge(self, scope: str, peer: str, headers: Sequence[tuple[bytes, bytes]]) -> Caller:
        """Say who calls and whether they may. Header names are in small letters."""
        read = [item for item in headers if item[0] in _READ]
        address = peer
        if read:
            told = [value.decode("latin-1") for name, value in read if name == _FORWARDED_FOR]
            if told:
                address = self._proxies.client(peer, told)
                if not self._ring and address in nearby and not self._proxies.knows(peer, told):
                    return Caller(address, None, self._behind_a_stranger(address))
        if self._ring:
            return self._by_key(scope, address, read)
        if address in nearby:
            return Caller(address)
        return Caller(address, None, self._too_far(address))

    def _by_key(self, scope: str, address: str, headers: Sequence[tuple[bytes, bytes]]) -> Caller:
        shown = _shown(headers)
        if not shown:
            detail = (
                "An API key is required, as `Authorization: Bearer` or as `X-API-Key`"
                f" ({self._setting})."
            )
            refusal = Refusal(401, "Unauthorized", detail, 'Bearer realm="api"')
            return Caller(address, None, refusal)
        holder = self._ring.holder(shown.pop()) if len(shown) == 1 else None
        if holder is None:
            detail = f"The API key is not known here ({self._setting})."
            challenge = 'Bearer realm="api", error="invalid_token"'
            return Caller(address, None, Refusal(401, "Unauthorized", detail, challenge))
        if scope in holder.scopes:
            return Caller(address, holder.name)
        detail = f"The API key '{holder.name}' has not the scope '{scope}' ({self._setting})."
        challenge = f'Bearer realm="api", error="insufficient_scope", scope="{scope}"'
        return Caller(address, holder.name, Refusal(403, "Forbidden", detail, challenge))

    def _too_far(self, address: str) -> Refusal:
        detail = (
            f"Without API keys only callers on loopback and private addresses are answered, not"
            f" {address}: set {self._setting}."
        )
        return Refusal(403, "Forbidden", detail)

    def _behind_a_stranger(self, peer: str) -> Refusal:
        detail = (
            f"The call comes through {peer}, which is not among the trusted proxies or does not say"
            f" whose it is, so where it began is not known: have it say so and add it to them, or"
            f" set {self._setting}."
        )
        return Refusal(403, "Forbidden", detail)

    def _scope(self, method: str, rule: str) -> str | None:
        if rule == _ACTUATOR or rule.startswith(f"{_ACTUATOR}/"):
            return ACTUATOR
        return self._scope_of(method, rule)

    def check(self, request: Request) -> Response | None:
        """Judge the request that is being served; gives the answer where it is refused."""
        rule = request.url_rule
        # What has no route is not found, whoever asks.
        if rule is None or request.method == "OPTIONS":
            return None
        route = (request.method, rule.rule)
        try:
            scope = self._scopes[route]
        except KeyError:
            scope = self._scopes[route] = self._scope(*route)
        if scope is None:
            return None
        asked: Any = request.scope
        client = asked["client"]
        caller = self.judge(scope, client[0] if client else "", asked["headers"])
        kept = app_ctx.g
        kept.caller_address = caller.address
        kept.api_key_name = caller.key_name
        refusal = caller.refusal
        if scope == ACTUATOR:
            kept.authorized = refusal is None
            below = (request.view_args or {}).get("path", "").strip("/")
            if below in _VEILED and request.method in {"GET", "HEAD"}:
                return None
        if refusal is None:
            return None
        REFUSED.labels(str(refusal.status)).inc()
        headers = {"WWW-Authenticate": refusal.challenge} if refusal.challenge else {}
        return problem(refusal.status, refusal.title, refusal.detail, headers=headers)


def _shown(headers: Sequence[tuple[bytes, bytes]]) -> set[bytes]:
    """Give the keys that were shown: one, unless the caller contradicts itself.

    X-API-Key counts before Authorization, which may be meant for a proxy on the way.
    """
    keys = {value.strip() for name, value in headers if name == _API_KEY}
    if keys:
        return keys
    values = {value.strip() for name, value in headers if name == _AUTHORIZATION}
    return {
        value[len(_BEARER) :].strip()
        for value in values
        if value[: len(_BEARER)].lower() == _BEARER
    }

"""The gateway's own HTTP routes, and which requests are not its own."""

import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import quote

from quart import Blueprint, Response, jsonify, request

from gateway_lb.client_body import Receive
from gateway_lb.node_tls import is_secure
from gateway_lb.pool import Member
from gateway_lb.proxy import Proxy, Scope, Send
from gateway_lb.relays import Relays
from nacos_boot.http.problem import problem

log = logging.getLogger(__name__)

NodeRecords = Callable[[Mapping[str, str]], Awaitable[Mapping[str, Mapping[str, Any]]]]
"""Gives what each node says of itself, by node id, to who has these credentials (headers).

The gateway reads `connections`.
"""
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_OWN = "/api/nodes"
_USER_ID = re.compile(r"[A-Za-z0-9._@:+~-]{1,128}")
_CREDENTIALS = ("Authorization", "X-API-Key")
_DOTS = frozenset((".", ".."))


def front(own: App, proxy: Proxy) -> App:
    """Join the gateway's own routes and the proxy: what uvicorn serves.

    `own` also gets the lifespan, and every path that neither is.
    """

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        proxied = scope["type"] == "http" and is_proxied(scope["path"])
        await (proxy if proxied else own)(scope, receive, send)

    return app


def is_proxied(path: str) -> bool:
    """Tell whether a path, percent-decoded, belongs to the nodes.

    Dot segments are never passed on: a node might resolve them to a path outside its API.
    """
    if path == "/openapi.json":
        return True
    return path.startswith("/api/") and path != _OWN and _DOTS.isdisjoint(path.split("/"))


def routes(relays: Relays, records: NodeRecords) -> Blueprint:
    """Build the routes `/api/nodes` and `/discover/{userId}`."""
    blueprint = Blueprint("gateway", __name__)

    @blueprint.get(_OWN)
    async def nodes() -> Response:
        try:
            known = await records(_credentials())
        except Exception:  # whatever keeps the records away, Nacos's part is there
            log.warning("the node records cannot be read", exc_info=True)
            known = {}
        now = relays.clock()
        return jsonify({"nodes": [_describe(member, known, now) for member in relays.pool.members]})

    @blueprint.get("/discover/<path:user>")
    async def discover(user: str) -> Response:
        if not _USER_ID.fullmatch(user):
            detail = "expected 1 to 128 characters of A-Z a-z 0-9 . _ @ : + ~ -"
            errors = [{"field": "userId", "message": detail}]
            return problem(400, "Bad Request", f"The user id is not valid: {detail}.", errors)
        candidates = relays.pool.candidates(relays.clock())
        if not candidates:
            return problem(
                503, "Service Unavailable", "No node is alive.", headers={"Retry-After": "2"}
            )
        member = relays.chooser.choose(relays.settings.strategy, candidates, user)
        url = f"{public_url(member)}/websocket/{quote(user, safe='')}"
        return jsonify({"userId": user, "nodeId": _node_id(member), "url": url})

    return blueprint


def public_url(member: Member) -> str:
    """Give the address under which clients reach a node directly, without a slash at its end."""
    metadata = member.instance.metadata
    scheme = "wss" if is_secure(member.instance) else "ws"
    own = f"{scheme}://{member.instance.address}"
    return (metadata.get("websocket.node.public-url") or own).rstrip("/")


def _describe(
    member: Member, known: Mapping[str, Mapping[str, Any]], now: float
) -> Mapping[str, Any]:
    instance, node_id = member.instance, _node_id(member)
    return {
        "nodeId": node_id,
        "address": instance.address,
        "healthy": instance.healthy,
        "enabled": instance.enabled,
        "weight": instance.weight,
        "version": instance.metadata.get("version"),
        "configMd5": instance.metadata.get("nacos.config.md5"),
        "connections": known.get(node_id or "", {}).get("connections"),
        "openRelays": member.open,
        "setAsideSeconds": round(max(0.0, member.set_aside_until - now), 1),
    }


def _credentials() -> Mapping[str, str]:
    """Give the caller's own: the gateway has none at the nodes."""
    return {name: request.headers[name] for name in _CREDENTIALS if name in request.headers}


def _node_id(member: Member) -> str | None:
    return member.instance.metadata.get("websocket.node-id")

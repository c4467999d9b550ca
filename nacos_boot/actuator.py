"""The actuator endpoints, in Spring Boot's shapes and content type."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, REGISTRY, generate_latest
from quart import Blueprint, Response, request

from nacos_boot.health import HealthRegistry, Status

ACTUATOR_TYPE = "application/vnd.spring-boot.actuator.v3+json"

_HTTP_STATUS = {Status.DOWN: 503, Status.OUT_OF_SERVICE: 503}


def actuator(
    health: HealthRegistry,
    info: Callable[[], Mapping[str, Any]],
    endpoints: Mapping[str, Callable[[], Mapping[str, Any]]],
) -> Blueprint:
    """Build the `/actuator` routes.

    `info` gives the body of `/actuator/info`; `endpoints` are further read-only ones by name.
    """
    blueprint = Blueprint("actuator", __name__, url_prefix="/actuator")

    @blueprint.get("", strict_slashes=False)
    async def index() -> Response:
        base = f"{request.scheme}://{request.host}/actuator"
        names = ["health", "info", "prometheus", *endpoints]
        links = {name: {"href": f"{base}/{name}", "templated": False} for name in names}
        links["health-path"] = {"href": f"{base}/health/{{*path}}", "templated": True}
        links["self"] = {"href": base, "templated": False}
        return _answer({"_links": links})

    @blueprint.get("/health")
    async def everything() -> Response:
        return _health(*health.everything())

    @blueprint.get("/health/liveness")
    async def liveness() -> Response:
        return _health(*health.liveness())

    @blueprint.get("/health/readiness")
    async def readiness() -> Response:
        return _health(*health.readiness())

    @blueprint.get("/health/<name>")
    async def component(name: str) -> Response:
        found = health.component(name)
        return _health(*found) if found else _not_found()

    @blueprint.get("/info")
    async def program() -> Response:
        return _answer(info())

    @blueprint.get("/prometheus")
    async def prometheus() -> Response:
        return Response(generate_latest(REGISTRY), content_type=CONTENT_TYPE_PLAIN_0_0_4)

    @blueprint.get("/<name>")
    async def endpoint(name: str) -> Response:
        return _answer(endpoints[name]()) if name in endpoints else _not_found()

    return blueprint


def _health(status: Status, body: Mapping[str, Any]) -> Response:
    return _answer(body, _HTTP_STATUS.get(status, 200))


def _not_found() -> Response:
    return _answer({"status": 404, "error": "Not Found"}, 404)


def _answer(body: Mapping[str, Any], status: int = 200) -> Response:
    return Response(msgspec.json.encode(body), status, content_type=ACTUATOR_TYPE)

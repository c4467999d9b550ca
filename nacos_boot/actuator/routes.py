"""The actuator: the routes of all endpoints, in Spring Boot's shapes and content types.

Source: Spring Boot 3.5, "Actuator REST API"; its content type is what Spring Boot Admin asks for.
"""

import inspect
import logging
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

import msgspec
from quart import Blueprint, Response, g, request
from werkzeug.exceptions import HTTPException

from nacos_boot.actuator.endpoint import (
    Answer,
    Call,
    CallError,
    Endpoint,
    Handler,
    UnsupportedTypeError,
)

log = logging.getLogger(__name__)

ACTUATOR_TYPE = "application/vnd.spring-boot.actuator.v3+json"
_V2_TYPE = "application/vnd.spring-boot.actuator.v2+json"
_JSON = "application/json"
_TYPES = (ACTUATOR_TYPE, _V2_TYPE, _JSON)
# Errors are Spring Boot's, not the actuator's: unasked, they are plain JSON.
_ERROR_TYPES = (_JSON, ACTUATOR_TYPE, _V2_TYPE)
_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


def actuator(endpoints: Iterable[Endpoint]) -> Blueprint:
    """Build the `/actuator` routes; of two endpoints with one name the later counts."""
    blueprint = Blueprint("actuator", __name__, url_prefix="/actuator")
    by_name = {endpoint.name: endpoint for endpoint in endpoints}

    def index(_: Call) -> Answer:
        base = f"{request.scheme}://{request.host}/actuator"
        links = {"self": {"href": base, "templated": False}}
        for endpoint in by_name.values():
            links |= endpoint.links(base)
        return Answer({"_links": links})

    @blueprint.errorhandler(Exception)
    async def failed(error: Exception) -> Response:
        # Whatever is wrong with one endpoint, a caller gets an answer and the log the reason.
        if isinstance(error, HTTPException):
            return _error(error.code or 500, error.description or "")
        log.error("the endpoint %s failed", request.path, exc_info=error)
        return _error(500)

    @blueprint.route("", methods=_METHODS, strict_slashes=False, provide_automatic_options=False)
    async def top() -> Response:
        return await _answered({"GET": index}, "")

    @blueprint.route("/<path:path>", methods=_METHODS, provide_automatic_options=False)
    async def below(path: str) -> Response:
        name, _, rest = path.strip("/").partition("/")
        handlers = by_name[name].handlers(rest) if name in by_name else {}
        return await _answered(handlers, rest)

    return blueprint


async def _answered(handlers: dict[str, Handler], rest: str) -> Response:
    if not handlers:
        return _error(404)
    allowed = {*handlers, "OPTIONS", *({"HEAD"} if "GET" in handlers else ())}
    allow = {"allow": ",".join(method for method in _METHODS if method in allowed)}
    if request.method not in allowed:
        return _error(405, headers=allow)
    if request.method == "OPTIONS":
        return _empty(200, allow)
    handler = handlers["GET" if request.method == "HEAD" else request.method]
    try:
        return _response(await _called(handler, rest))
    except CallError as error:
        return _error(error.status, str(error))


async def _called(handler: Handler, rest: str) -> Answer:
    query = dict(request.args.lists())
    authorized: bool = g.get("authorized", True)
    accept = request.headers.get("accept", "")
    answer = handler(Call(rest, query, await _body(), accept, authorized))
    return await answer if inspect.isawaitable(answer) else answer


async def _body() -> Any:
    if request.method not in {"POST", "PUT", "PATCH"}:
        return None
    data = await request.get_data(as_text=False)
    if not data.strip():
        return None
    if request.mimetype not in _TYPES:
        raise UnsupportedTypeError("expected a body of the content type application/json")
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CallError(f"the body is not JSON: {error}") from error


def _response(answer: Answer) -> Response:
    if answer.body is None:
        return _empty(204)
    if answer.content_type:
        return Response(answer.body, answer.status, content_type=answer.content_type)
    wanted = _wanted(_TYPES)
    if wanted is None:
        return _error(406, f"expected to be asked for {' or '.join(_TYPES)}")
    body = answer.v2 if wanted == _V2_TYPE and answer.v2 is not None else answer.body
    return Response(msgspec.json.encode(body), answer.status, content_type=wanted)


def _empty(status: int, headers: dict[str, str] | None = None) -> Response:
    response = Response(b"", status, headers=headers)
    del response.headers["content-type"]
    return response


def _wanted(types: Sequence[str]) -> str | None:
    accept = request.accept_mimetypes
    return accept.best_match(types) if accept else types[0]


def _error(status: int, message: str = "", headers: dict[str, str] | None = None) -> Response:
    """Write an error as Spring Boot does, with a message where there is something to say."""
    body = {
        "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "status": status,
        "error": HTTPStatus(status).phrase,
        "path": request.path,
    }
    if message:
        body["message"] = message
    wanted = _wanted(_ERROR_TYPES) or _JSON
    return Response(msgspec.json.encode(body), status, headers=headers, content_type=wanted)

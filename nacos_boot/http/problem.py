"""Errors as problem documents (RFC 9457)."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from quart import Quart, Response
from werkzeug.exceptions import HTTPException

PROBLEM_TYPE = "application/problem+json"


def problem(
    status: int,
    title: str,
    detail: str,
    errors: Sequence[Mapping[str, Any]] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Build an error response; each of `errors` is `{"field", "message"}`."""
    body = problem_json(status, title, detail, errors)
    response = Response(body, status, content_type=PROBLEM_TYPE)
    response.headers.update(headers or {})
    return response


def problem_json(
    status: int, title: str, detail: str, errors: Sequence[Mapping[str, Any]] | None = None
) -> bytes:
    """Write the document itself, for answers that are given below the HTTP routes."""
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": title,
        "status": status,
        "detail": detail,
    }
    if errors is not None:
        body["errors"] = list(errors)
    return msgspec.json.encode(body)


def use_problems(app: Quart) -> None:
    """Have every error of an app leave as a problem document, HTTP errors and bugs alike."""

    async def http_error(error: HTTPException) -> Response:
        status = error.code or 500
        headers = {
            name: value
            for name, value in error.get_headers()
            if name.lower() in {"allow", "retry-after"}
        }
        return problem(status, error.name, error.description or "", headers=headers)

    async def bug(error: Exception) -> Response:
        app.logger.error("a request failed", exc_info=error)
        return problem(500, "Internal Server Error", "The request failed; the log says why.")

    app.register_error_handler(HTTPException, http_error)
    app.register_error_handler(Exception, bug)

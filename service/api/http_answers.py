"""Answers of the HTTP API."""

from typing import Any

import msgspec
from quart import Response

from nacos_boot.http.problem import problem
from service import metrics

_RETRY_AFTER = {"Retry-After": "1"}


def json_answer(body: Any, status: int = 200) -> Response:
    """Answer with a document."""
    response = Response(msgspec.json.encode(body), status, content_type="application/json")
    # It goes out in one write. Quart's limit of time for sending would be one more task.
    response.timeout = None
    return response


def bad_request(field: str, message: str, limit: str = "") -> Response:
    """Answer 400, for a field of the request; empty for the whole of it.

    Where it is more than a `limit` under `websocket.limits` allows, count that and answer 413.
    """
    status, title = 400, "Bad Request"
    if limit:
        metrics.LIMITED.labels(limit).inc()
        status, title = 413, "Content Too Large"
        message = f"{message} (websocket.limits.{limit})"
    return problem(
        status,
        title,
        f"{field}: {message}" if field else message,
        errors=[{"field": field, "message": message}],
    )


def unavailable(error: Exception) -> Response:
    """Answer 503, for a server that is away."""
    return problem(503, "Service Unavailable", str(error), headers=_RETRY_AFTER)

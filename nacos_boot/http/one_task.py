"""A Quart request in one task, where Quart takes four."""

import asyncio
from typing import TYPE_CHECKING, Any

from quart.asgi import ASGIHTTPConnection

from nacos_boot.http.problem import PROBLEM_TYPE, problem_json

if TYPE_CHECKING:
    from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable


class OneTaskConnection(ASGIHTTPConnection):
    """Handles a request whose body is there in the task that uvicorn has made for it.

    Use: `app.asgi_http_class = OneTaskConnection`. Quart has a task that reads the body and watches
    for the client to leave, one for the handler, and one for each of the two limits of time: 30 µs
    of the 130 that an empty request costs. With the whole body there, as nearly always, there is
    nothing to read and no limit to watch. What differs is that a client who leaves does not cancel
    the handler. A request that is still being handled when the server ends is answered 503.
    """

    async def __call__(self, receive: "ASGIReceiveCallable", send: "ASGISendCallable") -> None:
        """Handle one request."""
        # uvicorn's `receive` is a method of the request, which knows whether more is to come.
        if getattr(getattr(receive, "__self__", None), "more_body", True):
            await super().__call__(receive, send)
            return
        message = await receive()
        if message["type"] != "http.request":
            # The client has gone already.
            return
        request = self._create_request_from_scope(send)
        request.body.append(message["body"])
        request.body.set_complete()
        request.body_timeout = None
        try:
            await self.handle_request(request, send)
        except asyncio.CancelledError:
            # Only the server's end cancels the task; uvicorn would answer 500.
            if not getattr(getattr(receive, "__self__", None), "response_started", True):
                await _refuse(send)


async def _refuse(send: Any) -> None:
    detail = "This server is ending, and has not finished the request."
    body = problem_json(503, "Service Unavailable", detail)
    headers = [
        (b"content-type", PROBLEM_TYPE.encode()),
        (b"content-length", b"%d" % len(body)),
        (b"retry-after", b"1"),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": body})

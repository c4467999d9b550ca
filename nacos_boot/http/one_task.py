"""A Quart request in one task, where Quart takes four."""

from typing import TYPE_CHECKING

from quart.asgi import ASGIHTTPConnection

if TYPE_CHECKING:
    from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable


class OneTaskConnection(ASGIHTTPConnection):
    """Handles a request whose body is there in the task that uvicorn has made for it.

    Use: `app.asgi_http_class = OneTaskConnection`. Quart has a task that reads the body and watches
    for the client to leave, one for the handler, and one for each of the two limits of time: 30 µs
    of the 130 that an empty request costs. With the whole body there, as nearly always, there is
    nothing to read and no limit to watch. What differs is that a client who leaves does not cancel
    the handler.
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
        await self.handle_request(request, send)

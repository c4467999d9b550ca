"""An API request, as uvicorn hands it over."""

from typing import TYPE_CHECKING

from quart.asgi import ASGIHTTPConnection

from nacos_boot.http.one_task import OneTaskConnection

if TYPE_CHECKING:
    from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable


class ApiConnection(OneTaskConnection):
    """Handles a request in one task, but for one that waits for a delivery report.

    That one is watched by Quart for the client to leave, which ends it.
    """

    async def __call__(self, receive: "ASGIReceiveCallable", send: "ASGISendCallable") -> None:
        """Handle one request."""
        if b"wait=" in self.scope["query_string"]:
            await ASGIHTTPConnection.__call__(self, receive, send)
        else:
            await super().__call__(receive, send)

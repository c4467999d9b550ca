"""The body of a client's request as a stream, and a watch over the exchange it belongs to."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from enum import Enum
from typing import Any

from gateway_lb.headers import Headers

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class Stopped(Enum):
    """Why an exchange cannot go on."""

    CLIENT_LEFT = "the client has left"
    CLIENT_SILENT = "the client stopped sending in the middle of its request"
    NODE_SILENT = "the node stopped reading in the middle of the request"


class ClientBody:
    """Reads a request's body (ASGI) no faster than the node takes it."""

    def __init__(self, headers: Headers, receive: Receive, silence: float) -> None:
        """`silence`: seconds for which neither side may hold up the body."""
        fields = dict(headers)
        length = fields.get(b"content-length", b"0")
        self.present = b"transfer-encoding" in fields or length.strip(b" \t0") != b""
        self.begun = False
        """Whether anything has been read, so that the request can't be sent a second time."""
        self.stopped: Stopped | None = None
        self._receive = receive
        self._silence = silence
        self._complete = asyncio.Event()
        self._with_node_since: float | None = None
        if not self.present:
            self._complete.set()

    async def pieces(self) -> AsyncIterator[bytes]:
        """Give the body as it comes. Raises ConnectionError when there will be no more."""
        self.begun = True
        clock = asyncio.get_running_loop().time
        more = True
        while more:
            try:
                async with asyncio.timeout(self._silence):
                    message = await self._receive()
            except TimeoutError:
                raise self._stop(Stopped.CLIENT_SILENT) from None
            if message["type"] == "http.disconnect":
                raise self._stop(Stopped.CLIENT_LEFT)
            more = message.get("more_body", False)
            if piece := message.get("body", b""):
                self._with_node_since = clock()
                yield piece
                self._with_node_since = None
        self._complete.set()

    async def watch(self, exchange: asyncio.Task[Any]) -> None:
        """Cancel `exchange` when the client leaves behind its request, or the node hangs in it."""
        clock = asyncio.get_running_loop().time
        while not self._complete.is_set():
            try:
                async with asyncio.timeout(self._silence):
                    await self._complete.wait()
            except TimeoutError:
                since = self._with_node_since
                if since is not None and clock() - since >= self._silence:
                    self._stop(Stopped.NODE_SILENT)
                    exchange.cancel()
                    return
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._stop(Stopped.CLIENT_LEFT)
        exchange.cancel()

    def _stop(self, why: Stopped) -> ConnectionError:
        self.stopped = why
        return ConnectionError(why.value)

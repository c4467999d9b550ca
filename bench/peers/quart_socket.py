"""Quart's own WebSocket, on uvicorn or on hypercorn: `... PORT [uvicorn | hypercorn]`.

`/broadcast/...` is the pattern of its documentation: a queue per connection, a task that receives
beside the one that sends. `/accept/...` says `pong` and waits, the least that a server can do.
uvicorn and hypercorn are as they come, on uvloop (and httptools), one worker, no access log, no
compression.
"""

import asyncio
import sys
from collections.abc import AsyncIterator

import uvicorn
import uvloop
from hypercorn.asyncio import serve
from hypercorn.config import Config
from quart import Quart, websocket

from bench.peers.orders import PAYLOAD, ordered, port
from devtools.ports import LOOPBACK

_BACKLOG = 4096


class Broker:
    """Every connection's queue."""

    def __init__(self) -> None:
        self._queues: set[asyncio.Queue[str]] = set()

    async def publish(self, text: str) -> None:
        """Put a text into every queue."""
        for queue in self._queues:
            await queue.put(text)

    async def subscribe(self) -> AsyncIterator[str]:
        """Give what is published from now on."""
        queue: asyncio.Queue[str] = asyncio.Queue()
        self._queues.add(queue)
        try:
            while True:
                yield await queue.get()
        finally:
            self._queues.remove(queue)


app = Quart(__name__)
_broker = Broker()


async def _receive() -> None:
    while True:
        for _ in range(ordered(await websocket.receive())):
            await _broker.publish(PAYLOAD)


@app.websocket("/broadcast/<user>")
async def _broadcast(user: str) -> None:  # noqa: ARG001 - the route's
    task = asyncio.ensure_future(_receive())
    try:
        async for text in _broker.subscribe():
            await websocket.send(text)
    finally:
        task.cancel()
        await task


@app.websocket("/accept/<user>")
async def _accept(user: str) -> None:  # noqa: ARG001 - the route's
    await websocket.send("pong")
    while True:
        await websocket.receive()


def _on_hypercorn() -> None:
    config = Config()
    config.bind = [f"{LOOPBACK}:{port()}"]
    config.backlog = _BACKLOG
    uvloop.run(serve(app, config))


def main() -> None:
    """Serve until killed."""
    if sys.argv[2:] == ["hypercorn"]:
        _on_hypercorn()
    else:
        uvicorn.run(
            app,
            host=LOOPBACK,
            port=port(),
            backlog=_BACKLOG,
            log_level="warning",
            access_log=False,
            ws_per_message_deflate=False,
        )


if __name__ == "__main__":
    main()

"""A gateway written the obvious way: `quart_relay PORT BACKEND`, frame by frame.

Quart's websocket on uvicorn faces the clients, a client of `websockets` faces the backend, and two
loops pass messages on. Compression is off, as it is in every relay that it is compared with.
"""

import asyncio
import sys

import uvicorn
from quart import Quart, websocket
from websockets.asyncio.client import ClientConnection, connect

from bench.peers.orders import port
from devtools.ports import LOOPBACK


def app(backend: int) -> Quart:
    """Build the app."""
    relay = Quart(__name__)

    @relay.websocket("/<path:path>")
    async def pass_on(path: str) -> None:
        async with connect(f"ws://{LOOPBACK}:{backend}/{path}", compression=None) as node:
            await websocket.accept()
            both = [asyncio.ensure_future(way(node)) for way in (_up, _down)]
            try:
                await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in both:
                    way.cancel()

    return relay


async def _up(node: ClientConnection) -> None:
    while True:
        await node.send(await websocket.receive())


async def _down(node: ClientConnection) -> None:
    async for message in node:
        await websocket.send(message)


if __name__ == "__main__":
    uvicorn.run(
        app(int(sys.argv[2])),
        host=LOOPBACK,
        port=port(),
        loop="uvloop",
        http="httptools",
        ws_per_message_deflate=False,
        log_level="warning",
    )

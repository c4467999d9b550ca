"""python-socketio's AsyncServer on uvicorn, `emit` to everyone.

uvicorn runs on uvloop and httptools, without compression and access log; all else is the default of
both, Socket.IO's pings among it.
"""

import socketio
import uvicorn

from bench.peers.orders import PAYLOAD, ordered, port
from devtools.ports import LOOPBACK

_server = socketio.AsyncServer(async_mode="asgi")


async def _order(_sid: str, text: str) -> None:
    for _ in range(ordered(text)):
        await _server.emit("message", PAYLOAD)


_server.on("order", _order)


def main() -> None:
    """Serve until killed."""
    uvicorn.run(
        socketio.ASGIApp(_server),
        host=LOOPBACK,
        port=port(),
        backlog=4096,
        log_level="warning",
        access_log=False,
        ws_per_message_deflate=False,
    )


if __name__ == "__main__":
    main()

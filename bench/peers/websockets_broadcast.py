"""websockets' asyncio server and its `broadcast()`, as its documentation advises for many clients.

On uvloop, as its page on performance advises; compression is off, as its page on memory advises.
Its keepalive stays as it is by default: a ping per connection every 20 s. The payload is given as
bytes with `text=True`, which its reference names as the faster way.
"""

import asyncio

import uvloop
from websockets.asyncio.server import ServerConnection, broadcast, serve

from bench.peers.orders import PAYLOAD, ordered, port
from devtools.ports import LOOPBACK

_PAYLOAD = PAYLOAD.encode()
_connections: set[ServerConnection] = set()


async def _handle(connection: ServerConnection) -> None:
    _connections.add(connection)
    try:
        async for text in connection:
            for _ in range(ordered(text)):
                broadcast(_connections, _PAYLOAD, text=True)
    finally:
        _connections.remove(connection)


async def main() -> None:
    """Serve until killed."""
    async with serve(_handle, LOOPBACK, port(), compression=None, backlog=4096):
        await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    uvloop.run(main())

"""picows' core API on uvloop, over aiofastnet as it comes.

The payload is sent from one buffer in which picows has room for the head, its way without a copy.
Pings are off, as they are by default.
"""

import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_create_server

from bench.peers.orders import PAYLOAD, ordered, port
from devtools.ports import LOOPBACK

# Room for the longest head, which picows writes in front of the payload.
_ROOM = 14
_BUFFER = bytearray(_ROOM) + PAYLOAD.encode()
_transports: dict[WSTransport, None] = {}


class Listener(WSListener):  # type: ignore[misc]  # unknown where picows is not installed  # type: ignore[misc]  # only `./dev bench` installs picows
    """One client."""

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Join the others."""
        _transports[transport] = None

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """Leave them."""
        _transports.pop(transport, None)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Take an order."""
        if frame.msg_type != WSMsgType.TEXT:
            transport.disconnect()
            return
        for _ in range(ordered(frame.get_payload_as_utf8_text())):
            for each in _transports:
                each.send_reuse_external_bytearray(WSMsgType.TEXT, _BUFFER, _ROOM)


async def main() -> None:
    """Serve until killed."""
    server = await ws_create_server(lambda _: Listener(), LOOPBACK, port(), backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())

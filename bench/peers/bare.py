"""The limit: a Python loop of `socket.send` on sockets that do not block, and nothing else.

No event loop, no buffer, no limit, no ping; the frame is built once. Only what a client needs to
get in is there: handshakes and orders are read with `selectors`, one read each. TCP_NODELAY is on,
as it is in every server that it is compared with.
"""

import base64
import hashlib
import selectors
import socket

from bench.peers.orders import PAYLOAD, ordered, port
from devtools.ports import LOOPBACK
from service.clients.frames import text_frame

_FRAME = text_frame(PAYLOAD.encode())
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_KEY = b"sec-websocket-key:"
_READ = 4096


def _answer(head: bytes) -> bytes:
    key = next(
        line[len(_KEY) :].strip() for line in head.split(b"\r\n") if line.lower().startswith(_KEY)
    )
    accept = base64.b64encode(hashlib.sha1(key + _GUID).digest())  # noqa: S324 - RFC 6455, section 4.2.2
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )


def _text(frame: bytes) -> bytes:
    # A masked frame with a payload of at most 125 bytes (RFC 6455, section 5.2).
    mask, payload = frame[2:6], frame[6:]
    return bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload))


def _broadcast(sockets: list[socket.socket], count: int) -> None:
    frame = _FRAME
    for _ in range(count):
        for client in sockets:
            client.send(frame)


def main() -> None:
    """Serve until killed."""
    waiting = selectors.DefaultSelector()
    listener = socket.create_server((LOOPBACK, port()), backlog=4096)
    waiting.register(listener, selectors.EVENT_READ)
    # The sockets whose handshake is done, in the order of their coming.
    joined: dict[socket.socket, None] = {}
    while True:
        for key, _ in waiting.select():
            client = key.fileobj
            assert isinstance(client, socket.socket)  # noqa: S101 - what was registered above
            if client is listener:
                client, _ = listener.accept()
                client.setblocking(False)
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                waiting.register(client, selectors.EVENT_READ)
                continue
            try:
                data = client.recv(_READ)
            except ConnectionError:
                data = b""
            if not data:
                waiting.unregister(client)
                joined.pop(client, None)
                client.close()
            elif client not in joined:
                client.send(_answer(data))
                joined[client] = None
            else:
                _broadcast(list(joined), ordered(_text(data)))


if __name__ == "__main__":
    main()

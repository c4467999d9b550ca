"""A WebSocket handshake as text: the client's request checked and rewritten. Pure, no I/O."""

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha1
from urllib.parse import unquote_to_bytes

from gateway_lb.headers import Headers, to_node

PATH = b"/websocket/"
CLUSTER_V1 = b"cluster.v1"

_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.6.2
_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")  # RFC 9110, section 5.5
_TARGET = re.compile(rb"[\x21-\x7e]+")
_ABSOLUTE = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*")
_ACCEPT_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3
_KEY_LENGTH = 16
_CLOSE = 0x88
_REASON_LIMIT = 123  # RFC 6455, section 5.5: a control frame has 125 bytes at most


class NoHandshakeError(ValueError):
    """The request is no WebSocket handshake that is served here; gets this HTTP answer."""

    def __init__(self, status: int, detail: str, headers: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers


@dataclass(frozen=True, slots=True)
class Handshake:
    """A client's valid WebSocket handshake. `target` is in origin form: path and query."""

    target: bytes
    headers: Headers = field(repr=False)  # may hold credentials
    key: bytes

    @property
    def user(self) -> str:
        """The user id of the path, after percent-decoding; a node judges whether it is allowed."""
        path = self.target.partition(b"?")[0]
        return unquote_to_bytes(path.removeprefix(PATH)).decode("utf-8", "replace")

    @property
    def subprotocol(self) -> bytes | None:
        """The subprotocol to echo when the gateway answers itself: as a node chooses it."""
        offered = [
            token.strip()
            for name, value in self.headers
            if name == b"sec-websocket-protocol"
            for token in value.split(b",")
        ]
        if CLUSTER_V1 in offered:
            return CLUSTER_V1
        public = (name for name in offered if not name.lower().startswith(b"bearer."))
        return next((name for name in public if _TOKEN.fullmatch(name)), None)


def parse_handshake(data: bytes) -> Handshake:
    """Read the head of an upgrade request and check it (RFC 6455, section 4.2.1).

    The HTTP parser has seen it before, yet every name and value is checked again: whatever leaves
    this module for a node holds no control character. Raises NoHandshakeError.
    """
    head, end, _ = data.partition(b"\r\n\r\n")
    request, *lines = head.split(b"\r\n")
    parts = request.split(b" ")
    if not end or len(parts) != 3 or parts[2] != b"HTTP/1.1":  # noqa: PLR2004 - RFC 9112, 3
        raise NoHandshakeError(400, "The request line is not valid.")
    method, target, _ = parts
    headers = [_header(line) for line in lines]
    target = _ABSOLUTE.sub(b"", target, count=1) if not target.startswith(b"/") else target
    if not _TARGET.fullmatch(target) or b"#" in target:
        raise NoHandshakeError(400, "The request target is not valid.")
    if not target.startswith(PATH):
        raise NoHandshakeError(404, "WebSockets are at /websocket/{userId}.")
    if method != b"GET":
        raise NoHandshakeError(405, "A WebSocket handshake is a GET request.", [("Allow", "GET")])
    if len(_values(headers, b"host")) != 1:
        raise NoHandshakeError(400, "Exactly one Host header is required.")
    if _values(headers, b"sec-websocket-version") != [b"13"]:
        raise NoHandshakeError(
            426,
            "The only WebSocket version served is 13.",
            [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")],
        )
    keys = _values(headers, b"sec-websocket-key")
    if len(keys) != 1 or not _is_key(keys[0]):
        raise NoHandshakeError(
            400, "Exactly one Sec-WebSocket-Key of 16 bytes in Base64 is required."
        )
    return Handshake(target, headers, keys[0])


def request_to_node(handshake: Handshake, client: str, scheme: str, attempt: int) -> bytes:
    """Write the handshake as a node gets it; `attempt` counts the nodes asked, from 1."""
    lines = [b"GET " + handshake.target + b" HTTP/1.1"]
    headers = to_node(handshake.headers, client, scheme)
    headers += (
        (b"connection", b"Upgrade"),
        (b"upgrade", b"websocket"),
        (b"x-gateway-attempt", str(attempt).encode()),
    )
    # An upgrade has no body; a length would only be a way to smuggle one.
    lines += [name + b": " + value for name, value in headers if name != b"content-length"]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def accept_and_close(handshake: Handshake, code: int, reason: str) -> bytes:
    """Write an accepted handshake with a close frame behind it: how a client is refused.

    Neither browsers nor Spring Cloud Gateway would let the client see an HTTP status.
    """
    accept = base64.b64encode(sha1(handshake.key + _ACCEPT_GUID, usedforsecurity=False).digest())
    lines = [
        b"HTTP/1.1 101 Switching Protocols",
        b"connection: Upgrade",
        b"upgrade: websocket",
        b"sec-websocket-accept: " + accept,
    ]
    if handshake.subprotocol is not None:
        lines.append(b"sec-websocket-protocol: " + handshake.subprotocol)
    text = reason.encode()[:_REASON_LIMIT].decode(errors="ignore").encode()
    payload = code.to_bytes(2, "big") + text
    return b"\r\n".join(lines) + b"\r\n\r\n" + bytes((_CLOSE, len(payload))) + payload


def _header(line: bytes) -> tuple[bytes, bytes]:
    name, colon, value = line.partition(b":")
    value = value.strip(b" \t")
    if not colon or not _TOKEN.fullmatch(name) or not _VALUE.fullmatch(value):
        raise NoHandshakeError(400, "A header of the request is not valid.")
    return name.lower(), value


def _values(headers: Headers, wanted: bytes) -> list[bytes]:
    return [value for name, value in headers if name == wanted]


def _is_key(value: bytes) -> bool:
    try:
        return len(base64.b64decode(value, validate=True)) == _KEY_LENGTH
    except binascii.Error:
        return False

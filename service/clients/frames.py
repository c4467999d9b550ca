"""Frames from the server, built once per message and shared by every socket it goes to."""

import struct

import msgspec

from service.history.position import START

NO_TAIL = START.encode()
"""The end of a token for a socket of which nothing is known: it has got nothing yet."""

_TEXT = 0x81
_CLOSE = 0x88
_PING = 0x89
_PONG = 0x8A
_SHORT = 126
_MEDIUM = 65_536


def _frame(head: int, payload: bytes) -> bytes:
    # RFC 6455, section 5.2: a final, unmasked frame.
    length = len(payload)
    if length < _SHORT:
        return bytes((head, length)) + payload
    if length < _MEDIUM:
        return struct.pack("!BBH", head, 126, length) + payload
    return struct.pack("!BBQ", head, 127, length) + payload


def text_frame(payload: bytes) -> bytes:
    """Build a text frame around UTF-8 bytes."""
    return _frame(_TEXT, payload)


def ping_frame(payload: bytes = b"") -> bytes:
    """Build a ping frame; the payload is 125 bytes at most."""
    return _frame(_PING, payload)


def pong_frame(payload: bytes) -> bytes:
    """Build a pong frame, with the payload of the ping that it answers."""
    return _frame(_PONG, payload)


def close_frame(code: int, reason: str) -> bytes:
    """Build a close frame; the reason is cut to what a control frame holds (123 bytes)."""
    text = reason.encode()[:123].decode(errors="ignore").encode()
    return _frame(_CLOSE, struct.pack("!H", code) + text)


class _TokenMessage(msgspec.Struct, tag="message", tag_field="type"):
    id: str
    content: msgspec.Raw
    token: str


class _ClusterMessage(msgspec.Struct, tag="message", tag_field="type"):
    id: str
    token: str | None
    content: msgspec.Raw


_encoder = msgspec.json.Encoder()
_string_decoder = msgspec.json.Decoder(str)


class Message:
    """What a push becomes at a node: the frames of its two wire forms, each built when first asked.

    `content` is JSON text in UTF-8, as `push` has checked it.
    """

    __slots__ = ("_cluster", "_raw", "content", "id")

    pieces: tuple[bytes, bytes] | None = None
    """What stands before and behind the end of the token; None where all sockets get the same."""

    def __init__(self, push_id: str, content: bytes) -> None:
        self.id = push_id
        self.content = content
        self._raw: bytes | None = None
        self._cluster: bytes | None = None

    @property
    def raw_frame(self) -> bytes:
        """The default form: the JSON of the content, a plain string as it is."""
        if self._raw is None:
            content = self.content
            if content[:1] == b'"':
                content = _string_decoder.decode(content).encode()
            self._raw = text_frame(content)
        return self._raw

    @property
    def cluster_frame(self) -> bytes:
        """The form of the subprotocol `cluster.v1`; without history there is no token."""
        if self._cluster is None:
            message = _ClusterMessage(self.id, None, msgspec.Raw(self.content))
            self._cluster = text_frame(_encoder.encode(message))
        return self._cluster


class ToOne(Message):
    """A message of the history for one user, whose frame has a token of its own."""

    __slots__ = ("_token",)

    def __init__(self, push_id: str, content: bytes, token: str) -> None:
        super().__init__(push_id, content)
        self._token = token

    @property
    def cluster_frame(self) -> bytes:
        """The form of the subprotocol `cluster.v1`, with the token last."""
        if self._cluster is None:
            message = _TokenMessage(self.id, msgspec.Raw(self.content), self._token)
            self._cluster = text_frame(_encoder.encode(message))
        return self._cluster


class ToAll(Message):
    """A message of the history to everyone. Each user's sockets have another end of its token.

    `token` is what the tokens have in common; the ends have the length of `NO_TAIL`.
    """

    __slots__ = ("pieces",)

    def __init__(self, push_id: str, content: bytes, token: str) -> None:
        super().__init__(push_id, content)
        message = _TokenMessage(push_id, msgspec.Raw(content), f"{token}{NO_TAIL.decode()}")
        before, _, behind = text_frame(_encoder.encode(message)).rpartition(NO_TAIL)
        self.pieces = (before, behind)


def token_frame(kind: str, token: str) -> bytes:
    """Build what a resume is answered with: `resumed` or `reset`, and where the client is now."""
    return text_frame(b'{"type":"%s","token":"%s"}' % (kind.encode(), token.encode()))


PONG = text_frame(b"pong")
RESET = text_frame(b'{"type":"reset"}')
PING = ping_frame()

"""The AMQP frames of the hot path, as bytes (AMQP 0-9-1, sections 2.3.5 and 4.2). Pure.

The client's codec goes through each field of each frame by name, which costs a message 20 µs of CPU
time where these cost 3. Everything that is sent rarely is left to it, and tests hold what stands
here to what it reads and writes.
"""

import struct
from functools import lru_cache

import pamqp.frame
from pamqp import commands
from pamqp.header import ContentHeader

METHOD, HEADER, BODY = 1, 2, 3
HEAD_SIZE = 7
"""Bytes of a frame before its payload; one more is behind it."""

DELIVER = commands.Basic.Deliver.index
RETURN = commands.Basic.Return.index
ACK = commands.Basic.Ack.index
NACK = commands.Basic.Nack.index

BLOCKED = commands.Connection.Blocked.index
UNBLOCKED = commands.Connection.Unblocked.index

HEARTBEAT_FRAME = b"\x08\0\0\0\0\0\0\xce"

MAX_FRAME = 16_777_216
"""Bytes of a frame's payload. RabbitMQ's own limit is 131,072 unless it is configured otherwise."""

_KINDS = frozenset((METHOD, HEADER, BODY, 8))
_END = 0xCE
_BASIC = commands.Basic.frame_id

_HEAD = struct.Struct(">BHI")
_CONTENT_HEAD = struct.Struct(">BHIHxxQ")
_ACK = struct.Struct(">BHIIQBB")
_TAG = struct.Struct(">QB")
_LONG = struct.Struct(">I")
_NUMBER = struct.Struct(">q")
_SIZE_AND_FLAGS = struct.Struct(">4xQH")

# Flags of the properties that stand before the message id, in their order.
_CONTENT_TYPE, _ENCODING, _HEADERS = 0x8000, 0x4000, 0x2000
_DELIVERY_MODE, _PRIORITY = 0x1000, 0x0800
_SHORT_TEXTS = (0x0400, 0x0200, 0x0100)
_MESSAGE_ID = 0x0080


class NoFrameError(ValueError):
    """What is there is no frame: no AMQP, or not of this version."""


def frame_at(data: bytes, place: int) -> tuple[int, int, int] | None:
    """Find the frame that begins at a place: its kind, its channel, and where it ends.

    None while some of it is missing. Raises NoFrameError.
    """
    if len(data) - place < HEAD_SIZE:
        return None
    kind, channel, size = _HEAD.unpack_from(data, place)
    if kind not in _KINDS or size > MAX_FRAME:
        raise NoFrameError
    end = place + HEAD_SIZE + size + 1
    if end > len(data):
        return None
    if data[end - 1] != _END:
        raise NoFrameError
    return kind, channel, end


def read_index(method: bytes) -> int:
    """Read which method a method frame's payload holds."""
    return int(_LONG.unpack_from(method)[0])


def read_body_size(header: bytes) -> int:
    """Read the size of the body from a content header's payload."""
    return int(_SIZE_AND_FLAGS.unpack_from(header)[0])


def read_blocked(method: bytes) -> str:
    """Read the reason from a Connection.Blocked payload (an extension of RabbitMQ's)."""
    return method[5 : 5 + method[4]].decode(errors="replace")


def read_deliver(method: bytes) -> tuple[int, str]:
    """Read a Basic.Deliver payload: gives delivery tag and exchange."""
    place = 5 + method[4]
    tag, _redelivered = _TAG.unpack_from(method, place)
    place += 9
    return tag, method[place + 1 : place + 1 + method[place]].decode(errors="replace")


def read_confirm(method: bytes) -> tuple[int, bool]:
    """Read a Basic.Ack or Basic.Nack payload: gives delivery tag and `multiple`."""
    tag, bits = _TAG.unpack_from(method, 4)
    return tag, bool(bits & 1)


def read_properties(header: bytes) -> tuple[str | None, bytes]:
    """Read a content header's payload: gives the message id, and the headers table as bytes.

    Any AMQP client may have written it, and what a node needs is the body: what cannot be read
    counts as absent.
    """
    flags = _SIZE_AND_FLAGS.unpack_from(header)[1]
    table = b""
    # No property is behind a second word of flags: AMQP 0-9-1 defines fourteen.
    place = 14
    try:
        if flags & _CONTENT_TYPE:
            place += 1 + header[place]
        if flags & _ENCODING:
            place += 1 + header[place]
        if flags & _HEADERS:
            size = 4 + _LONG.unpack_from(header, place)[0]
            table = header[place : place + size]
            place += size
        place += bool(flags & _DELIVERY_MODE) + bool(flags & _PRIORITY)
        for flag in _SHORT_TEXTS:
            if flags & flag:
                place += 1 + header[place]
        if not flags & _MESSAGE_ID:
            return None, table
        text = header[place + 1 : place + 1 + header[place]]
    except (IndexError, struct.error):
        return None, table
    return text.decode(errors="replace"), table


@lru_cache(maxsize=4096)
def publish_method(channel: int, exchange: str, routing_key: str, *, mandatory: bool) -> bytes:
    """Write a Basic.Publish frame; there are few different ones, so that each is written once."""
    frame = commands.Basic.Publish(exchange=exchange, routing_key=routing_key, mandatory=mandatory)
    return pamqp.frame.marshal(frame, channel)


ANY_NUMBER = 2**63 - 1
"""Stands in a header for the number that each message has of its own. No text has its bytes."""


class Properties:
    """What all messages of one kind say of themselves, written once; the message id is each's own.

    So is the value of a header that is ANY_NUMBER here. Raises ValueError for properties behind the
    message id, which would have to follow it.
    """

    def __init__(self, properties: commands.Basic.Properties) -> None:
        properties.message_id = "?"
        frame = pamqp.frame.marshal(ContentHeader(properties=properties), 0)
        # Behind the frame's head and the class, weight and size of the content.
        before_id = frame[19:-3]
        if frame[-3:] != b"\x01?\xce":
            raise ValueError("a property behind the message id")
        self._size = 13 + len(before_id)
        self._start, found, self._before_id = before_id.partition(_NUMBER.pack(ANY_NUMBER))
        self._numbered = bool(found)

    def header(self, channel: int, message_id: bytes, body_size: int, number: int = 0) -> bytes:
        """Write the content header frame of one message; an id of 255 bytes at most."""
        return b"".join(
            (
                _CONTENT_HEAD.pack(
                    HEADER, channel, self._size + len(message_id), _BASIC, body_size
                ),
                self._start,
                _NUMBER.pack(number) if self._numbered else b"",
                self._before_id,
                len(message_id).to_bytes(1, "big"),
                message_id,
                b"\xce",
            )
        )


def body_frames(channel: int, body: bytes, frame_max: int) -> bytes:
    """Write a body, in as many frames as the broker's limit asks for."""
    if not body:
        return b""
    most = frame_max - HEAD_SIZE - 1
    if len(body) <= most:
        return b"".join((_HEAD.pack(BODY, channel, len(body)), body, b"\xce"))
    pieces: list[bytes] = []
    for start in range(0, len(body), most):
        piece = body[start : start + most]
        pieces += (_HEAD.pack(BODY, channel, len(piece)), piece, b"\xce")
    return b"".join(pieces)


def ack_frame(channel: int, tag: int) -> bytes:
    """Write a Basic.Ack frame that acknowledges all up to a delivery tag."""
    return _ACK.pack(METHOD, channel, 13, ACK, tag, 1, _END)

"""The Envelope: what one node sends to another through the direct exchange. Ours alone."""

from collections.abc import Sequence

import msgspec

from service.json_text import UNREADABLE, fault_of
from service.notes import Notes
from service.push import PushError


class Part(msgspec.Struct, frozen=True, omit_defaults=True):
    """One push, for the users of it that the receiving node holds."""

    id: str
    users: tuple[str, ...]
    content: msgspec.Raw
    notes: Notes | None = None


class Envelope(msgspec.Struct, frozen=True, omit_defaults=True):
    """Many pushes in one AMQP message, in the order of acceptance; and users to disconnect."""

    parts: tuple[Part, ...] = ()
    disconnect: tuple[str, ...] = ()


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Envelope)


def write_envelope(parts: Sequence[Part], disconnect: Sequence[str] = ()) -> bytes:
    """Write an envelope as JSON; contents pass through as the bytes that they are."""
    return _encoder.encode(Envelope(tuple(parts), tuple(disconnect)))


def read_envelope(body: bytes) -> Envelope:
    """Read an envelope. Raises PushError where it is none (a poison message)."""
    try:
        return _decoder.decode(body)
    except UNREADABLE as error:
        raise PushError("", f"no envelope: {fault_of(error)}") from error

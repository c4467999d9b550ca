"""The Envelope: what one node sends to another through the direct exchange. Ours alone."""

from collections.abc import Iterable, Sequence

import msgspec

from service.broker.notes import Notes
from service.broker.resending import Resend
from service.json_text import UNREADABLE, fault_of
from service.push.push import MAX_TARGETS, PushError, check_content, is_encodable
from service.push.reports import Reports


class Part(msgspec.Struct, frozen=True, omit_defaults=True):
    """One push, for the users of it that the receiving node holds."""

    id: str
    users: tuple[str, ...]
    content: msgspec.Raw
    notes: Notes | None = None


class Envelope(msgspec.Struct, frozen=True, omit_defaults=True):
    """Many pushes in one AMQP message, in the order of acceptance; and users to disconnect.

    Or what a node has to say of messages that are missing, or of pushes that it was asked about.
    """

    parts: tuple[Part, ...] = ()
    disconnect: tuple[str, ...] = ()
    resend: Resend | None = None
    reports: Reports | None = None


_MOST_USERS = 2 * MAX_TARGETS
"""A push to as many as may be, behind others that are short of filling an envelope."""

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Envelope)


def write_envelope(parts: Sequence[Part], disconnect: Sequence[str] = ()) -> bytes:
    """Write an envelope as JSON; contents pass through as the bytes that they are."""
    return _encoder.encode(Envelope(tuple(parts), tuple(disconnect)))


def write_resend(resend: Resend) -> bytes:
    """Write an envelope that asks for missing messages, or answers."""
    return _encoder.encode(Envelope(resend=resend))


def write_reports(reports: Reports) -> bytes:
    """Write an envelope that tells what became of pushes."""
    return _encoder.encode(Envelope(reports=reports))


def read_envelope(body: bytes) -> Envelope:
    """Read an envelope. Raises PushError where it is none (a poison message)."""
    try:
        envelope = _decoder.decode(body)
    except UNREADABLE as error:
        raise PushError("", f"no envelope: {fault_of(error)}") from error
    # Ours hold nothing of the kind; but nobody else is kept from publishing here.
    if not is_encodable(body):
        _check_contents(envelope.parts)
    if len(body) > MAX_TARGETS and sum([len(part.users) for part in envelope.parts]) > _MOST_USERS:
        raise PushError("parts", f"more than {_MOST_USERS} users")
    return envelope


def _check_contents(parts: Iterable[Part]) -> None:
    for index, part in enumerate(parts):
        try:
            check_content(bytes(part.content))
        except PushError as error:
            raise PushError(f"parts[{index}].content", error.message) from error

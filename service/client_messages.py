"""What clients say: `ping`, and in the form `cluster.v1` also `ack` and `resume`."""

import msgspec

from service import metrics
from service.frames import PONG, RESET
from service.json_text import UNREADABLE


class _ClientMessage(msgspec.Struct):
    type: str = ""


_decoder = msgspec.json.Decoder(_ClientMessage)


class NotTextError(ValueError):
    """A text message is not UTF-8, which fails the connection with 1007 (RFC 6455, 8.1)."""


def answer_to(message: bytes, *, cluster_form: bool) -> bytes | None:
    """Give the frames that answer a text message; what is not known is counted.

    Raises NotTextError.
    """
    if message == b"ping":
        return PONG
    try:
        message.decode()
    except UnicodeDecodeError as error:
        raise NotTextError("a text message is not UTF-8") from error
    if cluster_form:
        try:
            kind = _decoder.decode(message).type
        except UNREADABLE:
            kind = ""
        if kind == "resume":
            # Nothing is kept for a return: what was missed is not known.
            return RESET
        if kind == "ack":
            return None
    metrics.CLIENT_MESSAGES_IGNORED.inc()
    return None

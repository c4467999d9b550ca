"""What clients say: `ping`, and in the form `cluster.v1` also `ack` and `resume`."""

from typing import Any, Protocol

import msgspec

from service import metrics
from service.clients.frames import PONG, RESET
from service.json_text import UNREADABLE


class _ClientMessage(msgspec.Struct):
    type: str = ""
    token: Any = None
    id: Any = None


class Returning(Protocol):
    """A client whose messages are kept for its return."""

    def resume(self, token: str | None) -> None:
        """Take its wish to get what it has missed."""

    def acknowledge(self, push_id: str) -> None:
        """Take its word that it has a push."""


_NOTHING = _ClientMessage()
_decoder = msgspec.json.Decoder(_ClientMessage)


class NotTextError(ValueError):
    """A text message is not UTF-8, which fails the connection with 1007 (RFC 6455, 8.1)."""


def answer_to(
    message: bytes, *, cluster_form: bool, history: Returning | None = None
) -> bytes | None:
    """Give the frames that answer a text message; what is not known is counted.

    What `history` is given is answered by it. Raises NotTextError.
    """
    if message == b"ping":
        return PONG
    try:
        message.decode()
    except UnicodeDecodeError as error:
        raise NotTextError("a text message is not UTF-8") from error
    if cluster_form:
        try:
            said = _decoder.decode(message)
        except UNREADABLE:
            said = _NOTHING
        if said.type == "resume":
            if history is None:
                # Nothing is kept for a return: what was missed is not known.
                return RESET
            # What is no token is answered as one that says nothing.
            history.resume(said.token if isinstance(said.token, str | None) else "")
            return None
        if said.type == "ack":
            if history is not None and isinstance(said.id, str):
                history.acknowledge(said.id)
            return None
    metrics.CLIENT_MESSAGES_IGNORED.inc()
    return None

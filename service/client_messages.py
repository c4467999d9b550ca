"""What clients say: `ping`, and in the form `cluster.v1` also `ack` and `resume`."""

import msgspec
from websockets.frames import Frame, Opcode

from service import metrics
from service.frames import PONG, RESET
from service.json_text import UNREADABLE


class _ClientMessage(msgspec.Struct):
    type: str = ""


_decoder = msgspec.json.Decoder(_ClientMessage)


class NotTextError(ValueError):
    """A text message is not UTF-8, which fails the connection with 1007 (RFC 6455, 8.1)."""


class ClientMessages:
    """Puts fragments together and answers what is known; the rest is ignored and counted."""

    __slots__ = ("_fragments", "_opcode", "cluster_form")

    def __init__(self, *, cluster_form: bool) -> None:
        self.cluster_form = cluster_form
        self._opcode = Opcode.TEXT
        self._fragments: list[bytes] = []

    def take(self, frame: Frame) -> bytes | None:
        """Take a data frame; gives the frames to answer with. Raises NotTextError."""
        if frame.opcode is not Opcode.CONT:
            self._opcode = frame.opcode
        if not frame.fin or self._fragments:
            # Empty ones are no part of the size limit: the first is kept as the mark of a message.
            if frame.data or not self._fragments:
                self._fragments.append(bytes(frame.data))
            if not frame.fin:
                return None
            message = b"".join(self._fragments)
            self._fragments.clear()
        else:
            message = bytes(frame.data)
        if self._opcode is not Opcode.TEXT:
            metrics.CLIENT_MESSAGES_IGNORED.inc()
            return None
        return self._answer(message)

    def _answer(self, message: bytes) -> bytes | None:
        if message == b"ping":
            return PONG
        try:
            message.decode()
        except UnicodeDecodeError as error:
            raise NotTextError("a text message is not UTF-8") from error
        if self.cluster_form:
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

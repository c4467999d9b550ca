"""The Reader: the websockets library's protocol for one client, and the message it is amid."""

from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Request, Response
from websockets.server import ServerProtocol

_LONG = 126
_LONGER = 65_536


class Reader:
    """Reads a client's handshake, and those of its frames that are not short and whole.

    `farewell` is the number of bytes that may wait for a client that was told to go.
    """

    __slots__ = ("_fragments", "_opcode", "_unread", "farewell", "protocol")

    def __init__(self, protocol: ServerProtocol) -> None:
        self.protocol = protocol
        self.farewell = 0
        self._unread = 0
        self._opcode = Opcode.TEXT
        self._fragments: list[bytes] = []

    def read(self, data: bytes) -> list[Request | Response | Frame]:
        """Read on; gives what is whole."""
        self._unread += len(data)
        self.protocol.receive_data(data)
        return self.protocol.events_received()

    def take(self, frame: Frame) -> tuple[Opcode, bytes] | None:
        """Take a frame that was read; gives the message that it ends, or all it is."""
        self._unread -= _size(len(frame.data))
        if frame.opcode not in {Opcode.TEXT, Opcode.BINARY, Opcode.CONT}:
            return None
        if frame.opcode is not Opcode.CONT:
            self._opcode = frame.opcode
        if frame.fin and not self._fragments:
            return self._opcode, bytes(frame.data)
        # Empty ones are no part of the size limit: the first is kept as the mark of a message.
        if frame.data or not self._fragments:
            self._fragments.append(bytes(frame.data))
        if not frame.fin:
            return None
        message = b"".join(self._fragments)
        self._fragments.clear()
        return self._opcode, message

    @property
    def was_too_much(self) -> bool:
        """Whether a message was longer than it may be."""
        told = self.protocol.close_sent
        return told is not None and told.code == CloseCode.MESSAGE_TOO_BIG

    @property
    def between_messages(self) -> bool:
        """Whether all that was read were whole messages, so that a new Reader does as well."""
        return not self._unread and not self._fragments


def _size(length: int) -> int:
    # RFC 6455, section 5.2. A client that writes a length in a longer form than it must is taken
    # for one in the middle of a frame, and keeps its Reader.
    if length < _LONG:
        return 6 + length
    return (8 if length < _LONGER else 14) + length

"""The Backlog: what waits for a client that reads slowly, as whole messages. Pure.

A transport takes bytes and never gives any back, so what may be dropped later is kept here. Pieces
are the frames of one write, often shared by all sockets that wait; they are not copied.
"""

from collections import deque

_LENGTH = 0x7F
_TWO_BYTES = 126
_EIGHT_BYTES = 127


def frame_end(data: bytes | memoryview, at: int, start: int = 0) -> int:
    """Tell where the frame ends in which place `at` lies, or at `at` where one begins there.

    `data` holds whole unmasked frames from `start` on (RFC 6455, section 5.2).
    """
    while start < at:
        start = _next(data, start)
    return start


def _next(data: bytes | memoryview, start: int) -> int:
    length = data[start + 1] & _LENGTH
    if length < _TWO_BYTES:
        return start + 2 + length
    head = start + (4 if length < _EIGHT_BYTES else 10)
    return head + int.from_bytes(data[start + 2 : head])


class Backlog:
    """Whole frames in their order; `size` is their bytes."""

    __slots__ = ("_pieces", "size")

    def __init__(self) -> None:
        self._pieces: deque[memoryview] = deque()
        self.size = 0

    def add(self, data: bytes | memoryview) -> None:
        """Keep whole frames behind those that wait."""
        if data:
            self._pieces.append(memoryview(data))
            self.size += len(data)

    def take(self, some: int) -> memoryview:
        """Take the oldest frames: `some` bytes where one ends there, else up to the next end."""
        piece = self._pieces.popleft()
        end = frame_end(piece, min(some, len(piece)))
        return self._split(piece, end)

    def drop_oldest(self, limit: int) -> int:
        """Drop the oldest frames until `limit` bytes are left at most; gives their number."""
        dropped = 0
        while self.size > limit:
            piece = self._pieces.popleft()
            surplus, end = self.size - limit, 0
            while end < len(piece) and end < surplus:
                end = _next(piece, end)
                dropped += 1
            self._split(piece, end)
        return dropped

    def _split(self, piece: memoryview, end: int) -> memoryview:
        if end < len(piece):
            self._pieces.appendleft(piece[end:])
        self.size -= end
        return piece[:end]

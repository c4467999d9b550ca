"""Count what is dropped on its last way, in messages rather than bytes."""

from collections.abc import Iterable

from service import metrics

_TEXT = 0x81
_SHORT = 126
_LENGTH_BYTES = {126: 2, 127: 8}


def texts_in(data: bytes) -> int:
    """Count the text frames among whole frames of the server (RFC 6455, section 5.2)."""
    count = at = 0
    while at + 2 <= len(data):
        count += data[at] == _TEXT
        length = data[at + 1]
        at += 2
        if length >= _SHORT:
            size = _LENGTH_BYTES[length]
            length = int.from_bytes(data[at : at + size])
            at += size
        at += length
    return count


def count_closed(frames: Iterable[bytes]) -> None:
    """Count messages for a connection that has closed since they were queued for it."""
    metrics.CLOSED.inc(sum(map(texts_in, frames)))


def count_slow(data: bytes) -> None:
    """Count messages for which a client was too slow."""
    metrics.SLOW.inc(texts_in(data))

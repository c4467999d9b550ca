"""Let the AMQP client read the properties of any publisher's messages.

At a property that it cannot read (a message id that is not UTF-8, a timestamp beyond the year 9999)
it ends the connection; with it go this node's queue and every message in that. Any AMQP client may
publish here, and what a node needs is the body.
"""

import struct
from collections.abc import Callable
from typing import Any

from pamqp import decode

_Decoder = Callable[..., tuple[int, Any]]


def read_leniently() -> None:
    """Replace the client's decoders of what may be malformed; calling it again changes nothing."""
    decode.METHODS["shortstr"] = _short_text
    decode.METHODS["timestamp"] = _or_else(decode.timestamp, lambda _: (8, None))
    decode.METHODS["table"] = _or_else(decode.field_table, _no_headers)


def _short_text(value: bytes) -> tuple[int, str]:
    end = value[0] + 1
    return end, value[1:end].decode(errors="replace")


def _no_headers(value: bytes) -> tuple[int, dict[str, Any]]:
    # A table begins with its length in bytes (AMQP 0-9-1, section 4.2.5.5).
    return struct.unpack_from(">I", value)[0] + 4, {}


def _or_else(read: _Decoder, instead: _Decoder) -> _Decoder:
    def lenient(value: bytes) -> tuple[int, Any]:
        try:
            return read(value)
        except (ValueError, OverflowError, OSError, struct.error):
            return instead(value)

    return lenient

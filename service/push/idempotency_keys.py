"""Idempotency-Keys: what a request with one is, and what is kept of it. Pure.

Source of the header's meaning: IETF draft "The Idempotency-Key HTTP Header Field".
"""

import re
from collections.abc import Iterable
from hashlib import sha256

import msgspec

from service.json_text import UNREADABLE

HEADER = b"idempotency-key"

EXPECTED = "expected 1 to 255 visible ASCII characters, once"

_KEY = re.compile(rb"[!-~]{1,255}")


class KeyRefusedError(ValueError):
    """The header cannot be used; the message says what was expected."""


class Kept(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the store has of a key.

    `request` is the fingerprint of the request. Without an answer (`status` 0) it is under way, at
    the `owner`, which is another text for each attempt.
    """

    request: str
    owner: str
    status: int = 0
    body: msgspec.Raw = msgspec.Raw(b"null")


def key_in(headers: Iterable[tuple[bytes, bytes]]) -> bytes | None:
    """Find the key among headers with names in lower case; None without one.

    Raises KeyRefusedError.
    """
    found = None
    for name, value in headers:
        if name == HEADER:
            if found is not None or not _KEY.fullmatch(value):
                raise KeyRefusedError(EXPECTED)
            found = value
    return found


def name_of(caller: str, key: bytes) -> str:
    """Give the name under which a caller's key is kept: nothing of either can be read from it."""
    return sha256(caller.encode() + b"\n" + key).hexdigest()


def fingerprint(path: str, query: bytes, body: bytes) -> str:
    """Give what tells one request from another."""
    digest = sha256(path.encode() + b"?" + query + b"\n")
    digest.update(body)
    return digest.hexdigest()


_decoder = msgspec.json.Decoder(Kept)


def write_kept(kept: Kept) -> bytes:
    """Write what is kept, as JSON."""
    return msgspec.json.encode(kept)


def read_kept(text: bytes) -> Kept | None:
    """Read what is kept; None where somebody else wrote it."""
    try:
        return _decoder.decode(text)
    except UNREADABLE:
        return None

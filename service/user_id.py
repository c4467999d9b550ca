"""The allowed form of a user id: one that can break no key, log line, header or metric."""

import re

USER_ID = re.compile(r"[A-Za-z0-9._@:+~-]{1,128}", re.ASCII)

EXPECTED = "expected 1 to 128 characters of A-Z a-z 0-9 . _ @ : + ~ -"


def is_user_id(text: str) -> bool:
    """Say whether a text, after percent-decoding, may be a user's id."""
    return USER_ID.fullmatch(text) is not None

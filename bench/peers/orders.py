"""What the servers that broadcast are told, and what they send."""

import sys

PAYLOAD = "".join(f"{number:04d}" for number in range(32))
"""The text of every broadcast: 128 bytes that JSON leaves as they are."""

_WORD = "broadcast "

BROADCAST = _WORD + "%d"
"""What a client says to have so many messages sent to every connection, one after the other."""


def ordered(text: str | bytes) -> int:
    """Read how many messages a client orders; 0 for any other text."""
    if isinstance(text, bytes):
        text = text.decode()
    return int(text.removeprefix(_WORD)) if text.startswith(_WORD) else 0


def port() -> int:
    """Read the port of the command line."""
    return int(sys.argv[1])

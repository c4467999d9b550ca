"""Reading JSON that somebody else wrote."""

import msgspec

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding raises for a text of another form, in another encoding, or nested too deeply."""


def fault_of(error: Exception) -> str:
    """Say in a few words why a text could not be read."""
    return "nested too deeply" if isinstance(error, RecursionError) else str(error)

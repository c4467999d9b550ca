"""Split the body of a batch request into its pushes: a JSON array, or NDJSON. Pure."""

import msgspec

from service.json_text import UNREADABLE, fault_of

_decoder = msgspec.json.Decoder(list[msgspec.Raw])


class BatchError(ValueError):
    """The body as a whole cannot be read; the message says what was expected."""


def read_batch(body: bytes, *, max_items: int) -> list[bytes]:
    """Give the JSON text of each push, unread. Raises BatchError."""
    text = body.strip()
    if text.startswith(b"["):
        try:
            items = [bytes(item) for item in _decoder.decode(text)]
        except UNREADABLE as error:
            raise BatchError(f"no JSON array: {fault_of(error)}") from error
    else:
        items = [line for line in text.split(b"\n") if line.strip()]
    if not items:
        raise BatchError("the batch is empty; expected a JSON array, or one push a line")
    if len(items) > max_items:
        raise BatchError(f"{len(items)} pushes; expected {max_items} at most in one batch")
    return items

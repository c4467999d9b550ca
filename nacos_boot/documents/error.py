"""What is wrong with a document's text, and how large a document may be."""

MAX_DOCUMENT_BYTES = 1_000_000
"""Nacos itself stores up to 10 MiB; a settings document of over a megabyte is a mistake."""

MAX_VALUES = 10_000
"""Values, lists and mappings that one document may hold, counted with its aliases written out."""

MAX_DEPTH = 50
"""Levels of nesting, by indentation, brackets or dots."""

MAX_KEY = 1000
"""Characters of a key, written with all its dots."""

MAX_NUMBER = 1000
"""Characters of a number: YAML's numbers with colons (`1:30`) take time by the square of them."""


class DocumentError(ValueError):
    """A document cannot be read; the message names the line and what was expected.

    `line` counts from 1 and is None where the fault has no place; `key` is the dotted key, empty
    where the fault isn't about one. `message` is the sentence without them.
    """

    def __init__(self, message: str, *, line: int | None = None, key: str = "") -> None:
        super().__init__(f"line {line}: {message}" if line else message)
        self.message = message
        self.line = line
        self.key = key

"""The headers by which nodes know who has published a message, and the how manieth it is."""

import struct

from pamqp import commands, decode, encode
from pamqp.common import FieldTable

from service.broker.amqp_frames import ANY_NUMBER, Properties

ORIGIN = "x-websocket-node"
"""Names the publishing node, which has delivered to its own users already."""

NUMBER = "x-websocket-number"
"""Counts that node's messages: those to the fanout exchange, and those to one node, from 1."""

MAX_KNOWN = 4096

_NAME = ORIGIN.encode()
_UNREADABLE = (ValueError, IndexError, OverflowError, OSError, RecursionError, struct.error)
_TRANSIENT = 1
_NOBODY = ("", 0)


class Origin:
    """What one node writes of itself, and how it reads what others have written.

    `numbered` are the properties of its pushes, `properties` those of what has no number.
    """

    def __init__(self, node: str) -> None:
        self.headers: FieldTable = {ORIGIN: node}
        self.properties = _properties(self.headers)
        self.numbered = _properties({ORIGIN: node, NUMBER: ANY_NUMBER})
        self._known: dict[bytes, str] = {}

    def read(self, table: bytes) -> tuple[str, int]:
        """Read a table of headers: gives the node, empty for none, and the number, 0 for none."""
        node = self._known.get(table[:-8])
        if node is not None:
            return node, int.from_bytes(table[-8:], "big")
        if _NAME not in table:
            return _NOBODY
        return self._read_any(table)

    def _read_any(self, table: bytes) -> tuple[str, int]:
        # A broker may add headers of its own.
        try:
            headers = decode.field_table(table)[1]
        except _UNREADABLE:
            return _NOBODY
        node, number = headers.get(ORIGIN), headers.get(NUMBER, 0)
        if not isinstance(node, str) or not node:
            return _NOBODY
        if not isinstance(number, int) or isinstance(number, bool) or number < 0:
            return node, 0
        usual = encode.field_table({ORIGIN: node, NUMBER: ANY_NUMBER})
        if usual[:-8] == table[:-8]:
            if len(self._known) >= MAX_KNOWN:
                self._known.clear()
            self._known[table[:-8]] = node
        return node, number


def _properties(headers: FieldTable) -> Properties:
    return Properties(
        commands.Basic.Properties(
            content_type="application/json", headers=headers, delivery_mode=_TRANSIENT
        )
    )

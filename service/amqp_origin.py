"""The header by which a node knows what it has published itself."""

import struct

from pamqp import commands, decode, encode
from pamqp.common import FieldTable

from service.amqp_frames import Properties

ORIGIN = "x-websocket-node"
"""Names the publishing node, which has delivered to its own users already."""

_NAME = ORIGIN.encode()
_UNREADABLE = (ValueError, IndexError, OverflowError, OSError, RecursionError, struct.error)
_TRANSIENT = 1


class Origin:
    """What one node writes of itself, and knows again. `properties` are those of its pushes."""

    def __init__(self, node: str) -> None:
        self._node = node
        self.headers: FieldTable = {ORIGIN: node}
        self.properties = Properties(
            commands.Basic.Properties(
                content_type="application/json", headers=self.headers, delivery_mode=_TRANSIENT
            )
        )
        self._table = encode.field_table(self.headers)

    def wrote(self, table: bytes) -> bool:
        """Tell whether a message with this table of headers comes from this node."""
        if table == self._table:
            return True
        if _NAME not in table:
            return False
        # A broker may add headers of its own.
        try:
            headers = decode.field_table(table)[1]
        except _UNREADABLE:
            return False
        return headers.get(ORIGIN) == self._node

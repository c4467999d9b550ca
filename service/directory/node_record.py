"""The node record: what a node says of itself in Redis, for as long as it lives."""

import msgspec

from service.json_text import UNREADABLE


class NodeRecord(msgspec.Struct, frozen=True, rename="camel"):
    """One node. Times are Unix time; `address` is `ip:port`; `run_id` is of the Redis it wrote to.

    A record with the present run id says that the node's users are in the directory there.
    """

    node_id: str
    address: str
    public_url: str
    started_at: float
    written_at: float
    connections: int
    users: int
    mode: str
    config_md5: str
    version: str
    run_id: str = ""


def write_record(record: NodeRecord) -> bytes:
    """Write a record as JSON."""
    return msgspec.json.encode(record)


def read_record(text: bytes | None) -> NodeRecord | None:
    """Read a record; None where there is none, or none that can be read."""
    if text is None:
        return None
    try:
        return msgspec.json.decode(text, type=NodeRecord)
    except UNREADABLE:
        return None

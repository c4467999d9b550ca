"""The node record as JSON; tools and the gateway read it."""

import json

import pytest

from service.directory.node_record import NodeRecord, read_record, write_record

RECORD = NodeRecord(
    node_id="n1",
    address="192.0.2.1:8081",
    public_url="wss://example.org/a",
    started_at=1_712_345_678.123,
    written_at=1_712_345_679.5,
    connections=3,
    users=2,
    mode="routed",
    config_md5="d41d8",
    version="0.1.0",
    run_id="run-1",
)
WRITTEN = {
    "nodeId": "n1",
    "address": "192.0.2.1:8081",
    "publicUrl": "wss://example.org/a",
    "startedAt": 1_712_345_678.123,
    "writtenAt": 1_712_345_679.5,
    "connections": 3,
    "users": 2,
    "mode": "routed",
    "configMd5": "d41d8",
    "version": "0.1.0",
    "runId": "run-1",
}


def test_it_is_written_with_the_names_that_others_read() -> None:
    assert json.loads(write_record(RECORD)) == WRITTEN
    assert read_record(write_record(RECORD)) == RECORD


def test_a_record_of_another_version_is_read() -> None:
    other = {**WRITTEN, "new": [1]}
    del other["runId"]
    found = read_record(json.dumps(other).encode())
    assert found is not None
    assert (found.node_id, found.run_id) == ("n1", "")


@pytest.mark.parametrize(
    "text",
    [None, b"", b"1", b"[]", b"null", b'{"nodeId":"n1"}', b'{"nodeId":"\xff"}', b"[" * 100_000],
)
def test_what_is_no_record_is_none(text: bytes | None) -> None:
    assert read_record(text) is None

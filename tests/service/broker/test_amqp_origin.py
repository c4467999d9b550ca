"""By what a node knows who has published a message, and which of its messages it is."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import encode

from service.broker import amqp_origin
from service.broker.amqp_frames import read_properties
from service.broker.amqp_origin import NUMBER, ORIGIN, Origin

ME, OTHER = Origin("me"), Origin("other")


@given(st.integers(1, 2**63 - 1))
def test_a_node_knows_what_was_written_and_its_number(number: int) -> None:
    header = ME.numbered.header(1, b"id", 5, number)[7:-1]
    message_id, table = read_properties(header)
    assert message_id == "id"
    for reader in (ME, OTHER):
        assert reader.read(table) == ("me", number)


def test_what_has_no_number_has_a_node_all_the_same() -> None:
    table = read_properties(ME.properties.header(1, b"id", 5)[7:-1])[1]
    assert OTHER.read(table) == ("me", 0)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"x-first": 1, ORIGIN: "me", "x-last": [1, {"a": "b"}]}, ("me", 0)),
        ({"x-first": 1, ORIGIN: "me", NUMBER: 5, "x-last": "y"}, ("me", 5)),
        ({NUMBER: 300, ORIGIN: "me"}, ("me", 300)),
        ({ORIGIN: "me", NUMBER: -1}, ("me", 0)),
        ({ORIGIN: "me", NUMBER: "7"}, ("me", 0)),
        ({ORIGIN: "me", NUMBER: True}, ("me", 0)),
        ({ORIGIN: 7, NUMBER: 7}, ("", 0)),
        ({ORIGIN: "", NUMBER: 7}, ("", 0)),
        ({NUMBER: 7}, ("", 0)),
        ({"x": ORIGIN, "y": "me"}, ("", 0)),
        ({"x": {ORIGIN: "me"}}, ("", 0)),
        ({}, ("", 0)),
    ],
)
def test_a_broker_may_add_headers_and_anybody_write_some(
    headers: dict[str, Any], expected: tuple[str, int]
) -> None:
    assert ME.read(encode.field_table(headers)) == expected


@pytest.mark.parametrize("end", range(36))
def test_a_table_that_cannot_be_read_is_nobodys(end: int) -> None:
    table = encode.field_table({"a": "b", ORIGIN: "me"})
    assert ME.read(table[:end]) == ("", 0)
    assert ME.read(b"\0\0\0\x30" + ORIGIN.encode() + table[end:]) == ("", 0)


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_whatever_stands_there_harms_nothing(before: bytes, after: bytes) -> None:
    inner = before + b"\x10" + ORIGIN.encode() + after
    for table in (len(inner).to_bytes(4, "big") + inner, inner):
        node, number = ME.read(table)
        assert isinstance(node, str)
        assert number >= 0


def test_no_table_is_nobodys() -> None:
    assert ME.read(b"") == ("", 0)


def test_what_is_remembered_of_nodes_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(amqp_origin, "MAX_KNOWN", 5)
    reader = Origin("me")
    for count in range(20):
        table = read_properties(Origin(f"{count:02}").numbered.header(1, b"", 0, 9)[7:-1])[1]
        assert reader.read(table) == reader.read(table) == (f"{count:02}", 9)
        assert len(reader._known) <= 5

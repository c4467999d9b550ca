"""By what a node knows its own messages."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import encode

from service.amqp_frames import read_properties
from service.amqp_origin import ORIGIN, Origin

ME, OTHER = Origin("me"), Origin("other")


def test_a_node_knows_what_it_has_written() -> None:
    header = ME.properties.header(1, b"id", 5)[7:-1]
    message_id, table = read_properties(header)
    assert message_id == "id"
    assert ME.wrote(table)
    assert not OTHER.wrote(table)


@pytest.mark.parametrize(
    ("headers", "mine"),
    [
        ({"x-first": 1, ORIGIN: "me", "x-last": [1, {"a": "b"}]}, True),
        ({ORIGIN: "other", "x": "me"}, False),
        ({"x": ORIGIN, "y": "me"}, False),
        ({"x": {ORIGIN: "me"}}, False),
        ({"x": "me"}, False),
        ({}, False),
    ],
)
def test_a_broker_may_add_headers(headers: dict[str, Any], mine: bool) -> None:
    assert ME.wrote(encode.field_table(headers)) is mine


@pytest.mark.parametrize("end", range(36))
def test_a_table_that_cannot_be_read_is_nobodys(end: int) -> None:
    table = encode.field_table({"a": "b", ORIGIN: "me"})
    assert not ME.wrote(table[:end])
    assert not ME.wrote(b"\0\0\0\x30" + ORIGIN.encode() + table[end:])


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_whatever_stands_there_harms_nothing(before: bytes, after: bytes) -> None:
    inner = before + b"\x10" + ORIGIN.encode() + after
    for table in (len(inner).to_bytes(4, "big") + inner, inner):
        assert ME.wrote(table) in {True, False}


def test_no_table_is_nobodys() -> None:
    assert not ME.wrote(b"")

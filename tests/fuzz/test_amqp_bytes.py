"""What a broker may send, or anybody through it: read, or left to the client, never a fault."""

import pamqp.frame
from hypothesis import given
from hypothesis import strategies as st
from pamqp import commands
from pamqp.header import ContentHeader

from service.broker import amqp_tap
from service.broker.amqp_frames import HEARTBEAT_FRAME, read_properties
from service.broker.amqp_origin import NUMBER, ORIGIN, Origin
from tests.fuzz.splits import PLACES, pieces
from tests.service.broker.test_amqp_tap import (
    FOR_CLIENT,
    FOR_SINK,
    MINE,
    STREAM,
    TOLD,
    Wire,
    message,
)

BROKEN = st.tuples(st.integers(0, len(STREAM) - 1), st.integers(0, 3), st.binary(max_size=4))
"""Where the stream is broken, how many bytes are gone there, and what stands in their place."""


@given(st.lists(BROKEN, min_size=1, max_size=4), PLACES)
async def test_a_broken_stream_is_read_as_far_as_it_goes(
    faults: list[tuple[int, int, bytes]], places: list[int]
) -> None:
    data = STREAM
    for place, gone, instead in faults:
        data = data[:place] + instead + data[place + gone :]
    wire = Wire()
    for piece in pieces(data, places):
        wire.tap.data_received(piece)
    # What is before the first fault was handed over.
    whole = min(place for place, _, _ in faults)
    before = sum(len(b"".join(frames)) for frames in FOR_SINK[:1])
    if whole > before:
        assert wire.mine.got[:1] == TOLD[:1]
    assert len(wire.for_client) <= len(data)


@given(st.binary(max_size=300), PLACES)
async def test_any_bytes_reach_a_sink_or_the_client(data: bytes, places: list[int]) -> None:
    wire = Wire()
    for piece in pieces(data, places):
        wire.tap.data_received(piece)
    assert len(wire.for_client) <= len(data)


@given(st.integers(0, 3), st.binary(max_size=40), PLACES)
async def test_methods_cut_short_are_left_to_the_client(
    kind: int, payload: bytes, places: list[int]
) -> None:
    wire = Wire()
    data = bytes((kind, 0, MINE)) + len(payload).to_bytes(4, "big") + payload + b"\xce"
    for index in (60, 50, 80, 120):
        method = b"\0\x3c" + index.to_bytes(2, "big") + payload
        data += b"\x01\0\x01" + len(method).to_bytes(4, "big") + method + b"\xce"
    for piece in pieces(data, places):
        wire.tap.data_received(piece)


async def test_a_frame_that_would_never_end_is_not_waited_for() -> None:
    wire = Wire()
    wire.tap.data_received(b"\x03\0\x01\xff\xff\xff\xff" + b"x" * 100)
    wire.tap.data_received(b"y")
    assert wire.for_client.endswith(b"xy")


async def test_of_a_long_message_only_the_beginning_is_kept(monkeypatch: object) -> None:
    wire = Wire()
    size = amqp_tap.MAX_BODY + 1
    deliver = pamqp.frame.marshal(commands.Basic.Deliver("c", 1, False, "exchange", ""), MINE)
    header = pamqp.frame.marshal(ContentHeader(0, size, commands.Basic.Properties()), MINE)
    wire.tap.data_received(deliver + header)
    left, piece = size, b"x" * 1_000_000
    while left:
        body = piece[:left]
        left -= len(body)
        wire.tap.data_received(b"\x03\0\x01" + len(body).to_bytes(4, "big") + body + b"\xce")
        coming = wire.tap._coming.get(MINE)
        assert coming is None or sum(map(len, coming.pieces)) <= len(piece)
    wire.tap.data_received(b"".join(message(2, b"next")))
    assert wire.mine.got == [
        ("too long", 1, "exchange", size, piece),
        (2, "exchange", "m2", b"next"),
    ]


names = st.sampled_from([ORIGIN, NUMBER, "x", ""])
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(names, values, max_size=3), BROKEN | st.none())
def test_any_table_of_headers_tells_a_node_or_nobody(
    headers: dict[str, object], fault: tuple[int, int, bytes] | None
) -> None:
    table = pamqp.encode.field_table(headers)  # type: ignore[arg-type]  # what it can write
    if fault is not None:
        place, gone, instead = fault
        place %= len(table) + 1
        table = table[:place] + instead + table[place + gone :]
    origin = Origin("node")
    for _ in range(2):
        node, number = origin.read(table)
        assert isinstance(node, str)
        assert isinstance(number, int)
        assert number >= 0


@given(st.binary(max_size=60))
def test_any_header_has_properties(header: bytes) -> None:
    message_id, table = read_properties(bytes(12) + b"\xff\xff" + header)
    node, _ = Origin("node").read(table)
    assert isinstance(node, str)
    assert message_id is None or message_id.encode()


def test_the_stream_is_what_it_is_taken_for() -> None:
    assert STREAM.startswith(b"".join(FOR_SINK[0]) + FOR_CLIENT[0])
    assert HEARTBEAT_FRAME in STREAM

"""The frames of the hot path, held to what the AMQP client's own codec reads and writes."""

from datetime import UTC, datetime
from typing import Any

import pamqp.frame
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import commands
from pamqp.body import ContentBody
from pamqp.header import ContentHeader

from service.broker.amqp_frames import (
    ANY_NUMBER,
    BODY,
    DELIVER,
    HEADER,
    METHOD,
    NoFrameError,
    Properties,
    ack_frame,
    body_frames,
    frame_at,
    publish_method,
    read_body_size,
    read_confirm,
    read_deliver,
    read_index,
    read_properties,
)

channels = st.integers(1, 65_535)
tags = st.integers(1, 2**63 - 1)  # the codec's limit
names = st.text("abcZ09-_.:", max_size=60)
short_texts = st.text("abc.é-", max_size=60)


def payload(frame: bytes) -> bytes:
    return frame[7:-1]


@given(short_texts, tags, st.booleans(), names, short_texts)
def test_a_delivery_is_read(consumer: str, tag: int, again: bool, exchange: str, key: str) -> None:
    frame = commands.Basic.Deliver(consumer, tag, again, exchange, key)
    method = payload(pamqp.frame.marshal(frame, 1))
    assert read_index(method) == DELIVER
    assert read_deliver(method) == (tag, exchange)


@given(tags, st.booleans())
def test_a_confirm_is_read(tag: int, multiple: bool) -> None:
    for frame in (commands.Basic.Ack(tag, multiple), commands.Basic.Nack(tag, multiple)):
        assert read_confirm(payload(pamqp.frame.marshal(frame, 1))) == (tag, multiple)
    requeue = commands.Basic.Nack(tag, multiple=False, requeue=True)
    assert read_confirm(payload(pamqp.frame.marshal(requeue, 1))) == (tag, False)


properties = st.fixed_dictionaries(
    {},
    optional={
        "content_type": short_texts,
        "content_encoding": short_texts,
        "headers": st.dictionaries(st.text("ab", min_size=1, max_size=9), st.text() | tags),
        "delivery_mode": st.sampled_from([1, 2]),
        "priority": st.integers(0, 9),
        "correlation_id": short_texts,
        "reply_to": short_texts,
        "expiration": short_texts,
        "message_id": short_texts,
        "timestamp": st.just(datetime(2024, 1, 1, tzinfo=UTC)),
        "message_type": short_texts,
        "user_id": short_texts,
        "app_id": short_texts,
    },
)


@given(properties, st.integers(0, 2**40))
def test_properties_are_read(written: dict[str, Any], size: int) -> None:
    header = payload(
        pamqp.frame.marshal(ContentHeader(0, size, commands.Basic.Properties(**written)), 1)
    )
    message_id, table = read_properties(header)
    assert message_id == (written.get("message_id") or None)
    assert read_body_size(header) == size
    if "headers" in written:
        assert table == pamqp.encode.field_table(written["headers"])
    else:
        assert table == b""


@given(st.binary(min_size=14))
def test_any_properties_are_read_as_far_as_they_go(header: bytes) -> None:
    message_id, table = read_properties(header)
    assert message_id is None or message_id.encode()
    assert table in header


@pytest.mark.parametrize("headers", [None, {"a": "b"}])
@given(channels, st.text("abc-é", min_size=1, max_size=120), st.integers(0, 2**40))
def test_a_content_header_is_written(
    headers: dict[str, Any] | None, channel: int, message_id: str, size: int
) -> None:
    def these() -> commands.Basic.Properties:
        return commands.Basic.Properties("application/json", headers=headers, delivery_mode=1)

    whole = these()
    whole.message_id = message_id
    expected = pamqp.frame.marshal(ContentHeader(0, size, whole), channel)
    assert Properties(these()).header(channel, message_id.encode(), size) == expected


@given(channels, short_texts, st.integers(2**32, 2**63 - 1))
def test_each_message_has_a_number_of_its_own(channel: int, text: str, number: int) -> None:
    def these(number: int) -> commands.Basic.Properties:
        return commands.Basic.Properties(headers={"a": text, "n": number}, delivery_mode=1)

    whole = these(number)
    whole.message_id = "id"
    expected = pamqp.frame.marshal(ContentHeader(0, 7, whole), channel)
    assert Properties(these(ANY_NUMBER)).header(channel, b"id", 7, number) == expected


def test_properties_behind_the_message_id_are_refused() -> None:
    with pytest.raises(ValueError, match="behind the message id"):
        Properties(commands.Basic.Properties(app_id="x"))


@given(channels, names, short_texts, st.booleans())
def test_a_publication_is_written(
    channel: int, exchange: str, routing_key: str, mandatory: bool
) -> None:
    frame = commands.Basic.Publish(0, exchange, routing_key, mandatory=mandatory)
    for _ in range(2):
        written = publish_method(channel, exchange, routing_key, mandatory=mandatory)
        assert written == pamqp.frame.marshal(frame, channel)


@given(channels, tags)
def test_an_acknowledgement_is_written(channel: int, tag: int) -> None:
    expected = pamqp.frame.marshal(commands.Basic.Ack(tag, multiple=True), channel)
    assert ack_frame(channel, tag) == expected


@pytest.mark.parametrize("size", [0, 1, 4087, 4088, 4089, 8175, 8176, 8177, 100_000])
def test_a_body_is_split_at_the_limit_of_a_frame(size: int) -> None:
    body = bytes(number % 251 for number in range(size))
    data, place, pieces = body_frames(7, body, 4096), 0, []
    while frame := frame_at(data, place):
        kind, channel, end = frame
        assert (kind, channel) == (BODY, 7)
        assert end - place <= 4096
        pieces.append(pamqp.frame.unmarshal(data[place:end])[2])
        place = end
    assert place == len(data)
    assert b"".join(piece.value for piece in pieces if isinstance(piece, ContentBody)) == body
    assert len(pieces) == -(-size // 4088)


def test_a_frame_is_found_once_it_is_whole() -> None:
    frame = pamqp.frame.marshal(ContentHeader(), 3)
    data = b"before" + frame + pamqp.frame.marshal(commands.Basic.Ack(1), 4)
    whole = 6 + len(frame)
    assert frame_at(data, 6) == (HEADER, 3, whole)
    assert frame_at(data, whole) == (METHOD, 4, len(data))
    for end in range(6, whole):
        assert frame_at(data[:end], 6) is None
    assert frame_at(data, len(data)) is None


@pytest.mark.parametrize(
    "data", [b"AMQP\0\0\x09\x01", b"HTTP/1.1 400", b"\x01\0\x01\0\0\0\x02abX", b"\0" * 8]
)
def test_what_is_no_frame_is_told_apart(data: bytes) -> None:
    with pytest.raises(NoFrameError):
        frame_at(data, 0)

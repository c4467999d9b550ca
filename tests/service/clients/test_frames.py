"""Frames, against the parser of the websockets library."""

import json

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.frames import Close, Frame, Opcode
from websockets.protocol import CLIENT, OPEN, Protocol

from service.clients.frames import (
    PING,
    PONG,
    RESET,
    Message,
    close_frame,
    ping_frame,
    text_frame,
)


def parsed(data: bytes) -> list[Frame]:
    """Read frames as a client does; it fails on any that breaks RFC 6455."""
    client = Protocol(CLIENT, state=OPEN, max_size=None)
    client.receive_data(data)
    assert client.parser_exc is None, client.parser_exc
    return [event for event in client.events_received() if isinstance(event, Frame)]


# RFC 6455, section 5.2: the length is written in 7, 16 or 64 bits, in the shortest form.
@pytest.mark.parametrize(
    ("length", "head"),
    [(0, 2), (1, 2), (125, 2), (126, 4), (127, 4), (65_535, 4), (65_536, 10), (200_000, 10)],
)
def test_a_text_frame_of_any_length(length: int, head: int) -> None:
    payload = b"x" * length
    data = text_frame(payload)
    assert parsed(data) == [Frame(Opcode.TEXT, payload)]
    assert len(data) == head + length


def test_frames_that_never_change() -> None:
    assert parsed(PONG + PING + RESET) == [
        Frame(Opcode.TEXT, b"pong"),
        Frame(Opcode.PING, b""),
        Frame(Opcode.TEXT, b'{"type":"reset"}'),
    ]
    assert parsed(ping_frame(b"x" * 125)) == [Frame(Opcode.PING, b"x" * 125)]


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("", ""),
        ("this node is leaving", "this node is leaving"),
        ("x" * 123, "x" * 123),
        ("x" * 124, "x" * 123),
        # Cut between characters, not inside one.
        ("x" + "ü" * 62, "x" + "ü" * 61),
        ("😀" * 40, "😀" * 30),
    ],
)
def test_the_reason_of_a_close_is_cut_to_what_a_frame_holds(reason: str, expected: str) -> None:
    [frame] = parsed(close_frame(4001, reason))
    assert Close.parse(frame.data) == Close(4001, expected)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b'"plain"', "plain"),
        (b'""', ""),
        (b'"\\u00fc\\n\\"\\ud83d\\ude00"', 'ü\n"😀'),
        ('"ü😀"'.encode(), "ü😀"),
        (b"null", "null"),
        (b"1.50", "1.50"),
        (b'{"b": 1,  "a":[true]}', '{"b": 1,  "a":[true]}'),
    ],
)
def test_the_raw_form_is_the_json_or_the_plain_string(content: bytes, text: str) -> None:
    assert parsed(Message("id", content).raw_frame) == [Frame(Opcode.TEXT, text.encode())]


@pytest.mark.parametrize("content", [b'"plain"', b"null", b'{"a": [1,  2]}', '"ü"'.encode()])
def test_the_cluster_form_carries_id_token_and_content(content: bytes) -> None:
    [frame] = parsed(Message('i"d', content).cluster_frame)
    assert frame.opcode is Opcode.TEXT
    message = json.loads(bytes(frame.data))
    assert message == {
        "type": "message",
        "id": 'i"d',
        "token": None,
        "content": json.loads(content),
    }
    assert content in bytes(frame.data)


def test_each_form_is_built_once_and_only_when_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[bytes] = []

    def counting(payload: bytes) -> bytes:
        built.append(payload)
        return text_frame(payload)

    monkeypatch.setattr("service.clients.frames.text_frame", counting)
    message = Message("id", b'"x"')
    assert built == []
    assert message.raw_frame is message.raw_frame
    assert built == [b"x"]
    assert message.cluster_frame is message.cluster_frame
    assert len(built) == 2


def test_a_message_has_no_dict() -> None:
    assert not hasattr(Message("id", b"1"), "__dict__")


def test_the_parser_of_these_tests_refuses_broken_frames() -> None:
    with pytest.raises((AssertionError, ConnectionClosed)):
        parsed(b"\x81\xff" + bytes(8))

"""What one node sends to another."""

import json

import msgspec
import pytest

from service.broker.envelope import Envelope, Part, read_envelope, write_envelope
from service.push.push import PushError


def part(push_id: str, users: tuple[str, ...], content: bytes) -> Part:
    return Part(push_id, users, msgspec.Raw(content))


@pytest.mark.parametrize(
    "content", [b"null", b'"x"', b'{"b": 1,  "a":[1.0]}', '"ü😀"'.encode(), b"1e400"]
)
def test_parts_come_back_in_order_with_their_contents_untouched(content: bytes) -> None:
    parts = [part("one", ("a", "b"), content), part("two", ("a",), b"2")]
    found = read_envelope(write_envelope(parts))
    assert [(p.id, p.users, bytes(p.content)) for p in found.parts] == [
        ("one", ("a", "b"), content),
        ("two", ("a",), b"2"),
    ]
    assert found.disconnect == ()


def test_users_to_disconnect_travel_alone() -> None:
    text = write_envelope((), ("a", "b"))
    assert json.loads(text) == {"disconnect": ["a", "b"]}
    assert read_envelope(text) == Envelope((), ("a", "b"))


def test_fields_of_a_later_version_are_passed_over() -> None:
    text = b'{"new":1,"parts":[{"id":"x","users":["a"],"content":1,"token":"t"}]}'
    assert [p.id for p in read_envelope(text).parts] == ["x"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no json",
        b"null",
        b"[]",
        b'{"parts":{}}',
        b'{"parts":[{"id":"x","users":["a"]}]}',
        b'{"parts":[{"id":1,"users":["a"],"content":1}]}',
        b'{"parts":[{"id":"x","users":"a","content":1}]}',
        b'{"parts":[{"id":"\xff","users":["a"],"content":1}]}',
        b'{"disconnect":[1]}',
        b'{"parts":[{"id":"x","users":["a"],"content":' + b"[" * 100_000,
    ],
)
def test_what_is_no_envelope_is_poison(body: bytes) -> None:
    with pytest.raises(PushError, match="no envelope"):
        read_envelope(body)

"""MsgDTO: accepted strictly, read leniently, written strictly."""

import functools
import json
import re
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.push.push import (
    Push,
    PushError,
    accept_push,
    is_encodable,
    new_push_id,
    read_push,
    write_push,
)
from service.user_id import is_user_id

ALICE = b'"targetUserList":["alice"]'


def accept(body: bytes, max_targets: int = 100) -> Push:
    return accept_push(body, max_targets=max_targets)


def listed(targets: bytes) -> bytes:
    return b'{"content":1,"targetUserList":[' + targets + b"]}"


@pytest.mark.parametrize(
    ("targets", "expected"),
    [
        (b'"alice"', ("alice",)),
        (b'"a@b.c:1+2~3-4_5"', ("a@b.c:1+2~3-4_5",)),
        (b'"' + b"x" * 128 + b'"', ("x" * 128,)),
        (b"7", ("7",)),
        (b"-7", ("-7",)),
        (b"7.0", ("7",)),
        (b"12345678901234567890123", ("12345678901234567890123",)),
        (b'{"userId":"alice"}', ("alice",)),
        (b'{"id":5}', ("5",)),
        (b'{"username":"alice"}', ("alice",)),
        # The first of userId, id, username counts, whatever the order in the text.
        (b'{"username":"c","id":"b","userId":"a","x":null}', ("a",)),
        (b'{"username":"c","id":"b"}', ("b",)),
        (b'"a","b","a",{"id":"b"}', ("a", "b")),
        (b'1,"1",1.0', ("1",)),
        (b'"b","a"', ("b", "a")),
        (b'"\\u0061lice"', ("alice",)),
    ],
)
def test_targets_are_strings_numbers_or_objects_each_once(
    targets: bytes, expected: tuple[str, ...]
) -> None:
    assert accept(listed(targets)).targets == expected
    assert read_push(listed(targets), "id").targets == expected


BAD_TARGETS = [
    b'""',
    b'"a b"',
    b'"a/b"',
    b'"\xc3\xbc"',
    b'"' + b"x" * 129 + b'"',
    b'"a\\n"',
    b'"\\u0000"',
    b"null",
    b"true",
    b"1.5",
    b"1e300",
    b"[]",
    b'["alice"]',
    b"{}",
    b'{"name":"alice"}',
    b'{"userId":null,"id":"b"}',
    b'{"userId":{"id":"b"}}',
]


@pytest.mark.parametrize("target", BAD_TARGETS)
def test_a_bad_target_is_refused_at_the_api_by_its_place(target: bytes) -> None:
    with pytest.raises(PushError) as caught:
        accept(listed(b'"alice",' + target))
    assert caught.value.field == "targetUserList[1]"
    # It goes into a JSON answer and a log line.
    assert len(str(caught.value).encode()) < 500


@pytest.mark.parametrize("target", BAD_TARGETS)
def test_a_bad_target_from_the_exchange_does_not_cost_the_others(target: bytes) -> None:
    assert read_push(listed(target + b',"alice"'), "id").targets == ("alice",)
    with pytest.raises(PushError, match="neither allUser: true nor a target"):
        read_push(listed(target), "id")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"", ""),
        (b"no json", ""),
        (b"[]", ""),
        (b"null", ""),
        (b'"text"', ""),
        (b'{"content":1,' + ALICE + b"}}", ""),
        (b'\xef\xbb\xbf{"content":1,"allUser":true}', ""),
        (b'{"allUser":true}', "content"),
        (b"{" + ALICE + b"}", "content"),
        (b'{"content":1}', "targetUserList"),
        (b'{"content":1,"allUser":false}', "targetUserList"),
        (b'{"content":1,"allUser":null}', "targetUserList"),
        (b'{"content":1,"targetUserList":[]}', "targetUserList"),
        (b'{"content":1,"targetUserList":null}', "targetUserList"),
        (b'{"content":1,"allUser":true,' + ALICE + b"}", "targetUserList"),
        (b'{"content":1,"targetUserList":"alice"}', ""),
        (b'{"content":1,"targetUserList":{"id":"alice"}}', ""),
        (b'{"content":1,"allUser":"true"}', ""),
        (b'{"content":1,"allUser":1}', ""),
        (b'{"content":01,' + ALICE + b"}", ""),
        (b'{"content":{"a":1,},' + ALICE + b"}", ""),
        (b'{"content":"\\q",' + ALICE + b"}", ""),
        (b'{"content":"\x01",' + ALICE + b"}", ""),
        (b'{"content":NaN,' + ALICE + b"}", ""),
        # Lone surrogates and bytes that are no UTF-8 cannot go into a text frame.
        (b'{"content":"\\ud800",' + ALICE + b"}", ""),
        (b'{"content":"\\udc00",' + ALICE + b"}", ""),
        (b'{"content":[{"a":"\\ud800\\u0041"}],' + ALICE + b"}", ""),
        (b'{"content":"\xff",' + ALICE + b"}", "content"),
        (b'{"content":{"a":"\xc3"},' + ALICE + b"}", "content"),
        (b'{"content":["\xed\xa0\x80"],' + ALICE + b"}", "content"),
        (listed(b'"\xff"'), ""),
        (listed(b'"\\ud800"'), ""),
        (listed(b"1" * 5000), ""),
        (listed(b"1e999"), ""),
    ],
)
def test_what_is_no_push_is_refused_with_the_field_at_fault(body: bytes, field: str) -> None:
    with pytest.raises(PushError) as caught:
        accept(body)
    assert caught.value.field == field, str(caught.value)
    str(caught.value).encode()


@pytest.mark.parametrize(
    "place", [b'{"content":%s,"allUser":true}', b'{"content":1,"x":%s}', listed(b"%s")]
)
def test_a_text_nested_too_deeply_is_refused_like_any_other(place: bytes) -> None:
    body = place % (b"[" * 100_000 + b"]" * 100_000)
    with pytest.raises(PushError, match="nested too deeply"):
        accept(body)
    with pytest.raises(PushError, match="nested too deeply"):
        read_push(body, "id")


@pytest.mark.parametrize(
    ("body", "targets", "content"),
    [
        (b'{"content":"x","allUser":true}', None, b'"x"'),
        # A Java node's own: no list, and for all the list is ignored.
        (b'{"allUser":true,"content":"x"}', None, b'"x"'),
        (b'{"content":1,"allUser":true,"targetUserList":["alice"]}', None, b"1"),
        (b'{"content":1,"allUser":true,"targetUserList":null}', None, b"1"),
        (b'{"content":1,"allUser":true,"targetUserList":["a b"]}', None, b"1"),
        # allUser missing or null is false.
        (b'{"content":1,"targetUserList":["alice"]}', ("alice",), b"1"),
        (b'{"content":1,"allUser":null,"targetUserList":["alice"]}', ("alice",), b"1"),
        (b'{"more":{"x":[1]},"content":1,"targetUserList":["alice"]}', ("alice",), b"1"),
        (b'{"targetUserList":["alice"]}', ("alice",), b"null"),
        (b' {"content" : "x" , "targetUserList" : [ "alice" ] } \n', ("alice",), b'"x"'),
    ],
)
def test_the_exchange_is_read_leniently(
    body: bytes, targets: tuple[str, ...] | None, content: bytes
) -> None:
    assert read_push(body, "an-id") == Push("an-id", content, targets)


@pytest.mark.parametrize("push_id", [None, ""])
def test_a_message_without_an_id_gets_one(push_id: str | None) -> None:
    body = b'{"content":1,"allUser":true}'
    first, second = read_push(body, push_id), read_push(body, push_id)
    assert first.id != second.id
    assert len(first.id) == len(new_push_id()) == 32


CONTENTS = [
    b"null",
    b"true",
    b"-0.10e+2",
    b"123456789012345678901234567890",
    b'""',
    b'"\\u00fc\\n\\"\\ud83d\\ude00"',
    '"ü😀"'.encode(),
    b'{"b":1,"a":{"nested":[1, 2,  3]},"a":2}',
]


@pytest.mark.parametrize("content", CONTENTS)
def test_content_passes_through_as_the_bytes_that_it_was(content: bytes) -> None:
    body = b'{"content": ' + content + b' , "targetUserList":["alice"]}'
    push = accept(body)
    assert push.content == content
    assert read_push(body, "id").content == content
    assert read_push(write_push(push), push.id) == push


def test_a_push_to_all_is_written_with_all_user_and_without_a_list() -> None:
    written = json.loads(write_push(Push("id", b'{"a":1}', None)))
    assert written == {"content": {"a": 1}, "allUser": True}


def test_a_push_to_users_is_written_with_all_user_and_string_targets() -> None:
    push = accept(b'{"content":"x","targetUserList":[7,{"id":"b"},"c"]}')
    written = json.loads(write_push(push))
    assert written == {"content": "x", "allUser": False, "targetUserList": ["7", "b", "c"]}


def test_the_number_of_targets_is_limited_after_repeats_are_dropped() -> None:
    assert accept(listed(b'"a","b","a"'), max_targets=2).targets == ("a", "b")
    with pytest.raises(PushError, match="3 distinct targets; expected 2 at most") as caught:
        accept(listed(b'"a","b","c"'), max_targets=2)
    assert caught.value.field == "targetUserList"


def test_no_two_ids_are_the_same() -> None:
    # More than are drawn at once.
    ids = [new_push_id() for _ in range(2000)]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[0-9a-f]{32}", push_id) for push_id in ids)


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (b'{"content":"plain"}', True),
        ('{"content":"ü😀"}'.encode(), True),
        (b'"\\n\\t\\"', True),
        # Half of a pair, or a pair: only reading it tells.
        (b'"\\ud800"', False),
        (b'"\\ud83d\\ude00"', False),
        (b'"\xff"', False),
        (b'"\xed\xa0\x80"', False),
    ],
)
def test_texts_that_can_be_in_a_frame_without_being_read(texts: bytes, expected: bool) -> None:
    assert is_encodable(texts) is expected


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
near_dtos = st.fixed_dictionaries(
    {},
    optional={
        "content": json_values,
        "allUser": st.booleans() | st.none() | json_values,
        "targetUserList": st.lists(st.sampled_from(["alice", "bob", 7]) | json_values) | st.none(),
        "more": json_values,
    },
)
user_ids = st.text("aB0._@:+~-", min_size=1, max_size=128)


def check_nothing_but_a_push_error(body: bytes) -> None:
    for read in (accept, functools.partial(read_push, push_id=None)):
        try:
            push = read(body)
        except PushError as error:
            str(error).encode()
            continue
        assert push.targets is None or all(map(is_user_id, push.targets))
        assert push.targets is None or len(set(push.targets)) == len(push.targets) > 0
        push.content.decode()
        assert read_push(write_push(push), push.id) == push


@given(st.binary() | st.text().map(str.encode))
def test_any_bytes_give_a_push_or_a_push_error(body: bytes) -> None:
    check_nothing_but_a_push_error(body)


@given(near_dtos, st.booleans())
def test_anything_like_a_msg_dto_gives_a_push_or_a_push_error(dto: Any, ascii_only: bool) -> None:
    check_nothing_but_a_push_error(
        json.dumps(dto, ensure_ascii=ascii_only).encode(errors="surrogatepass")
    )


@given(near_dtos.map(json.dumps), st.data())
def test_a_damaged_msg_dto_gives_a_push_or_a_push_error(text: str, data: st.DataObject) -> None:
    body = bytearray(text.encode())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(body) - 1))
        body[place : place + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=3))
        if not body:
            break
    check_nothing_but_a_push_error(bytes(body))


@given(json_values, st.none() | st.lists(user_ids, min_size=1, unique=True).map(tuple))
def test_what_is_written_is_read_back(value: Any, targets: tuple[str, ...] | None) -> None:
    try:
        content = msgspec.json.encode(value)
    except (UnicodeEncodeError, msgspec.MsgspecError, OverflowError):
        return
    push = Push("some-id", content, targets)
    assert read_push(write_push(push), push.id) == push


def test_content_above_the_limit_is_refused_with_its_key() -> None:
    body = b'{"content":"%s","targetUserList":["a"]}' % (b"x" * 98)
    assert accept_push(body, max_targets=1, max_content=100).content == b'"%s"' % (b"x" * 98)
    with pytest.raises(PushError) as caught:
        accept_push(body, max_targets=1, max_content=99)
    assert (caught.value.field, caught.value.limit) == ("content", "max-content")
    assert "100 bytes; expected 99 at most" in caught.value.message


def test_too_many_targets_are_refused_with_the_key_of_their_limit() -> None:
    with pytest.raises(PushError) as caught:
        accept_push(b'{"content":1,"targetUserList":["a","b"]}', max_targets=1)
    assert (caught.value.field, caught.value.limit) == ("targetUserList", "max-targets")

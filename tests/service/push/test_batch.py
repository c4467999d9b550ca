"""The body of a batch request."""

import json
import re
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from service.push.batch import BatchError, accept_batch, read_batch
from service.push.push import Push, PushError, accept_push


@pytest.mark.parametrize(
    ("body", "items"),
    [
        (b'[{"a":1},{"b":2}]', [b'{"a":1}', b'{"b":2}']),
        (b' \n [ 1 , "x,]" , [2] ] \n', [b"1", b'"x,]"', b"[2]"]),
        (b'{"a":1}\n{"b":2}', [b'{"a":1}', b'{"b":2}']),
        (b'{"a":1}\n', [b'{"a":1}']),
        (b'\n\n{"a":1}\n\n{"b":2}\n\n', [b'{"a":1}', b'{"b":2}']),
        # Items are not judged here: a bad one must not cost the others.
        (b"no json\n{", [b"no json", b"{"]),
        (b'["\xff",1]', [b'"\xff"', b"1"]),
    ],
)
def test_an_array_or_lines(body: bytes, items: list[bytes]) -> None:
    assert read_batch(body, max_items=3) == items


def test_lines_may_end_as_on_windows() -> None:
    assert [item.strip() for item in read_batch(b'{"a":1}\r\n\r\n2\r\n', max_items=3)] == [
        b'{"a":1}',
        b"2",
    ]


@pytest.mark.parametrize("body", [b"", b"  \n ", b"[]", b" [ ] "])
def test_an_empty_batch_is_refused(body: bytes) -> None:
    with pytest.raises(BatchError, match="the batch is empty"):
        read_batch(body, max_items=3)


@pytest.mark.parametrize("body", [b"[1,", b"[1]]", b"[1]\n[2]", b"[1,]", b"[" * 100_000])
def test_a_broken_array_is_refused_as_a_whole(body: bytes) -> None:
    with pytest.raises(BatchError, match="no JSON array"):
        read_batch(body, max_items=3)


@pytest.mark.parametrize("body", [b"[1,2,3,4]", b"1\n2\n3\n4"])
def test_the_number_of_items_is_limited(body: bytes) -> None:
    with pytest.raises(BatchError, match="4 pushes; expected 3 at most"):
        read_batch(body, max_items=3)


def test_an_array_nested_too_deeply_is_refused() -> None:
    with pytest.raises(BatchError, match="nested too deeply"):
        read_batch(b"[" + b"[" * 100_000 + b"]" * 100_000 + b"]", max_items=3)


def without_id(item: Push | PushError) -> Any:
    """Give what can be compared: ids are random."""
    if isinstance(item, PushError):
        return item.field, item.message
    return item.content, item.targets


def accept(body: bytes, max_items: int = 100) -> list[Push | PushError]:
    return accept_batch(body, max_items=max_items, max_targets=3)


def one_by_one(body: bytes) -> list[Any]:
    results: list[Any] = []
    for item in read_batch(body, max_items=100):
        try:
            results.append(without_id(accept_push(item, max_targets=3)))
        except PushError as error:
            results.append(without_id(error))
    return results


targets = st.lists(st.sampled_from(["a", "b", 7, {"id": "c"}, "no id", None, "d"]), max_size=5)
items = st.fixed_dictionaries(
    {},
    optional={
        "content": st.none() | st.text() | st.dictionaries(st.text(), st.integers(), max_size=2),
        "allUser": st.booleans() | st.none(),
        "targetUserList": targets,
    },
)
# Of some kinds none can be decoded with the others.
odd_items = items | st.sampled_from([1, None, "x", [], {"content": 1, "allUser": "yes"}])
many = st.lists(items, min_size=1, max_size=6) | st.lists(odd_items, min_size=1, max_size=6)


@given(many, st.booleans(), st.booleans())
@example([{"content": "\ud800", "targetUserList": ["a"]}], True, True)
@example([{"content": "\ud83d\ude00", "targetUserList": ["a"]}], True, True)
@example([{"content": "ü", "targetUserList": ["a", "b", "c", "d"]}], True, False)
def test_pushes_are_accepted_together_as_they_are_one_by_one(
    items: list[Any], array: bool, ascii_only: bool
) -> None:
    texts = [json.dumps(item, ensure_ascii=ascii_only) for item in items]
    text = f"[{','.join(texts)}]" if array else "\n".join(texts)
    body = text.encode(errors="surrogatepass")
    try:
        expected = one_by_one(body)
    except BatchError as error:
        with pytest.raises(BatchError, match=re.escape(str(error))):
            accept(body)
        return
    found = accept(body)
    assert [without_id(item) for item in found] == expected
    ids = [item.id for item in found if isinstance(item, Push)]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("between", [b"", b" ", b"\n"])
def test_one_bad_push_costs_only_itself(between: bytes) -> None:
    good = b'{"content":"x","targetUserList":["a"]}'
    body = between + b"[" + b",".join([good, b'{"content":1,"allUser":3}', b"7", good]) + b"]"
    found = accept(body)
    assert [isinstance(item, Push) for item in found] == [True, False, False, True]
    assert [getattr(item, "content", None) for item in found] == [b'"x"', None, None, b'"x"']


@pytest.mark.parametrize("body", [b"[]", b" [] ", b"", b"\n"])
def test_of_an_empty_batch_nothing_is_accepted(body: bytes) -> None:
    with pytest.raises(BatchError, match="the batch is empty"):
        accept(body)


def test_the_number_of_pushes_is_limited() -> None:
    good = b'{"content":"x","targetUserList":["a"]}'
    assert len(accept(b"[" + b",".join([good] * 3) + b"]", max_items=3)) == 3
    for body in (b"[" + b",".join([good] * 4) + b"]", b"\n".join([good] * 4)):
        with pytest.raises(BatchError, match="4 pushes; expected 3 at most"):
            accept(body, max_items=3)


def test_a_broken_array_is_refused() -> None:
    with pytest.raises(BatchError, match="no JSON array"):
        accept(b'[{"content":1,"allUser":true},')


def test_limits_are_named_by_their_keys() -> None:
    small, large = (b'{"content":"%s","allUser":true}' % (b"x" * size) for size in (1, 500))
    with pytest.raises(BatchError) as caught:
        accept_batch(b"[%s,%s]" % (small, small), max_items=1, max_targets=1)
    assert caught.value.limit == "max-batch"
    with pytest.raises(BatchError) as caught:
        accept_batch(b"[]", max_items=1, max_targets=1)
    assert caught.value.limit == ""
    for body in (b"[%s,%s,%s]" % (small, large, small), b"\n".join((small, large, small))):
        items = accept_batch(body, max_items=9, max_targets=1, max_content=100)
        assert [getattr(item, "limit", None) for item in items] == [None, "max-content", None]

"""The body of a batch request."""

import pytest

from service.batch import BatchError, read_batch


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

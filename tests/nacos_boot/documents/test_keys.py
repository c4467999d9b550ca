import pytest
from hypothesis import given
from hypothesis import strategies as st

from nacos_boot.documents.keys import KeyPath, join_key, split_key, without_index


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("a", ("a",)),
        ("a.b-c", ("a", "b-c")),
        ("a[0]", ("a", 0)),
        ("a[0].b[12].c", ("a", 0, "b", 12, "c")),
        ("a[0][1]", ("a", 0, 1)),
        ("a[b.c]", ("a", "[b.c]")),
        ("a.[b.c].d", ("a", "[b.c]", "d")),
        ("a[b]", ("a", "b")),
        ("a[", ("a[",)),
        ("a[].b", ("a[]", "b")),
        ("a[0].", ("a[0]", "")),
        ("a..b", ("a", "", "b")),
        ("a[[0]]", ("a[[0]]",)),
    ],
)
def test_a_key_taken_apart(key: str, path: KeyPath) -> None:
    assert split_key(key) == path


@given(st.lists(st.text("ab-").filter(bool) | st.integers(0, 999), min_size=1))
def test_a_key_put_together_is_taken_apart_again(path: list[str | int]) -> None:
    if isinstance(path[0], str):
        assert split_key(join_key(path)) == tuple(path)


@given(st.text("ab.[]01"))
def test_any_text_is_a_key(text: str) -> None:
    assert split_key(text) or not text


def test_the_list_that_a_key_lies_in() -> None:
    assert without_index("a.b[0].c[1]") == "a.b"
    assert without_index("a.[b.0].c") == "a.[b.0].c"

import time
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nacos_boot.documents.error import DocumentError
from nacos_boot.documents.parse import DocumentKind, kind_of, parse


def parse_yaml(text: str) -> dict[str, Any]:
    """Read a text of one document at most."""
    documents = parse(text)
    assert len(documents) < 2
    return dict(documents[0].tree) if documents else {}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("", {}, id="empty"),
        pytest.param("# nothing but a comment\n", {}, id="comments only"),
        pytest.param("---\n", {}, id="start marker only"),
        pytest.param("\ufeffa: 1\n", {"a": 1}, id="byte order mark"),
        pytest.param("a: {b: {c: 1}}", {"a": {"b": {"c": 1}}}, id="nested"),
        pytest.param("a.b.c: 1", {"a": {"b": {"c": 1}}}, id="dotted"),
        pytest.param("a.b: 1\na: {c: 2}", {"a": {"b": 1, "c": 2}}, id="dotted and nested"),
        pytest.param("a: {b.c: 1, b: {d: 2}}", {"a": {"b": {"c": 1, "d": 2}}}, id="dotted below"),
        pytest.param("a: {}\na.b: 1", {"a": {"b": 1}}, id="filled after an empty section"),
        pytest.param("a:\nb: ~", {"a": None, "b": None}, id="no value"),
        pytest.param("a: [1, {b.c: 2}]", {"a": [1, {"b": {"c": 2}}]}, id="dotted in a list"),
        pytest.param("a[0]: x\na[1].b: y", {"a": ["x", {"b": "y"}]}, id="indexes"),
        pytest.param('a: {"[b.c]": 1}', {"a": {"[b.c]": 1}}, id="a name in brackets"),
        pytest.param('a: {"[b]": 1}', {"a": {"b": 1}}, id="brackets for nothing"),
        pytest.param("a: 010\nb: '010'\nc: 0x1F", {"a": 8, "b": "010", "c": 31}, id="numbers"),
        pytest.param("a: 1e3\nb: -1.5E-2", {"a": 1000.0, "b": -0.015}, id="exponents"),
        pytest.param("a: '1e3'\nb: 1e3x", {"a": "1e3", "b": "1e3x"}, id="no exponents"),
        pytest.param("a: 1\r\nb:\r\n  c: 2\r\n", {"a": 1, "b": {"c": 2}}, id="CRLF"),
        pytest.param("a: {}\nb: []", {"a": {}, "b": []}, id="nothing in them"),
        pytest.param("a: ~\na.b: 1", {"a": {"b": 1}}, id="filled after no value"),
        pytest.param(
            "level: {app: INFO, app.db: DEBUG}",
            {"level": {"app": "INFO", "app.db": "DEBUG"}},
            id="a value, and keys below it",
        ),
        pytest.param("a: &x {b: 1}\nc: *x", {"a": {"b": 1}, "c": {"b": 1}}, id="alias"),
        pytest.param(
            "a: &x {b: 1, c: 2}\nd: {<<: *x, c: 3}",
            {"a": {"b": 1, "c": 2}, "d": {"b": 1, "c": 3}},
            id="merge key",
        ),
        pytest.param("a: 2026-11-23", {"a": "2026-11-23"}, id="a date stays text"),
        pytest.param("a: 2026-99-99", {"a": "2026-99-99"}, id="no date"),
        pytest.param("a: =", {"a": "="}, id="equals sign"),
        pytest.param("on: 1\n08: 2\n~: 3", {"on": 1, "08": 2, "~": 3}, id="keys are text"),
        pytest.param("a: off\nb: yes", {"a": False, "b": True}, id="YAML 1.1 booleans"),
    ],
)
def test_what_a_document_says(text: str, expected: dict[str, object]) -> None:
    assert parse_yaml(text) == expected


def bomb(link: str) -> str:
    levels = (
        f"\na{level}: &a{level} {link.replace('*', f'*a{level - 1}')}" for level in range(1, 10)
    )
    return "a0: &a0 {x: 1}" + "".join(levels)


LONG_ALIASES = f"a: &a {'x' * 900_000}\nb:\n- *a\n- *a\n"


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        pytest.param("a: 1\nb: 2\na: 3", 3, "'a' stands twice (first in line 1)", id="twice"),
        pytest.param("a:\n  b: 1\n  b: 2", 3, "'b' stands twice", id="twice below"),
        pytest.param("a: [{b: 1, b: 2}]", 1, "'b' stands twice", id="twice in a list"),
        pytest.param('a: 1\n"a": 2', 2, "'a' stands twice", id="twice, once quoted"),
        pytest.param("a: {b: 1}\na.b: 2", 2, "'a.b' is given twice (first in line 1)", id="2"),
        pytest.param("a.b: 1\na: {b: 1}", 2, "'a.b' is given twice", id="dotted first"),
        pytest.param("a:\n\tb: 1", 2, "a tab indents this line", id="tab"),
        pytest.param("a:\n  b: 1\n \tc: 1", 3, "a tab indents this line", id="tab after a space"),
        pytest.param("a: [1", 2, "expected ',' or ']'", id="not closed"),
        pytest.param("a: 1\n  b: 2", 2, "mapping values are not allowed", id="indentation"),
        pytest.param("- a\n- b", 1, "expected a mapping", id="list at the top"),
        pytest.param("just text", 1, "expected a mapping", id="text at the top"),
        pytest.param("? [a]\n: 1", 1, "expected a name as the key", id="list as a key"),
        pytest.param("a: *b", 1, "undefined alias", id="undefined alias"),
        pytest.param("a: !!python/object:x {}", 1, "tag", id="foreign tag"),
        pytest.param("a: !!int ten", 1, "ten", id="value that does not fit its tag"),
        pytest.param("a: !!bool maybe", 1, "maybe", id="no boolean"),
        pytest.param("b: 1\na: \0", 2, "a NUL character (U+0000)", id="NUL"),
        pytest.param("a: \x1b[0m", 1, "that text cannot hold (U+001B)", id="control character"),
        pytest.param("a: !!set {b}", 1, "expected text, a number, a list or keys", id="a set"),
        pytest.param("a: !!binary aGk=", 1, "has the tag", id="binary"),
        pytest.param("b: 1\na[1]: x", 2, "an item [1] but no item [0]", id="a list with a gap"),
        pytest.param("a: [x]\na[0]: y", 2, "'a[0]' is given twice", id="an item twice"),
        pytest.param("a: {'[0]': x, b: y}", 1, "is a list and has names below", id="list and keys"),
        pytest.param("a: x\na[0]: y", 2, "an item of what has a value", id="value and list"),
        pytest.param("'[0]': x", 1, "begins with an index", id="index at the top"),
        pytest.param("a:\n  " + "b" * 1001 + ": 1", 2, "1000 characters", id="too long a key"),
        pytest.param(LONG_ALIASES, 3, "1000000 characters, aliases written", id="bomb of texts"),
        pytest.param("a: 1\n---\nb: {c: 1, c: 2}", 3, "'c' stands twice", id="a later document"),
        pytest.param("a: \ud800", 1, "(U+D800)", id="half a character"),
        pytest.param("a: " + "9" * 5000, 1, "more than 1000", id="huge number"),
        pytest.param("a: 1" + ":1" * 400_000, 1, "more than 1000", id="huge number in base 60"),
        pytest.param("a: 1" + ":1" * 300 + ".5", 1, "too large", id="a real number out of range"),
        pytest.param("a: 0x" + "f" * 90_000, 1, "more than 1000", id="huge number in base 16"),
        pytest.param("a: &a\n  b: *a", 2, "'*a' contains itself", id="alias to itself"),
        pytest.param("a: &a [*a]", 1, "'*a' contains itself", id="list in itself"),
        pytest.param(bomb("[*, *, *, *, *, *, *, *]"), 5, "10000 values", id="bomb of lists"),
        pytest.param(bomb("{k: *, l: *, m: *, n: *}"), 7, "10000 values", id="bomb of mappings"),
        pytest.param(bomb("{<<: [*, *, *, *, *, *]}"), 6, "10000 values", id="bomb of merges"),
        pytest.param("a: [" + "1, " * 10_001 + "]", 1, "10000 values", id="too many values"),
        pytest.param("a: " + "[" * 100_000, 1, "50 levels", id="too deep"),
        pytest.param(".".join("a" * 60) + ": 1", 1, "50 names", id="too many dots"),
        pytest.param("a: " + "x" * 1_000_000, None, "1000000 bytes", id="too large"),
    ],
)
def test_what_is_wrong_with_a_document(text: str, line: int | None, words: str) -> None:
    started = time.perf_counter()
    with pytest.raises(DocumentError) as caught:
        parse_yaml(text)
    assert words in str(caught.value)
    assert caught.value.line == line
    if line:
        assert str(caught.value).startswith(f"line {line}: ")
    assert time.perf_counter() - started < 1.0


SCALARS = st.one_of(st.text(max_size=8), st.integers(), st.floats(), st.booleans(), st.none())


@given(st.text(alphabet=st.sampled_from("ab:.-[]{}&*!<|>'\"#%@, \t\n0123?~=") | st.characters()))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        documents = parse(text)
    except DocumentError:
        return
    lines = text.count("\n") + text.count("\r") + 1
    for document in documents:
        assert document.tree
        assert all(1 <= line <= lines for line in document.lines.values())


NAMES = st.text(alphabet="abcdef", min_size=1, max_size=3)


@given(st.dictionaries(NAMES, st.dictionaries(NAMES, st.integers(), min_size=1)))
def test_dotted_and_nested_keys_mean_the_same(tree: dict[str, dict[str, int]]) -> None:
    nested = "".join(
        f"{name}:\n" + "".join(f"  {key}: {value}\n" for key, value in section.items())
        for name, section in tree.items()
    )
    dotted = "".join(
        f"{name}.{key}: {value}\n"
        for name, section in tree.items()
        for key, value in section.items()
    )
    # A name such as `1e5` would be no text in either form; these are letters only.
    assert parse_yaml(nested) == parse_yaml(dotted) == tree


def test_every_key_section_and_item_has_its_line() -> None:
    text = """\
# a comment
shop:
  name: x
  open.hours: 9-17
  pools:
    - size: 1
      name: >
        long
        text
    - 2
  tags: [a,
    b]
"""
    (document,) = parse(text)
    assert document.lines == {
        "shop": 2,
        "shop.name": 3,
        "shop.open": 4,
        "shop.open.hours": 4,
        "shop.pools": 5,
        "shop.pools[0]": 6,
        "shop.pools[0].size": 6,
        "shop.pools[0].name": 7,
        "shop.pools[1]": 10,
        "shop.tags": 11,
        "shop.tags[0]": 11,
        "shop.tags[1]": 12,
    }


def test_several_documents_in_one_text() -> None:
    first, second = parse("a: 1\n---\n# nothing\n---\nb:\n  c: 2\n...\n")
    assert (first.tree, first.line) == ({"a": 1}, 1)
    assert (second.tree, second.lines) == ({"b": {"c": 2}}, {"b": 5, "b.c": 6})


def test_an_anchor_ends_with_its_document() -> None:
    with pytest.raises(DocumentError, match="undefined alias"):
        parse("a: &x 1\n---\nb: *x")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("shop.yml", "yml"),
        ("shop-eu.YAML", "yaml"),
        ("shop.v2.properties", "properties"),
        ("shop.json", "json"),
        ("shop.txt", "yaml"),
        ("shop", "yaml"),
        ("yml", "yml"),
    ],
)
def test_the_kind_of_a_document(name: str, expected: DocumentKind) -> None:
    assert kind_of(name, "yaml") == expected


def test_what_is_too_large_is_not_looked_at() -> None:
    for kind in get_args(DocumentKind):
        with pytest.raises(DocumentError, match="larger than 1000000 bytes"):
            parse("#" * 5_000_000, kind)

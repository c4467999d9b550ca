import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nacos_boot.documents.error import DocumentError
from nacos_boot.documents.parse import parse


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param('{"a": 1}', {"a": 1}, id="number"),
        pytest.param('\ufeff {"a": "x"}\r\n', {"a": "x"}, id="byte order mark"),
        pytest.param('{"a": -1.5e2}', {"a": -150.0}, id="fraction"),
        pytest.param('{"a": [true, false, null]}', {"a": [True, False, None]}, id="words"),
        pytest.param('{"a": null, "b": {"c": null}, "d": 1}', {"d": 1}, id="null is no value"),
        pytest.param('{"a": [{"b": null}]}', {"a": [{"b": None}]}, id="null in a list"),
        pytest.param(r'{"a": "\u00e9\n\/\ud83d\ude00"}', {"a": "é\n/😀"}, id="escapes"),
        pytest.param('{"a": {}, "b": []}', {"a": {}, "b": []}, id="nothing in them"),
        pytest.param('{"a.b": 1, "a": {"c": 2}}', {"a": {"b": 1, "c": 2}}, id="dotted"),
        pytest.param('{"a": [{"b.c": 1}]}', {"a": [{"b": {"c": 1}}]}, id="dotted in a list"),
        pytest.param('{"a[0]": 1, "a[1]": 2}', {"a": [1, 2]}, id="indexes"),
    ],
)
def test_what_a_document_says(text: str, expected: dict[str, object]) -> None:
    (document,) = parse(text, "json")
    assert document.tree == expected


@pytest.mark.parametrize("text", ["", " \n", "{}"])
def test_a_document_that_says_nothing(text: str) -> None:
    assert parse(text, "json") == []


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        pytest.param('{"a": 1,\n"a": 2}', 2, "'a' stands twice (first in line 1)", id="twice"),
        pytest.param('{"b":\n{"a": 1,\n"a": 2}}', 3, "'a' stands twice", id="twice below"),
        pytest.param('{"a.b": 1,\n"a": {"b": 2}}', 2, "'a.b' is given twice", id="dotted"),
        pytest.param("[]", 1, "expected an object", id="list at the top"),
        pytest.param('{"a": 1}\n{}', 2, "nothing after the object", id="two"),
        pytest.param('{"a": 1,\n}', 2, "expected a key in double quotes", id="comma at the end"),
        pytest.param('{"a": [1,\n]}', 2, "expected a value", id="comma in a list"),
        pytest.param('{"a": 1\n"b": 2}', 2, "expected ',' or '}'", id="no comma"),
        pytest.param('{"a"\n1}', 2, "expected ':' after the key 'a'", id="no colon"),
        pytest.param("{a: 1}", 1, "expected a key in double quotes", id="bare key"),
        pytest.param("{\n'a': 1}", 2, "expected a key in double quotes", id="single quotes"),
        pytest.param('{"a": NaN}', 1, "expected a value", id="not a number"),
        pytest.param('{"a": 01}', 1, "expected ',' or '}'", id="leading zero"),
        pytest.param('{"a": // x\n1}', 1, "expected a value", id="comment"),
        pytest.param('{"a":\n"x', 2, "not valid JSON", id="open text"),
        pytest.param('{"a": "x\ty"}', 1, "not valid JSON", id="tab in a text"),
        pytest.param('{"a": "\\ud83d"}', 1, "half a character", id="half a pair"),
        pytest.param('{"a": ' + "9" * 5000 + "}", 1, "more than 1000 characters", id="huge number"),
        pytest.param('{"a": 1', 1, "expected ',' or '}'", id="not closed"),
        pytest.param("{", 1, "expected a key", id="hardly begun"),
        pytest.param('{"a": ' + "[" * 100_000, 1, "50 levels", id="too deep"),
        pytest.param('{"a": [' + "1," * 10_001 + "1]}", 1, "10000 values", id="too many"),
        pytest.param('{"a": "\0"}', 1, "a NUL character", id="NUL"),
    ],
)
def test_what_is_wrong_with_a_document(text: str, line: int, words: str) -> None:
    with pytest.raises(DocumentError) as caught:
        parse(text, "json")
    assert words in str(caught.value)
    assert caught.value.line == line


def test_lines() -> None:
    (document,) = parse('{\n"a": {\n"b": 1,\n"c":\n2},\n"d": [1,\n{"e": 3}]}', "json")
    assert document.lines == {
        "a": 2,
        "a.b": 3,
        "a.c": 4,
        "d": 6,
        "d[0]": 6,
        "d[1]": 7,
        "d[1].e": 7,
    }


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(blacklist_categories=["Cc", "Cs", "Cn"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text("abc", min_size=1), inner),
    max_leaves=20,
)


def without_nulls(tree: dict[str, Any]) -> dict[str, Any]:
    found = {
        key: without_nulls(value) if isinstance(value, dict) else value
        for key, value in tree.items()
    }
    return {
        key: value for key, value in found.items() if value is not None and (value or not tree[key])
    }


@given(st.dictionaries(st.text("abc", min_size=1), VALUES, min_size=1))
def test_json_is_read_as_the_standard_library_reads_it(tree: dict[str, Any]) -> None:
    documents = parse(json.dumps(tree, indent=1), "json")
    assert [document.tree for document in documents if document.tree] == (
        [expected] if (expected := without_nulls(tree)) else []
    )


@given(st.text(alphabet=st.sampled_from('ab{}[],:"\\u0123.eE+- \n\ttruefalsnl')))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        parse(text, "json")
    except DocumentError:
        return
    if text.strip():
        json.loads(text)

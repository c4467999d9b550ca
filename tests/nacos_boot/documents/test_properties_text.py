from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nacos_boot.documents.error import DocumentError
from nacos_boot.documents.parse import parse


def read(text: str) -> dict[str, Any]:
    documents = parse(text, "properties")
    assert len(documents) < 2
    return dict(documents[0].tree) if documents else {}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("", {}, id="empty"),
        pytest.param("# a\n  ! b\n\n", {}, id="comments only"),
        pytest.param("a=1", {"a": "1"}, id="equals"),
        pytest.param("a:1", {"a": "1"}, id="colon"),
        pytest.param("a 1", {"a": "1"}, id="space"),
        pytest.param("a\t1", {"a": "1"}, id="tab"),
        pytest.param("  a  =  1  ", {"a": "1  "}, id="blanks around"),
        pytest.param("a = : 1", {"a": ": 1"}, id="one separator only"),
        pytest.param("a", {"a": ""}, id="no value"),
        pytest.param("a=", {"a": ""}, id="empty value"),
        pytest.param("a=b=c:d e", {"a": "b=c:d e"}, id="separators in the value"),
        pytest.param("a.b.c=1\na.d=2", {"a": {"b": {"c": "1"}, "d": "2"}}, id="dotted"),
        pytest.param("a\\ b\\=c\\:d=1", {"a b=c:d": "1"}, id="escapes in the key"),
        pytest.param(r"a=\t\n\r\f\\\q", {"a": "\t\n\r\f\\q"}, id="escapes"),
        pytest.param(r"a=\u00e9\u4E2D", {"a": "é中"}, id="unicode"),
        pytest.param(r"a=\ud83d\ude00", {"a": "😀"}, id="a pair of surrogates"),
        pytest.param("a=中", {"a": "中"}, id="unicode as it is"),
        pytest.param("a=x,\\\n    y,\\\n  z", {"a": "x,y,z"}, id="continued"),
        pytest.param("a=x\\\\\nb=1", {"a": "x\\", "b": "1"}, id="an escaped backslash ends it"),
        pytest.param("a=x\\\n\nb=1", {"a": "x", "b": "1"}, id="continued by nothing"),
        pytest.param("a=x\\", {"a": "x"}, id="continued at the end"),
        pytest.param("a=x\\\n# y", {"a": "x# y"}, id="no comment within"),
        pytest.param("# x\\\na=1", {"a": "1"}, id="comments do not continue"),
        pytest.param("a=1\r\nb=2\rc=3", {"a": "1", "b": "2", "c": "3"}, id="line ends"),
        pytest.param("\ufeffa=1", {"a": "1"}, id="byte order mark"),
        pytest.param("a\f=1", {"a": "1"}, id="form feed"),
        pytest.param("a[0]=x\na[1]=y", {"a": ["x", "y"]}, id="list"),
        pytest.param("a[1]=y\na[0]=x", {"a": ["x", "y"]}, id="list in any order"),
        pytest.param(
            "a[0].b=x\na[0].c=y\na[1].b=z",
            {"a": [{"b": "x", "c": "y"}, {"b": "z"}]},
            id="list of sections",
        ),
        pytest.param("a[0][0]=x\na[0][1]=y", {"a": [["x", "y"]]}, id="list in a list"),
        pytest.param("a.[b.c]=1\nd[e.f]=2", {"a": {"[b.c]": "1"}, "d": {"[e.f]": "2"}}, id="names"),
        pytest.param("a[b=1", {"a[b": "1"}, id="half a bracket"),
        pytest.param("app=INFO\napp.db=DEBUG", {"app": "INFO", "app.db": "DEBUG"}, id="both"),
    ],
)
def test_what_a_document_says(text: str, expected: dict[str, object]) -> None:
    assert read(text) == expected


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        pytest.param("a=1\n\na=2", 3, "'a' is given twice (first in line 1)", id="twice"),
        pytest.param("a=1\nb=x\\\ny\na=2", 4, "'a' is given twice", id="lines are the text's"),
        pytest.param("b=1\n=1", 2, "expected a key before", id="no key"),
        pytest.param("a=\\u12", 1, "four hexadecimal digits", id="half a code"),
        pytest.param("b=1\na=\\ud83d", 2, "half a character", id="half a pair"),
        pytest.param("a=\0", 1, "a NUL character", id="NUL"),
        pytest.param("a[0]=x\na[2]=y", 2, "an item [2] but no item [1]", id="a gap"),
        pytest.param("a[0]=x\na.b=y", 1, "is a list and has names below it", id="list and names"),
        pytest.param("a.b=1\n" * 10_001, 10_001, "more than 10000 values", id="too many"),
        pytest.param("b=1\n" + "a" * 1001 + "=1", 2, "more than 1000 characters", id="too long"),
        pytest.param("a[999999999]=1", 1, "no item [0]", id="a huge index"),
        pytest.param("b=1\n" + "a." * 60 + "=1", 2, "more than 50 names", id="too deep"),
    ],
)
def test_what_is_wrong_with_a_document(text: str, line: int, words: str) -> None:
    with pytest.raises(DocumentError) as caught:
        parse(text, "properties")
    assert words in str(caught.value)
    assert caught.value.line == line


def test_lines() -> None:
    (document,) = parse("# x\na.b=1\\\n  2\n\nc[0].d=3", "properties")
    assert document.lines == {"a": 2, "a.b": 2, "c": 5, "c[0]": 5, "c[0].d": 5}


def test_several_documents() -> None:
    text = "a=1\n#---\nb=2\n!--- \n\nc=3\n #---\nd=4\n#----\ne=5"
    first, second, third = parse(text, "properties")
    assert first.tree == {"a": "1"}
    assert (second.tree, second.line, second.lines) == ({"b": "2"}, 3, {"b": 3})
    assert third.tree == {"c": "3", "d": "4", "e": "5"}


@pytest.mark.parametrize("text", ["a=1\n# x\n#---\na=2", "a=1\n#---\n# x\na=2"])
def test_a_separator_beside_a_comment_is_one_itself(text: str) -> None:
    with pytest.raises(DocumentError, match="given twice"):
        parse(text, "properties")


@given(st.text(alphabet=st.sampled_from("ab.=:#![]0 \\u\t\n\r\fé-") | st.characters()))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        documents = parse(text, "properties")
    except DocumentError:
        return
    assert all(document.tree for document in documents)


def escaped(text: str) -> str:
    # What java.util.Properties.store() does.
    special = {"\t": "\\t", "\n": "\\n", "\r": "\\r", "\f": "\\f"}
    return "".join(
        special.get(one)
        or (
            f"\\{one}"
            if one in " =:#!\\"
            else f"\\u{ord(one):04x}"
            if not 32 < ord(one) < 127
            else one
        )
        for one in text
    )


@given(
    st.dictionaries(
        st.text(st.characters(max_codepoint=0xD7FF, blacklist_characters=".[]"), min_size=1),
        st.text(st.characters(max_codepoint=0xD7FF)),
    )
)
def test_what_java_stores_is_read_back(values: dict[str, str]) -> None:
    assert read("".join(f"{escaped(k)}={escaped(v)}\n" for k, v in values.items())) == values

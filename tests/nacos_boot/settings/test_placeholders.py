import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nacos_boot.settings.placeholders import PlaceholderError, resolve

ENVIRON = {
    "HOST": "10.0.0.1",
    "EMPTY": "",
    "WHICH": "HOST",
    "POINTS_ON": "${HOST}",
    "SERVER_PORT": "81",
    "DEMO_MAXSIZE": "9",
    "X:Y": "colon",
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("${HOST}", "10.0.0.1"),
        ("http://${HOST}:${PORT:80}/", "http://10.0.0.1:80/"),
        ("${MISSING:}", ""),
        ("${EMPTY:default}", ""),
        ("${MISSING:${HOST}}", "10.0.0.1"),
        ("${MISSING:${ALSO:inner}}", "inner"),
        ("${${WHICH}}", "10.0.0.1"),
        ("${POINTS_ON}", "10.0.0.1"),
        ("${ HOST }", "10.0.0.1"),
        ("${MISSING:a:b}", "a:b"),
        ('${MISSING:{"a": {"b": 1}}}', '{"a": {"b": 1}}'),
        ("${demo.name}", "carol"),
        ("${demo.on} ${demo.size} ${demo.ratio}", "true 5 0.5"),
        ("${demo.chain}", "carol!"),
        ("[${demo.nothing:default}]", "[]"),
        ("${demo.maxItems} ${demo.max-items} ${demo.MAX_ITEMS}", "3 3 3"),
        ("${demo.free-slots} ${demo.freeSlots}", "4 4"),
        ("${demo.large} ${demo.list-of-none:none}", "1.0E10 none"),
        ("${demo:default}", "default"),
        ("${server.port}", "81"),
        ("${demo.max-size}", "9"),
        ("$HOST {HOST} $ {HOST}", "$HOST {HOST} $ {HOST}"),
        ("${HOST}}", "10.0.0.1}"),
        (r"\${HOST}", "${HOST}"),
        (r"a\${HOST} ${HOST}", "a${HOST} 10.0.0.1"),
        (r"\${HOST:${HOST}}", "${HOST:10.0.0.1}"),
        (r"${MISSING:\${HOST}}", "${HOST}"),
        (r"${A\:B:c:d}", "c:d"),
        (r"${X\:Y}", "colon"),
        (r"C:\dir\${HOST}", r"C:\dir${HOST}"),
        ("${demo.escaped}", "${HOST}"),
        ("${demo.list[1]}", "second"),
        ("${demo.sections[0].name}", "first"),
        ("${demo.list[2]:none} ${demo.list:none}", "none none"),
    ],
)
def test_what_a_placeholder_becomes(text: str, expected: str) -> None:
    tree = {
        "text": text,
        "demo": {
            "name": "carol",
            "on": True,
            "size": 5,
            "ratio": 0.5,
            "nothing": None,
            "max-items": 3,
            "freeSlots": 4,
            "large": 1e10,
            "chain": "${demo.name}!",
            "escaped": r"\${HOST}",
            "list": ["first", "second"],
            "sections": [{"name": "first"}],
        },
    }
    assert resolve(tree, ENVIRON)["text"] == expected


def test_only_texts_are_touched_wherever_they_stand() -> None:
    tree = {"a": [1, "${HOST}", {"b": "${HOST}"}], "c": {"d": None, "e": 2.5}}
    expected = {"a": [1, "10.0.0.1", {"b": "10.0.0.1"}], "c": {"d": None, "e": 2.5}}
    assert resolve(tree, ENVIRON) == expected


@pytest.mark.parametrize(
    ("tree", "key", "words"),
    [
        ({"a": {"b": "${MISSING}"}}, "a.b", "'${MISSING}' has no value: set MISSING in"),
        ({"a": ["x", "${MISSING}"]}, "a[1]", "has no value"),
        ({"a": "${b}", "b": {"c": 1}}, "a", "has no value"),
        ({"a": "${random.uuid}"}, "a", "'${random.uuid}' is not honoured here"),
        ({"a": "${b"}, "a", "not closed by '}'"),
        ({"a": "${b:${c}"}, "a", "not closed by '}'"),
        ({"a": "${a}"}, "a", "refers to itself (a -> a)"),
        ({"a": {"b": "x${a.c}"}, "a.c": 1, "c": 2}, "a.b", "has no value"),
        ({"a": "${b}", "b": "${c}", "c": "${b}"}, "a", "refers to itself (b -> c -> b)"),
        ({"a": "${X:${a}}"}, "a", "refers to itself"),
        ({"a": "${x" * 40 + "}" * 40}, "a", "32 deep"),
        ({f"a{i}": f"${{a{i + 1}}}" for i in range(40)} | {"a40": ""}, "a0", "32 deep"),
        (
            {f"a{i}": f"${{a{i + 1}}}${{a{i + 1}}}" for i in range(30)} | {"a30": ""},
            "a0",
            "10000 replacements",
        ),
        ({"a": "${b}" * 3, "b": "x" * 500_000}, "a", "1000000 characters"),
        ({"a": "${b}" * 20_000, "b": ""}, "a", "10000 replacements"),
    ],
    ids=[
        "missing",
        "missing in a list",
        "a section is no value",
        "random",
        "not closed",
        "not closed within",
        "itself",
        "dotted key",
        "in a circle",
        "itself as the default",
        "nested too deep",
        "too long a chain",
        "doubling",
        "too long",
        "too many",
    ],
)
def test_what_is_wrong_with_a_placeholder(tree: dict[str, Any], key: str, words: str) -> None:
    started = time.perf_counter()
    with pytest.raises(PlaceholderError) as caught:
        resolve(tree, ENVIRON)
    assert caught.value.key == key
    assert words in str(caught.value)
    assert time.perf_counter() - started < 1.0


def test_a_missing_name_is_told_as_written_not_with_what_it_resolves_to() -> None:
    with pytest.raises(PlaceholderError) as caught:
        resolve({"a": "${${PASSWORD}}"}, {"PASSWORD": "hunter2"})
    assert "hunter2" not in str(caught.value)
    assert "${${PASSWORD}}" in str(caught.value)


TEXTS = st.text(alphabet=st.sampled_from("${}:.abc "), max_size=40)


@given(
    st.dictionaries(st.sampled_from("abc"), TEXTS), st.dictionaries(st.sampled_from("abc"), TEXTS)
)
def test_any_tree_is_resolved_or_refused(tree: dict[str, str], environ: dict[str, str]) -> None:
    try:
        result = resolve(tree, environ)
    except PlaceholderError:
        return
    assert result.keys() == tree.keys()
    for key, text in tree.items():
        if "${" not in text:
            assert result[key] == text


@given(st.text(alphabet=st.sampled_from("${}:.a "), max_size=20))
def test_what_is_escaped_stays_as_it_is(text: str) -> None:
    assert resolve({"a": text.replace("${", r"\${")}, {})["a"] == text

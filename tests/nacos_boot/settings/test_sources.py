from typing import Any

import pytest

from nacos_boot.settings.sources import PropertySource, leaves, merge, put


@pytest.mark.parametrize(
    ("trees", "expected"),
    [
        ([{"a": 1}, {"a": 2}], {"a": 2}),
        ([{"a": {"b": 1, "c": 2}}, {"a": {"b": 3}}], {"a": {"b": 3, "c": 2}}),
        ([{"a": [1, 2, 3]}, {"a": [4]}], {"a": [4]}),
        ([{"a": {"b": 1}}, {"a": {}}], {"a": {"b": 1}}),
        ([{"a": {}}], {"a": {}}),
        ([{"a": 1}, {"a": None}], {"a": None}),
        ([{"a": "x"}, {"a": {"b": "y"}}], {"a": "x", "a.b": "y"}),
        ([{"a": {"b": {"c": "y"}}}, {"a": "x"}], {"a": "x", "a.b.c": "y"}),
        ([{"a": "x", "a.b": "y"}, {"a": {"b": "z"}}], {"a": "x", "a.b": "z"}),
    ],
    ids=[
        "the later value",
        "sections key by key",
        "lists as a whole",
        "an empty section takes nothing away",
        "an empty section is kept",
        "no value over a value",
        "a key below a value",
        "a value above a key",
        "a key below a value, twice",
    ],
)
def test_merging_from_the_lowest_to_the_highest(
    trees: list[dict[str, Any]], expected: dict[str, Any]
) -> None:
    sources = [PropertySource(str(index), tree) for index, tree in enumerate(trees)]
    assert merge(sources).tree == expected


def test_every_leaf_knows_its_source() -> None:
    merged = merge(
        [
            PropertySource("low", {"a": {"b": 1, "c": 2}, "d": 3}),
            PropertySource("high", {"a": {"b": 4}}),
        ]
    )
    assert merged.origin_of("a.b") == "high"
    assert merged.origin_of("a.c") == "low"
    assert merged.origin_of("a") == "high, low"
    assert merged.origin_of("a.b.below") == "high"
    assert merged.origin_of("elsewhere") == "the defaults"
    assert merge([]).origin_of("") == "the defaults"


def test_sources_are_left_as_they_are() -> None:
    low = PropertySource("low", {"a": {"b": 1}})
    merge([low, PropertySource("high", {"a": {"b": 2}})])
    assert low.tree == {"a": {"b": 1}}


def test_a_name_with_dots_stands_for_several() -> None:
    tree: dict[str, Any] = {"a": {"b": 1}}
    put(tree, ["a.c", "d"], 2)
    assert tree == {"a": {"b": 1, "c": {"d": 2}}}
    assert list(leaves(tree)) == [(("a", "b"), 1), (("a", "c", "d"), 2)]


def test_a_line_is_that_of_the_source_that_gave_the_value() -> None:
    low = PropertySource(
        "low",
        {"a": {"b": 1, "c": [1, 2]}, "d": 1},
        {"a": 1, "a.b": 2, "a.c": 3, "a.c[1]": 4, "d": 5},
    )
    high = PropertySource("high", {"a": {"b": 2, "c": [3]}})
    merged = merge([low, high])
    assert [merged.line_of(key) for key in ("a.b", "a.c", "a.c[1]", "d")] == [None, None, None, 5]
    merged = merge([high, low])
    assert [merged.line_of(key) for key in ("a", "a.b", "a.c[0]", "a.c[1]")] == [1, 2, 3, 4]
    assert merged.origin_of("a.c[1]") == "low"

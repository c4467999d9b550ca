"""What a soak takes for flat."""

from dataclasses import replace

import pytest

from bench.soak_figures import LEAST_GROWTH, MB, MORE_FILES, Done, Rest, growths, table, told

FIRST = Rest(2.0, 70 * MB, 50 * MB, 27, 22, 3, 3, 0, 3)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"node": 70 * MB + LEAST_GROWTH, "gateway": 10 * MB},
        {"node_files": 27 + MORE_FILES, "gateway_files": 5},
    ],
)
def test_what_wavers_is_flat(changes: dict[str, int]) -> None:
    assert growths([FIRST, replace(FIRST, minute=20.0, **changes)]) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"node": 75 * MB}, "the memory of a node grew from 70.0 to 75.0 MB"),
        ({"gateway": 60 * MB}, "the memory of a gateway grew"),
        ({"node_files": 60}, "node files grew from 27 to 60"),
        ({"redis_keys": 4}, "redis keys went from 3 to 4"),
        ({"queues": 2}, "queues went from 3 to 2"),
        ({"messages": 1}, "messages went from 0 to 1"),
        ({"instances": 4}, "instances went from 3 to 4"),
    ],
)
def test_what_grows_or_is_left_over_is_told(changes: dict[str, int], words: str) -> None:
    middle = replace(FIRST, node=90 * MB)
    (fault,) = growths([FIRST, middle, replace(FIRST, minute=20.0, **changes)])
    assert words in fault


def test_the_figures_are_a_table_and_a_sentence() -> None:
    lines = table([FIRST]).splitlines()
    assert lines[2] == "| 2 | 70.0 | 50.0 | 27 | 22 | 3 | 3 | 0 | 3 |"
    assert all(line.count("|") == 10 for line in lines)
    assert told(Done(connections=1200, missed=1)).startswith("1,200 connections came and went")

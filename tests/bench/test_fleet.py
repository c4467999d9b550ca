from collections.abc import Callable, Sequence

import pytest

from bench.clusters import spread
from bench.heartbeat import Calls, ticks
from devtools.waiting import StartError


@pytest.mark.parametrize(
    ("total", "places", "counts"),
    [(248, 31, [8] * 31), (248, 7, [36, 36, 36, 35, 35, 35, 35]), (1, 3, [1, 0, 0])],
)
def test_users_are_spread_evenly(total: int, places: int, counts: list[int]) -> None:
    assert spread(total, places) == counts


def looks(seen: Sequence[tuple[int, int]]) -> Callable[[], Calls]:
    calls = [Calls(*found) for found in seen]
    return lambda: calls.pop(0) if len(calls) > 1 else calls[0]


def test_the_commands_of_a_tick_are_those_from_beat_to_beat() -> None:
    # The first beat ends a tick that had begun before anybody looked.
    seen = [(100, 7), (103, 7), (104, 8), (104, 8), (107, 8), (110, 9), (117, 10)]
    assert ticks(looks(seen), 2) == [6, 7]


def test_without_a_beat_there_is_nothing_to_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.heartbeat._LIMIT", 0.1)
    with pytest.raises(StartError, match="no heartbeat"):
        ticks(looks([(100, 7)]), 1)

"""Ranges hold what a set of the same numbers holds."""

from hypothesis import given
from hypothesis import strategies as st

from service.broker.ranges import Ranges, count

NUMBERS = st.integers(0, 30)
CALLS = st.lists(st.tuples(st.sampled_from(["add", "take_out", "first"]), NUMBERS, NUMBERS))


@given(CALLS)
def test_they_hold_what_a_set_holds(calls: list[tuple[str, int, int]]) -> None:
    ranges, numbers = Ranges(), set[int]()
    for call, first, last in calls:
        named = set(range(first, last + 1))
        if call == "add":
            ranges.add(first, last)
            numbers |= named
        elif call == "take_out":
            assert members(ranges.take_out(first, last)) == sorted(numbers & named)
            numbers -= named
        else:
            taken = ranges.take_first()
            assert len(taken) == bool(numbers)
            numbers -= set(members(taken))
        assert members(list(ranges)) == sorted(numbers)
        assert [number for number in range(32) if number in ranges] == sorted(numbers)
        assert (ranges.count, bool(ranges)) == (len(numbers), bool(numbers))
        # No two touch: there are no more of them than needed.
        assert ranges.pieces == sum(number - 1 not in numbers for number in numbers)
    assert ranges.clear() == len(numbers)
    assert not ranges


def members(ranges: list[tuple[int, int]]) -> list[int]:
    found = [number for first, last in ranges for number in range(first, last + 1)]
    assert count(ranges) == len(found)
    return found

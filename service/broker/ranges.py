"""Numbers that are kept as ranges, because they come in runs. Pure."""

from bisect import insort
from collections.abc import Iterator

Range = tuple[int, int]
"""First and last number; both belong to it."""


class Ranges:
    """A set of whole numbers; every call takes as long as there are ranges, not numbers."""

    def __init__(self) -> None:
        self._ranges: list[Range] = []

    def __iter__(self) -> Iterator[Range]:
        """Go through the ranges, upwards; no two of them touch."""
        return iter(self._ranges)

    def __bool__(self) -> bool:
        """Tell whether there is any number."""
        return bool(self._ranges)

    def __contains__(self, number: int) -> bool:
        """Tell whether a number is among them."""
        return any(first <= number <= last for first, last in self._ranges)

    @property
    def pieces(self) -> int:
        """How many ranges there are."""
        return len(self._ranges)

    @property
    def count(self) -> int:
        """How many numbers there are."""
        return count(self._ranges)

    def add(self, first: int, last: int) -> None:
        """Add the numbers of a range; an empty one (`last` < `first`) adds none."""
        if last < first:
            return
        apart: list[Range] = []
        for low, high in self._ranges:
            if high + 1 < first or last + 1 < low:
                apart.append((low, high))
            else:
                first, last = min(first, low), max(last, high)
        insort(apart, (first, last))
        self._ranges = apart

    def take_out(self, first: int, last: int) -> list[Range]:
        """Remove the numbers of a range; gives those that were there."""
        if last < first:
            return []
        found: list[Range] = []
        left: list[Range] = []
        for low, high in self._ranges:
            if high < first or last < low:
                left.append((low, high))
                continue
            found.append((max(low, first), min(high, last)))
            if low < first:
                left.append((low, first - 1))
            if last < high:
                left.append((last + 1, high))
        self._ranges = left
        return found

    def take_first(self) -> list[Range]:
        """Remove the lowest range; gives it."""
        return [self._ranges.pop(0)] if self._ranges else []

    def clear(self) -> int:
        """Remove all; gives how many numbers there were."""
        found, self._ranges = self._ranges, []
        return count(found)


def count(ranges: list[Range]) -> int:
    """Give how many numbers there are in ranges that do not overlap."""
    return sum(last - first + 1 for first, last in ranges)

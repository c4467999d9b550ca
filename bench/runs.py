"""Interleaved runs: every contender once per run, so that what disturbs one disturbs all."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

from bench.figures import significant
from bench.row import Goal, Row

RUNS = 5
QUICK_RUNS = 2


@dataclass(frozen=True)
class Figures:
    """What each contender reached, run by run."""

    runs: Mapping[str, list[float]]

    def median(self, name: str) -> float:
        """Give a contender's median."""
        return median(self.runs[name])

    def ratio(self, ours: str, peer: str) -> float:
        """Give the median of the quotients of each run."""
        return median(a / b for a, b in zip(self.runs[ours], self.runs[peer], strict=True))

    def row(  # the row's columns
        self, what: str, unit: str, ours: str, peer: str = "", goal: Goal | None = None
    ) -> Row:
        """Compare one contender with another, or let it stand by itself."""
        if not peer:
            return Row(what, unit, self.median(ours), goal=goal)
        return Row(
            what, unit, self.median(ours), peer, self.median(peer), self.ratio(ours, peer), goal
        )

    def json(self) -> dict[str, Any]:
        """Give every run's figures."""
        return {name: [significant(figure) for figure in runs] for name, runs in self.runs.items()}


def interleave(contenders: Mapping[str, Callable[[], float]], count: int) -> Figures:
    """Run all contenders `count` times, each run beginning with another one."""
    names = list(contenders)
    runs: dict[str, list[float]] = {name: [] for name in names}
    for number in range(count):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            runs[name].append(contenders[name]())
    return Figures(runs)

"""One line of the results: our figure beside a peer's of the same runs, and the goal."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

_HEADS = ("what", "unit", "ours", "peer", "the peer's", "ratio", "goal", "")
_RIGHT = frozenset({"ours", "the peer's", "ratio", "goal"})


@dataclass(frozen=True, slots=True)
class Goal:
    """What a row must reach: a bound for the ratio ours / theirs, or for our figure itself."""

    bound: float
    side: Literal["at least", "at most"] = "at least"
    of: Literal["ratio", "figure"] = "ratio"

    def loosened(self, slack: float) -> "Goal":
        """Give the goal of a rough run; a slack of 0.25 forgives a quarter."""
        kept = 1 - slack
        bound = self.bound * kept if self.side == "at least" else self.bound / kept
        return replace(self, bound=round(bound, 3))

    def __str__(self) -> str:
        sign = "≥" if self.side == "at least" else "≤"
        return f"{sign} {self.bound:g}"


@dataclass(frozen=True, slots=True)
class Row:
    """What was measured. Without `peer` there is nothing to compare, without `goal` no aim."""

    what: str
    unit: str
    ours: float
    peer: str = ""
    theirs: float | None = None
    ratio: float | None = None
    goal: Goal | None = None

    @property
    def short(self) -> bool:
        """Whether the goal is missed."""
        if self.goal is None:
            return False
        measured = self.ratio if self.goal.of == "ratio" else self.ours
        if measured is None:
            return True
        # As printed: what reads as reached counts as reached.
        rounded = round(measured, 2)
        if self.goal.side == "at least":
            return rounded < self.goal.bound
        return rounded > self.goal.bound

    def json(self) -> dict[str, Any]:
        """Give it with whether the goal is missed."""
        return {**asdict(self), "short": self.short}


def row_of(written: dict[str, Any]) -> Row:
    """Read what `Row.json` gave."""
    fields = {name: value for name, value in written.items() if name != "short"}
    goal = fields.pop("goal")
    return Row(**fields, goal=Goal(**goal) if goal else None)


def table(rows: Sequence[Row]) -> str:
    """Write rows as a Markdown table, as docs/performance.md holds it."""
    lines = [_HEADS, *(_cells(row) for row in rows)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(_HEADS))]
    right = [head in _RIGHT for head in _HEADS]
    written = [_line(line, widths, right) for line in lines]
    rule = [
        "-" * (width - 1) + ":" if is_right else "-" * width
        for width, is_right in zip(widths, right, strict=True)
    ]
    written.insert(1, _line(rule, widths, right))
    return "\n".join(written)


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row.what,
        row.unit,
        number(row.ours),
        row.peer,
        "" if row.theirs is None else number(row.theirs),
        "" if row.ratio is None else f"{row.ratio:.2f}",
        "" if row.goal is None else str(row.goal),
        "short" if row.short else "",
    )


def _line(cells: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    padded = (
        cell.rjust(width) if is_right else cell.ljust(width)
        for cell, width, is_right in zip(cells, widths, right, strict=True)
    )
    return f"| {' | '.join(padded)} |"


def number(value: float) -> str:
    """Write a figure with about three digits that mean something."""
    if abs(value) >= 100:  # noqa: PLR2004 - from here on whole numbers have three digits
        return f"{value:,.0f}"
    return f"{value:.3g}"

"""Markdown tables, and numbers in them."""

import math
from collections.abc import Collection, Sequence

_WHOLE = 10
_DIGITS = 2


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], right: Collection[int]) -> str:
    """Write a table; the columns in `right` are right-aligned."""
    rules = ["---:" if place in right else "---" for place in range(len(heads))]
    return "\n".join("| " + " | ".join(line) + " |" for line in (heads, rules, *rows))


def number(value: float) -> str:
    """Write a number with two significant digits, or as a whole number."""
    if not value:
        return "0"
    digits = _DIGITS - 1 - math.floor(math.log10(abs(value)))
    rounded = round(value, digits)
    return f"{rounded:,.{max(digits, 0)}f}"


def count(value: float) -> str:
    """Write a whole number."""
    return f"{value:,.0f}"


def percent(value: float) -> str:
    """Write a part as a percentage, many times a whole as a factor."""
    return f"{number(value)} times" if value >= _WHOLE else f"{number(value * 100)} %"


def million(value: float) -> str:
    """Write a number of millions."""
    return f"{value / 1e6:.3g} million"

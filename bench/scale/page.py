"""docs/scale.md: its tables stand between marks, and are what the simulation prints."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from bench.scale import cells, questions, tables
from bench.scale.costs import Costs
from bench.scale.storms import storms
from devtools.paths import ROOT

PAGE = ROOT / "docs" / "scale.md"

TABLES: Mapping[str, Callable[[Costs], str]] = {
    "sizes": tables.sizes,
    "shares": tables.shares,
    "larger": cells.larger,
    "merged": questions.merged,
    "gathering": questions.gathering,
    "publishers": questions.publishers,
    "fanout": questions.fanout,
    "broadcasts": questions.broadcasts,
    "watching": questions.watching,
    "today": cells.today,
    "cells": cells.cells,
    "storms": storms,
    "costs": tables.costs_table,
}
"""Every table by the name in its mark, in the order of the page."""

_BLOCK = re.compile(
    r"(<!-- table (\w+), by python -m bench\.scale -->\n).*?(<!-- end -->)", re.DOTALL
)


class PageError(Exception):
    """The page's marks are not those of the tables; the message says which."""


def filled(page: str, costs: Costs) -> str:
    """Give the page's text with its tables as they are now. Raises PageError."""
    names = [match[2] for match in _BLOCK.finditer(page)]
    if sorted(names) != sorted(TABLES):
        odd = sorted(set(names) ^ set(TABLES)) or sorted(names)
        raise PageError(
            f"{PAGE.name}: the mark of the table '{odd[0]}' is missing, double or unknown"
        )
    return _BLOCK.sub(lambda match: f"{match[1]}\n{TABLES[match[2]](costs)}\n\n{match[3]}", page)


def write(costs: Costs, page: Path = PAGE) -> None:
    """Write the tables into the page. Raises PageError."""
    page.write_text(filled(page.read_text(encoding="utf-8"), costs), encoding="utf-8")

"""`python -m bench.page FILE`: put the results of `./dev bench --json FILE` into the docs."""

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.figures import machine_line
from bench.row import Row, row_of, table
from devtools.paths import ROOT
from devtools.report import say

PAGE = ROOT / "docs" / "performance.md"

_BLOCK = re.compile(
    r"(?<=<!-- results, by python -m bench\.page -->\n).*?(?=<!-- end -->)", re.DOTALL
)


def block(report: dict[str, Any]) -> str:
    """Write a report's machine and rows as Markdown."""
    rows = [row_of(row) for result in report["results"].values() for row in result["rows"]]
    reached, aimed = _count(rows)
    parts = [machine_line(report["machine"]), table(rows), f"{reached} of {aimed} goals reached."]
    return "\n" + "\n\n".join(parts) + "\n\n"


def main(arguments: Sequence[str]) -> int:
    """Rewrite the block between the page's marks; returns the exit code."""
    if len(arguments) != 1:
        say("usage: python -m bench.page FILE")
        return 2
    report = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
    page = PAGE.read_text(encoding="utf-8")
    if not _BLOCK.search(page):
        say(f"error: {PAGE.name} has no marks between which results stand")
        return 1
    PAGE.write_text(_BLOCK.sub(lambda _: block(report), page), encoding="utf-8")
    say(f"{PAGE.name} has the results of {report['machine']['date'][:10]}")
    return 0


def _count(rows: Sequence[Row]) -> tuple[int, int]:
    aimed = [row for row in rows if row.goal]
    return sum(not row.short for row in aimed), len(aimed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

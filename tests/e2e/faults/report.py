"""The table of docs/reliability.md."""

import re
from collections.abc import Sequence
from typing import Any

from bench.figures import machine_line
from devtools.paths import ROOT
from tests.e2e.faults.faults import FAULTS
from tests.e2e.faults.row import Figures

PAGE = ROOT / "docs" / "reliability.md"

_BLOCK = re.compile(
    r"(?<=<!-- results, by \./dev faults --write -->\n).*?(?=<!-- end -->)", re.DOTALL
)

_PUSHES = (
    "fault",
    "for, s",
    "accepted",
    "due",
    "delivered",
    "lost",
    "repeated",
    "in flight",
    "away",
    "forgotten",
    "pause, s",
    "again, s",
    "usual, s",
    "back",
    "back/s",
)
_CALLS = (
    "fault",
    "not ready",
    "pushes refused",
    "look-ups refused",
    "slowest answer, s",
    "connected, fewest",
    "remarks",
)


def block(rows: Sequence[tuple[Figures, list[str]]], facts: dict[str, Any], load: str) -> str:
    """Write what stands between the page's marks."""
    parts = [f"{machine_line(facts)}; {load}."]
    for history in (False, True):
        chosen = [row for row in rows if row[0].history == history]
        if chosen:
            parts += [
                f"### {'At least once (history on)' if history else 'Best effort (history off)'}",
                _table(_PUSHES, [_pushes(figures) for figures, _ in chosen]),
                _table(_CALLS, [_calls(figures) for figures, _ in chosen]),
            ]
    kept = sum(not broken for _, broken in rows)
    parts.append(f"{kept} of {len(rows)} rows hold what is promised.")
    for figures, broken in rows:
        if broken:
            with_history = ", with history" if figures.history else ""
            title = f"{FAULTS[figures.fault].title}{with_history}"
            parts.append(f"- {title}: {'; '.join(broken)}.")
    return "\n" + "\n\n".join(parts) + "\n\n"


def line(figures: Figures, broken: Sequence[str]) -> str:
    """Give a row for a terminal."""
    told = zip(_PUSHES[1:], _pushes(figures)[1:], strict=True)
    more = zip(_CALLS[1:], _calls(figures)[1:], strict=True)
    text = "  ".join(f"{head} {cell}" for head, cell in (*told, *more) if cell)
    return text + "".join(f"\n  BROKEN: {promise}" for promise in broken)


def write_page(text: str) -> None:
    """Put the block into the page. Raises ValueError where the page has no marks."""
    page = PAGE.read_text(encoding="utf-8")
    if not _BLOCK.search(page):
        raise ValueError(f"{PAGE.name} has no marks between which results stand")
    PAGE.write_text(_BLOCK.sub(lambda _: text, page), encoding="utf-8")


def _pushes(figures: Figures) -> tuple[str, ...]:
    sums = figures.tally
    return (
        FAULTS[figures.fault].title,
        f"{figures.seconds:.0f}",
        f"{sums.accepted:,}",
        f"{sums.due:,}",
        f"{sums.delivered:,}",
        f"{sums.lost:,}",
        f"{sums.repeated:,}",
        f"{sums.in_flight:,}",
        f"{sums.away:,}",
        f"{sums.forgotten:,}",
        f"{figures.pause:.1f}",
        "never" if figures.again is None else f"{figures.again:.1f}",
        f"{figures.usual:.0f}",
        f"{figures.comebacks:,}",
        f"{figures.fastest_comebacks:,}",
    )


def _calls(figures: Figures) -> tuple[str, ...]:
    seen = figures.seen
    return (
        FAULTS[figures.fault].title,
        ", ".join(sorted(seen.unready)),
        f"{figures.refused_pushes:,}" if figures.refused_pushes else "",
        ", ".join(sorted(seen.refusing)),
        f"{figures.slowest_answer:.1f}",
        f"{seen.connected:,}",
        "; ".join(figures.notes),
    )


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    rule = ["---", *("---:" for _ in heads[1:])]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (heads, rule, *rows))

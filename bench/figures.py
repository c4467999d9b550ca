"""Percentiles, and the facts about a run without which its figures say nothing."""

import math
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from nacos_boot import __version__


@dataclass(frozen=True, slots=True)
class Spread:
    """How a sample is spread, in the sample's unit."""

    count: int
    p50: float
    p90: float
    p99: float
    max: float


def spread(sample: Sequence[float]) -> Spread:
    """Summarise a sample that is not empty, by nearest rank."""
    ordered = sorted(sample)

    def percentile(percent: float) -> float:
        return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]

    return Spread(len(ordered), percentile(50), percentile(90), percentile(99), ordered[-1])


def rounded(value: Spread) -> dict[str, float]:
    """Give a spread as JSON, to a tenth."""
    return {name: round(number, 1) for name, number in asdict(value).items()}


def significant(figure: float, digits: int = 4) -> float:
    """Round to a number of digits that mean something, for reports."""
    return float(f"{figure:.{digits}g}")


def machine() -> dict[str, Any]:
    """Tell on what a run was made, and when."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "cores": len(os.sched_getaffinity(0)),
        "cpu": _cpu(),
        "python": platform.python_version(),
        "version": __version__,
        "nacosSdk": version("nacos-sdk-python"),
    }


def machine_line(facts: dict[str, Any]) -> str:
    """Tell the same in one line."""
    return (
        f"{facts['date'][:10]}, {facts['cores']} cores of {facts['cpu']}, Python {facts['python']},"
        f" nacos-sdk-python {facts['nacosSdk']}, version {facts['version']}"
    )


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()

"""`python -m bench.scale.measure [SERVER ...]`: measure, and write into costs.json."""

import argparse
import json
import sys
from collections.abc import Callable, Sequence

from bench.figures import machine
from bench.scale.costs import FILE
from bench.scale.measure import directory_costs, rabbitmq_costs, redis_costs
from bench.scale.measure.measured import Measured
from devtools.ports import PortError
from devtools.report import say
from devtools.waiting import StartError

_DIGITS = 3

MEASURED: dict[str, Callable[[], list[Measured]]] = {
    "directory": directory_costs.measure,
    "redis": redis_costs.measure,
    "rabbitmq": rabbitmq_costs.measure,
}


def main(arguments: Sequence[str]) -> int:
    """Measure what was asked for; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.scale.measure", description=__doc__, allow_abbrev=False
    )
    parser.add_argument("what", nargs="*", metavar="WHAT", help=" or ".join(MEASURED))
    chosen = parser.parse_args(arguments).what or list(MEASURED)
    if unknown := [name for name in chosen if name not in MEASURED]:
        parser.error(f"'{unknown[0]}' is not measured here; expected {', '.join(MEASURED)}")
    try:
        found = [cost for name in chosen for cost in MEASURED[name]()]
    except (StartError, PortError) as error:
        say(f"error: {error}")
        return 1
    for cost in found:
        say(f"{cost.name:<24}{cost.value:12.2f}  {cost.how}")
    _write(found)
    say(f"written to {FILE.name}; python -m bench.scale --write puts the tables into the docs")
    return 0


def _write(found: Sequence[Measured]) -> None:
    written = json.loads(FILE.read_text(encoding="utf-8"))
    facts = machine()
    written["machine"] |= {"date": facts["date"][:10], "cpu": facts["cpu"]}
    for cost in found:
        value = float(f"{cost.value:.{_DIGITS}g}")
        written["costs"][cost.name] |= {"value": value, "how": cost.how}
    FILE.write_text(json.dumps(written, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

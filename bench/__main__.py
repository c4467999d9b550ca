"""`./dev bench [name ...] [--quick] [--json FILE]`: run some benchmarks, or all of them."""

import argparse
import json
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.bench import Bench
from bench.broadcast import Broadcast
from bench.figures import machine, machine_line
from bench.fleet import Fleet
from bench.lab import Lab, lab
from bench.latency import Latency
from bench.memory import Memory
from bench.pushes import Pushes
from bench.relay import Relay
from bench.reload import Reload
from bench.row import Row, table
from bench.start import Start
from bench.storm import Storm
from devtools.ports import PortError
from devtools.report import say
from devtools.waiting import StartError

INTERRUPTED = 130

QUICK_SLACK = 0.25
"""The part of a goal that a rough run may miss: it has few runs, on a machine that is not quiet."""

BENCHES: dict[str, Bench] = {
    bench.name: bench
    for bench in (
        Broadcast(),
        Memory(),
        Storm(),
        Relay(),
        Pushes(),
        Latency(),
        Fleet(),
        Start(),
        Reload(),
    )
}
"""Every benchmark by its name, in the order of the table; one of its own module each."""


def main(arguments: Sequence[str]) -> int:
    """Run what was asked for; returns the exit code. Missed goals are no failure."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if unknown := [name for name in options.names if name not in BENCHES]:
        parser.error(f"no benchmark '{unknown[0]}'; expected {', '.join(BENCHES)}")
    # Servers and folders go at the end of a `with`, which TERM would skip.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    facts = machine()
    say(machine_line(facts))
    try:
        with lab(quick=options.quick) as shared:
            report = {"machine": facts, **_run(shared, options)}
    except (StartError, PortError) as error:
        say(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
        say(f"written to {options.json}")
    return 0


def _run(shared: Lab, options: argparse.Namespace) -> dict[str, Any]:
    rows: list[Row] = []
    results: dict[str, Any] = {}
    began = time.monotonic()
    for bench in _chosen(options):
        say(f"== {bench.name}: {bench.meaning}")
        at = time.monotonic()
        outcome = bench.run(shared, options)
        measured = [_loosened(row) for row in outcome.rows] if options.quick else outcome.rows
        rows.extend(measured)
        results[bench.name] = {
            "rows": [row.json() for row in measured],
            **outcome.details,
            "seconds": round(time.monotonic() - at, 1),
        }
        say(f"{table(measured)}\n({time.monotonic() - at:.0f} s)\n")
    say(f"{table(rows)}\n\n{_verdict(rows)} {time.monotonic() - began:.0f} s.")
    return {"quick": options.quick, "results": results}


def _loosened(row: Row) -> Row:
    return replace(row, goal=row.goal.loosened(QUICK_SLACK)) if row.goal else row


def _chosen(options: argparse.Namespace) -> list[Bench]:
    if options.names:
        return [BENCHES[name] for name in options.names]
    return [bench for bench in BENCHES.values() if bench.quick or not options.quick]


def _verdict(rows: Sequence[Row]) -> str:
    aimed = [row for row in rows if row.goal]
    short = [row for row in aimed if row.short]
    missed = "".join(f"\nshort: {row.what}, {row.unit}, {row.peer}" for row in short)
    return f"{len(aimed) - len(short)} of {len(aimed)} goals reached.{missed}\n"


def _parser() -> argparse.ArgumentParser:
    listed = "\n".join(f"  {bench.name:<10}{bench.meaning}" for bench in BENCHES.values())
    parser = argparse.ArgumentParser(
        prog="./dev bench",
        description=f"Without a name, all run:\n\n{listed}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("names", nargs="*", metavar="name", help="what to run")
    parser.add_argument(
        "--quick", action="store_true", help="fewer and shorter runs, rough figures"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there, too")
    for bench in BENCHES.values():
        bench.add_options(parser.add_argument_group(bench.name))
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""`./dev faults [name ...] [--quick] [--history on|off] [--write]`: all faults, or some."""

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import uvloop

from bench.figures import machine
from devtools.ports import PortError
from devtools.report import say
from devtools.waiting import StartError
from tests.e2e.faults.fault import Fault
from tests.e2e.faults.faults import FAULTS, QUICK, QUICK_WITH_HISTORY
from tests.e2e.faults.ledger import Tally
from tests.e2e.faults.report import block, line, write_page
from tests.e2e.faults.row import Figures, run_row
from tests.e2e.faults.rules import broken
from tests.e2e.faults.stage import (
    CLIENTS,
    QUICK_CLIENTS,
    QUICK_RATE,
    RATE,
    history_is_kept,
    keep_history,
    set_stage,
)

INTERRUPTED = 130

Row = tuple[Figures, list[str]]


def main(arguments: Sequence[str]) -> int:
    """Run faults; gives 0 where every row holds what is promised."""
    options = _parser().parse_args(arguments)
    # Ends what was started, which TERM would skip.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with tempfile.TemporaryDirectory(prefix="faults-", ignore_cleanup_errors=True) as folder:
            rows = uvloop.run(_run(Path(folder), options))
    except (StartError, PortError) as error:
        say(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED
    count, rate = (QUICK_CLIENTS, QUICK_RATE) if options.quick else (CLIENTS, RATE)
    text = block(rows, machine(), f"{count:,} clients, {rate:.0f} pushes a second")
    say(text)
    if options.write:
        write_page(text)
        say("written to docs/reliability.md")
    return 1 if any(found for _, found in rows) else 0


async def _run(folder: Path, options: argparse.Namespace) -> list[Row]:
    rows: list[Row] = []
    began = time.monotonic()
    async with set_stage(folder, quick=options.quick) as stage:
        say(f"{len(stage.clients)} clients are connected ({time.monotonic() - began:.0f} s)")
        stage.pusher.insists = options.insist
        for history in _histories(options):
            if history:
                await keep_history(stage, keep=True)
            for fault in _chosen(options, history=history):
                at = time.monotonic()
                say(f"== {fault.name}: {fault.title}{', with history' if history else ''}")
                try:
                    figures = await run_row(stage, fault, history=history, quick=options.quick)
                except AssertionError as error:
                    # The others may well be possible.
                    figures = Figures(fault.name, history, len(stage.clients), Tally())
                    figures.broken = [f"it could not be tried: {str(error)[:500]}"]
                    await stage.pusher.stop()
                    await stage.watch.stop()
                found = broken(fault, figures)
                rows.append((figures, found))
                say(f"{line(figures, found)}\n  ({time.monotonic() - at:.0f} s)")
                if found and options.logs:
                    _keep_logs(stage.fleet.state, options.logs / f"{fault.name}-{history:d}")
    return rows


def _keep_logs(state: Path, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for log in (state / "logs").glob("*.log"):
        (target / log.name).write_bytes(log.read_bytes()[-500_000:])


def _histories(options: argparse.Namespace) -> list[bool]:
    wanted = [False, True] if options.history is None else [options.history == "on"]
    return [history for history in wanted if not history or history_is_kept()]


def _chosen(options: argparse.Namespace, *, history: bool) -> list[Fault]:
    quick = QUICK_WITH_HISTORY if history else QUICK
    names = options.names or (quick if options.quick else FAULTS)
    return [FAULTS[name] for name in names]


def _parser() -> argparse.ArgumentParser:
    listed = "\n".join(f"  {fault.name:<30}{fault.title}" for fault in FAULTS.values())
    parser = argparse.ArgumentParser(
        prog="./dev faults",
        description=f"Without a name, all happen:\n\n{listed}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "names", nargs="*", metavar="name", choices=[*FAULTS, []], help="what is to happen"
    )
    parser.add_argument(
        "--quick", action="store_true", help="fewer clients, fewer and shorter faults"
    )
    parser.add_argument("--history", choices=["on", "off"], help="only with it, or without")
    parser.add_argument(
        "--insist",
        action="store_true",
        help="try pushes that failed again, under one Idempotency-Key, until they are accepted",
    )
    parser.add_argument("--write", action="store_true", help="put the table into the docs")
    parser.add_argument(
        "--logs", type=Path, metavar="FOLDER", help="keep the logs of rows that fail there"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

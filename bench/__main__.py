"""`./dev bench [name] [--json FILE]`: run one benchmark, or all of them."""

import argparse
import json
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.figures import machine, machine_line
from bench.reload import Reload
from devtools.ports import PortError
from devtools.report import say
from devtools.waiting import StartError

INTERRUPTED = 130

BENCHES = {bench.name: bench for bench in (Reload(),)}
"""Every benchmark by its name; one of its own module each."""


def main(arguments: Sequence[str]) -> int:
    """Run what was asked for; returns the exit code. Slow figures are no failure."""
    options = _parser().parse_args(arguments)
    # Servers and folders go at the end of a `with`, which TERM would skip.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    chosen = [BENCHES[options.name]] if options.name else list(BENCHES.values())
    facts = machine()
    say(machine_line(facts))
    results = {}
    for bench in chosen:
        say(f"== {bench.name}: {bench.meaning}")
        try:
            results[bench.name] = bench.run(options)
        except (StartError, PortError) as error:
            say(f"error: {error}")
            return 1
        except KeyboardInterrupt:
            return INTERRUPTED
    if options.json:
        report = {"machine": facts, "results": results}
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
        say(f"written to {options.json}")
    return 0


def _parser() -> argparse.ArgumentParser:
    listed = "\n".join(f"  {bench.name:<10}{bench.meaning}" for bench in BENCHES.values())
    parser = argparse.ArgumentParser(
        prog="./dev bench",
        description=f"Without a name, all run:\n\n{listed}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("name", nargs="?", choices=sorted(BENCHES), help="the one to run")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there, too")
    for bench in BENCHES.values():
        bench.add_options(parser.add_argument_group(bench.name))
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

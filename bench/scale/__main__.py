"""`python -m bench.scale [--costs FILE] [--write]`: print the tables of docs/scale.md."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.scale.costs import FILE, CostsError, read_costs
from bench.scale.page import PAGE, TABLES, PageError, write
from devtools.report import say


def main(arguments: Sequence[str]) -> int:
    """Print or write; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.scale", description=__doc__, allow_abbrev=False
    )
    parser.add_argument("--costs", type=Path, default=FILE, help=f"default: {FILE.name} beside it")
    parser.add_argument("--write", action="store_true", help=f"put them into {PAGE.name}")
    options = parser.parse_args(arguments)
    try:
        costs = read_costs(options.costs)
        if options.write:
            write(costs)
            say(f"{PAGE.name} is written")
            return 0
    except (CostsError, PageError) as error:
        say(f"error: {error}")
        return 1
    for name, make in TABLES.items():
        say(f"== {name}\n{make(costs)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

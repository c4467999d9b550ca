"""The part of `./dev` that runs once Python does."""

import argparse
import sys
from collections.abc import Sequence

from devtools.bench import bench, faults
from devtools.compose import find_compose
from devtools.down import down
from devtools.paths import USUAL
from devtools.ports import PortError
from devtools.report import say
from devtools.test import test
from devtools.up import up
from devtools.waiting import StartError


def main(arguments: Sequence[str]) -> int:
    """Run one command; returns the exit code."""
    # Their arguments belong to pytest, the benchmarks and the faults, options included.
    if arguments and arguments[0] == "test":
        return test(arguments[1:])
    if arguments and arguments[0] == "bench":
        return bench(arguments[1:])
    if arguments and arguments[0] == "faults":
        return faults(arguments[1:])
    try:
        return _run(_parser().parse_args(arguments))
    except (StartError, PortError) as error:
        say(f"error: {error}")
        return 1


def _run(options: argparse.Namespace) -> int:
    if options.command == "up":
        return up(detach=options.detach, engine=options.engine)
    if options.command == "engine":
        return 0 if find_compose(USUAL) else 1
    return down()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="./dev", allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True)
    starting = commands.add_parser("up", help="start a cluster of three nodes and a gateway")
    starting.add_argument("-d", "--detach", action="store_true", help="return when it is ready")
    engine = starting.add_mutually_exclusive_group()
    engine.add_argument(
        "--native", dest="engine", action="store_const", const="native", help="without Docker"
    )
    engine.add_argument(
        "--compose",
        dest="engine",
        action="store_const",
        const="compose",
        help="with Docker Compose",
    )
    commands.add_parser("down", help="stop everything")
    commands.add_parser("engine", help="exit 0 when Docker Compose would be used, else 1")
    commands.add_parser("test", help="static checks, then pytest with the given arguments")
    commands.add_parser("bench", help="run the benchmarks")
    commands.add_parser("faults", help="let every fault happen to a cluster under load")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

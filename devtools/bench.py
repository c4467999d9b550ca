"""`./dev bench` and `./dev faults`: hand over to the benchmarks, or to the fault harness."""

import contextlib
import subprocess
import sys
from collections.abc import Sequence

from devtools.paths import ROOT


def bench(arguments: Sequence[str]) -> int:
    """Run `python -m bench` with `arguments`; returns its exit code."""
    return _hand_over("bench", arguments)


def faults(arguments: Sequence[str]) -> int:
    """Run `python -m tests.e2e.faults` with `arguments`; returns its exit code."""
    return _hand_over("tests.e2e.faults", arguments)


def _hand_over(module: str, arguments: Sequence[str]) -> int:
    running = subprocess.Popen([sys.executable, "-m", module, *arguments], cwd=ROOT)
    while running.returncode is None:
        # Ctrl-C reaches the other process, too: it stops what it started, and that takes a while.
        with contextlib.suppress(KeyboardInterrupt):
            running.wait()
    return running.returncode

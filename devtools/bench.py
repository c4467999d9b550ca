"""`./dev bench`: hand over to the benchmarks."""

import contextlib
import subprocess
import sys
from collections.abc import Sequence

from devtools.paths import ROOT


def bench(arguments: Sequence[str]) -> int:
    """Run `python -m bench` with `arguments`; returns its exit code."""
    running = subprocess.Popen([sys.executable, "-m", "bench", *arguments], cwd=ROOT)
    while running.returncode is None:
        # Ctrl-C reaches the benchmark, too: it stops what it started, and that takes a while.
        with contextlib.suppress(KeyboardInterrupt):
            running.wait()
    return running.returncode

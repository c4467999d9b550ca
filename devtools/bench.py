"""`./dev bench`: hand over to the benchmarks, if this checkout has them."""

import subprocess
import sys
from collections.abc import Sequence

from devtools.paths import ROOT
from devtools.report import say


def bench(arguments: Sequence[str]) -> int:
    """Run `python -m bench` with `arguments`; returns its exit code."""
    if not (ROOT / "bench" / "__main__.py").exists():
        say("there are no benchmarks yet: bench/__main__.py does not exist")
        return 1
    return subprocess.run(
        [sys.executable, "-m", "bench", *arguments], cwd=ROOT, check=False
    ).returncode

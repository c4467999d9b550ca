"""`./dev test`: static checks, then pytest, with one line and the seconds for each."""

import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from devtools.paths import ROOT
from devtools.report import say

ONLY_PYTEST = "--only-pytest"


@dataclass(frozen=True)
class Step:
    """One check: how it is called in the summary, and its command."""

    name: str
    argv: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    """How a step went: its exit code and the seconds it took."""

    step: Step
    code: int
    seconds: float


def steps(arguments: Sequence[str]) -> list[Step]:
    """Plan the steps; `--only-pytest` as the first argument leaves the static checks out."""
    python = sys.executable
    if arguments and arguments[0] == ONLY_PYTEST:
        return [Step("pytest", (python, "-m", "pytest", *arguments[1:]))]
    # import-linter has no `-m` form; its script stands beside the interpreter.
    contracts = str(Path(python).with_name("lint-imports"))
    return [
        Step("ruff format", (python, "-m", "ruff", "format", "--check")),
        Step("ruff check", (python, "-m", "ruff", "check")),
        Step("mypy", (python, "-m", "mypy")),
        Step("import contracts", (contracts,)),
        Step("pytest", (python, "-m", "pytest", *arguments)),
    ]


def summary(outcomes: Sequence[Outcome]) -> str:
    """Give one line for each step, and a total."""
    lines = [
        f"  {outcome.step.name:<18}{'ok' if outcome.code == 0 else 'FAILED':<8}"
        f"{outcome.seconds:6.1f} s"
        for outcome in outcomes
    ]
    total = sum(outcome.seconds for outcome in outcomes)
    return "\n".join(["", *lines, f"  {'total':<26}{total:6.1f} s"])


def test(arguments: Sequence[str]) -> int:
    """Run every step even after one failed; returns the first failure's exit code."""
    outcomes = []
    for step in steps(arguments):
        say(f"== {step.name}")
        began = time.monotonic()
        code = subprocess.run(step.argv, cwd=ROOT, stdin=subprocess.DEVNULL, check=False).returncode
        outcomes.append(Outcome(step, code, time.monotonic() - began))
    say(summary(outcomes))
    return next((outcome.code for outcome in outcomes if outcome.code != 0), 0)

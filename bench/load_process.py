"""The load generator as a process: a command to its standard input, an answer from its output."""

import subprocess
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import msgspec

from bench.cpu import pinned
from bench.go import build
from devtools.paths import ROOT
from devtools.waiting import StartError

SOURCES = ROOT / "bench" / "load"

_Answer = TypeVar("_Answer")


class LoadError(StartError):
    """A measurement that is none: something did not arrive, was wrong, or could not be done."""


class Generator:
    """One process of `bench/load/`, started at once; it ends with this process in any case."""

    def __init__(
        self, cores: Iterable[int] = (), *, program: Path | None = None, polls: bool = True
    ) -> None:
        """Start it on these cores (all, if none). Raises StartError when it cannot be built.

        It polls for a while before it sleeps, unless that costs others on its core too much.
        """
        argv = [str(program or build(SOURCES)), *(() if polls else ("-spin", "0"))]
        self._process = subprocess.Popen(
            pinned(argv, cores) if (cores := tuple(cores)) else argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # Ctrl-C is for the benchmark: it ends this, by the end of its input.
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        """Give itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the process."""
        self.stop()

    @property
    def pid(self) -> int:
        """The process, for its CPU time."""
        return self._process.pid

    def stop(self) -> None:
        """End the process, and so all connections."""
        # Not by a closed pipe alone: it may be in the middle of a command.
        self._process.kill()
        self._process.communicate()

    def ask(self, answer: type[_Answer], op: str, /, **arguments: Any) -> _Answer:
        """Have a command carried out. Raises LoadError."""
        source, sink = self._process.stdout, self._process.stdin
        assert source is not None  # noqa: S101 - they are pipes
        assert sink is not None  # noqa: S101
        try:
            sink.write(msgspec.json.encode({"op": op, **arguments}) + b"\n")
            sink.flush()
        except BrokenPipeError:
            raise self._ended(op) from None
        line = source.readline()
        if not line:
            raise self._ended(op)
        told = msgspec.json.decode(line, type=dict[str, Any])
        if "error" in told:
            raise LoadError(f"{op}: {told['error']}")
        return msgspec.convert(told, answer)

    def _ended(self, op: str) -> LoadError:
        code = self._process.wait()
        # A crash of a Go program tells of itself on standard error, which is ours.
        return LoadError(f"the load generator ended with code {code} during {op}")

"""Cores, CPU time and memory of processes, as Linux counts them."""

import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Cores:
    """`tested` is for the one process under test; all else shares `others`."""

    tested: int
    others: tuple[int, ...]

    @classmethod
    def of_machine(cls) -> "Cores":
        """Divide what this process may use; a single core has to do for both."""
        tested, *others = sorted(os.sched_getaffinity(0))
        return cls(tested, tuple(others) or (tested,))


def pinned(argv: Sequence[str], cores: Iterable[int]) -> list[str]:
    """Give a command that runs `argv`, as the same process, on these cores only.

    Before the start: later would miss threads that are there already.
    """
    return ["taskset", "--cpu-list", ",".join(map(str, cores)), *argv]


def cpu_seconds(pids: Iterable[int]) -> float:
    """Give the CPU time that processes have used up to now, in seconds, all threads.

    Raises OSError when one of them is gone.
    """
    # Linux's encoding of another process's clock (clock_getcpuclockid), in nanoseconds where
    # /proc has hundredths of a second.
    return sum(time.clock_gettime((~pid << 3) | 2) for pid in pids)


def resident_bytes(pid: int) -> int:
    """Give the memory that a process holds. Raises OSError when it is gone."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
        name, _, value = line.partition(":")
        if name == "Rss":
            return int(value.split()[0]) * 1024
    raise OSError(f"the kernel tells nothing of the memory of process {pid}")

"""Cores, CPU time and memory of processes, as Linux counts them."""

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
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


def move(pid: int, cores: Iterable[int]) -> None:
    """Let a process run on these cores only, from now on, with all its threads.

    Raises OSError when it is gone.
    """
    wanted = set(cores)
    for thread in Path(f"/proc/{pid}/task").iterdir():
        # One that has ended meanwhile is no matter.
        with suppress(ProcessLookupError):
            os.sched_setaffinity(int(thread.name), wanted)


@contextmanager
def confined(pids: Iterable[int], cores: Iterable[int]) -> Iterator[None]:
    """Keep processes on some cores for a while. Raises OSError when one of them is gone."""
    before = {pid: os.sched_getaffinity(pid) for pid in pids}
    wanted = tuple(cores)
    for pid in before:
        move(pid, wanted)
    try:
        yield
    finally:
        for pid, had in before.items():
            with suppress(OSError):
                move(pid, had)


def cpu_seconds(pids: Iterable[int]) -> float:
    """Give the CPU time that processes have used up to now, in seconds, all threads.

    Raises OSError when one of them is gone.
    """
    # Linux's encoding of another process's clock (clock_getcpuclockid), in nanoseconds where
    # /proc has hundredths of a second.
    return sum(time.clock_gettime((~pid << 3) | 2) for pid in pids)


def resident_bytes(pid: int) -> int:
    """Give the memory that a process holds for itself. Raises OSError when it is gone.

    Without the files that it maps: their pages go when the kernel wants, which would make a
    process look smaller that has run for longer.
    """
    counted = {"Anonymous": 0, "Swap": 0}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
        name, _, value = line.partition(":")
        if name in counted:
            counted[name] = int(value.split()[0]) * 1024
    if not counted["Anonymous"]:
        raise OSError(f"the kernel tells nothing of the memory of process {pid}")
    return sum(counted.values())

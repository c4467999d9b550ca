"""Pid files: what runs under a state folder, readable by another shell's `./dev down`."""

import contextlib
import json
import os
import signal
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from devtools.waiting import Progress, silent, wait_for

RUN_FOLDER = "run"

# Stopped first to last: programs deregister and flush while their servers still answer.
RANK_PROGRAM = 0
RANK_SERVER = 1
RANK_HELPER = 2

_LOOK_EVERY = 0.03
# KILL takes effect at once, unless the process waits for a disk.
_KILL_LIMIT = 5.0


@dataclass(frozen=True)
class Record:
    """One started process.

    `ticks`, its start time since boot, tells it from a later process with the same pid.
    """

    name: str
    pid: int
    ticks: int
    rank: int
    stop_limit: float
    leaves: tuple[str, str] | None = None
    """A file the process writes at a clean exit, and the name to keep it under."""

    def path(self, state_dir: Path) -> Path:
        """Give the pid file's place."""
        return state_dir / RUN_FOLDER / f"{self.name}.json"

    def write(self, state_dir: Path) -> None:
        """Write the pid file, whole or not at all."""
        path = self.path(state_dir)
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".tmp")
        unfinished.write_text(json.dumps(asdict(self)))
        unfinished.replace(path)

    def alive(self) -> bool:
        """Whether this very process still runs; a zombie does not."""
        return start_ticks(self.pid) == self.ticks

    def gone(self) -> bool:
        """Whether it has ended."""
        return not self.alive()


def start_ticks(pid: int) -> int | None:
    """When `pid` started, in clock ticks since boot; None when it is gone or a zombie.

    Source: proc(5), /proc/pid/stat fields 3 and 22.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The command name in field 2 may hold spaces and brackets; the fields after it do not.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])


def read_records(state_dir: Path) -> list[Record]:
    """Read the records of what still runs, in the order to stop it; remove stale files."""
    running = []
    for path in sorted((state_dir / RUN_FOLDER).glob("*.json")):
        try:
            raw = json.loads(path.read_text())
            leaves = raw.pop("leaves", None)
            record = Record(**raw, leaves=tuple(leaves) if leaves else None)
        except (FileNotFoundError, ValueError, TypeError):
            # Half-written by a killed process, or removed by another shell meanwhile.
            path.unlink(missing_ok=True)
            continue
        if record.alive():
            running.append(record)
        else:
            path.unlink(missing_ok=True)
    return sorted(running, key=lambda record: record.rank)


def send(record: Record, number: signal.Signals, *, group: bool = True) -> None:
    """Signal the process's whole group, or only itself; nothing when it is gone."""
    if not record.alive():
        return
    with contextlib.suppress(ProcessLookupError):
        if group:
            os.killpg(record.pid, number)
        else:
            os.kill(record.pid, number)


def stop_together(
    state_dir: Path, records: Iterable[Record], progress: Progress = silent
) -> list[str]:
    """TERM all of `records` at once, wait up to each one's limit, then KILL its group.

    Returns the names of those that had to be killed. Removes their pid files.
    """
    recorded = list(records)
    # A pid whose process is gone may belong to a stranger by now.
    stopping = [record for record in recorded if record.alive()]
    for record in stopping:
        progress(f"stopping {record.name}")
        # A paused process would not see TERM before it is resumed.
        send(record, signal.SIGCONT)
        send(record, signal.SIGTERM, group=False)
    killed = []
    began = time.monotonic()
    while stopping:
        for record in list(stopping):
            clean = record.gone()
            if clean or time.monotonic() - began > record.stop_limit:
                stopping.remove(record)
                _finish(record, state_dir, clean=clean)
                killed += [] if clean else [record.name]
        time.sleep(_LOOK_EVERY)
    for record in recorded:
        record.path(state_dir).unlink(missing_ok=True)
    return killed


def _finish(record: Record, state_dir: Path, *, clean: bool) -> None:
    # Also when the leader went by itself: it may have left others of its group behind.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(record.pid, signal.SIGKILL)
    if not clean:
        wait_for(record.gone, _KILL_LIMIT, interval=_LOOK_EVERY)
    _keep_what_it_left(record, clean=clean)
    record.path(state_dir).unlink(missing_ok=True)


def stop_all(state_dir: Path, progress: Progress = silent) -> list[str]:
    """Stop everything recorded under `state_dir`, programs before servers.

    Returns the names that were running. Safe to call at any time, from any process.
    """
    running = read_records(state_dir)
    for rank in sorted({record.rank for record in running}):
        stop_together(state_dir, [r for r in running if r.rank == rank], progress)
    return [record.name for record in running]


def _keep_what_it_left(record: Record, *, clean: bool) -> None:
    if record.leaves is None:
        return
    made, kept = map(Path, record.leaves)
    if clean and made.exists():
        made.replace(kept)
    else:
        made.unlink(missing_ok=True)

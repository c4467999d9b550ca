"""Starting a child process with a log, waiting until it is ready, and stopping it."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from devtools.records import RANK_PROGRAM, Record, start_ticks, stop_together
from devtools.waiting import StartError, tail, wait_for


class Child:
    """One named process under a state folder: `run/<name>.json`, `logs/<name>.log`.

    Every child leads a session of its own, so a Ctrl-C in the terminal reaches only
    `./dev`, which then stops its children in order. Not safe for use by several threads.
    """

    def __init__(
        self,
        name: str,
        state_dir: Path,
        *,
        rank: int = RANK_PROGRAM,
        stop_limit: float = 20.0,
    ) -> None:
        self.name = name
        self.state_dir = state_dir
        self.log = state_dir / "logs" / f"{name}.log"
        self.rank = rank
        self.stop_limit = stop_limit
        self._popen: subprocess.Popen[bytes] | None = None
        self._record: Record | None = None
        self._log_start = 0
        self._began = 0.0

    @property
    def pid(self) -> int:
        """The process id. Raises RuntimeError when it was not started."""
        if self._record is None:
            raise RuntimeError(f"{self.name} was not started")
        return self._record.pid

    @property
    def alive(self) -> bool:
        """Whether it runs (also when paused)."""
        if self._popen is not None and self._popen.poll() is not None:
            return False
        return self._record is not None and self._record.alive()

    @property
    def recorded(self) -> bool:
        """Whether its pid file is there: not so before a start and after a stop or kill."""
        return self._record is not None and self._record.path(self.state_dir).exists()

    @property
    def exit_code(self) -> int | None:
        """Its exit code, negative for a signal; None while it runs or was never started."""
        return None if self._popen is None else self._popen.poll()

    def spawn(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: Path,
        leaves: tuple[Path, Path] | None = None,
    ) -> None:
        """Start `argv` with exactly `env`. `leaves`: see Record.

        Raises StartError when the program cannot be run, RuntimeError when it runs already.
        """
        if self.alive:
            raise RuntimeError(f"{self.name} runs already, as process {self.pid}")
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._log_start = log.tell()
            self._began = time.monotonic()
            try:
                self._popen = subprocess.Popen(
                    argv,
                    env=dict(env),
                    cwd=cwd,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            except OSError as error:
                raise StartError(f"{self.name}: cannot run {argv[0]}: {error.strerror}") from None
        pid = self._popen.pid
        self._record = Record(
            name=self.name,
            pid=pid,
            # None only when it died at once, which wait_ready reports.
            ticks=start_ticks(pid) or -1,
            rank=self.rank,
            stop_limit=self.stop_limit,
            leaves=None if leaves is None else (str(leaves[0]), str(leaves[1])),
        )
        self._record.write(self.state_dir)

    def wait_ready(
        self,
        ready: Callable[[], bool],
        limit: float,
        *,
        interval: float = 0.1,
        each: Callable[[float], None] | None = None,
    ) -> float:
        """Wait up to `limit` seconds until `ready()`; returns the seconds since the start.

        Raises StartError with the log's tail when the process ends first or `limit` is over.
        """

        def settled() -> bool:
            return not self.alive or ready()

        in_time = wait_for(settled, limit, interval=interval, each=each)
        if not self.alive:
            raise StartError(f"{self.name} ended with code {self.exit_code}. {self._evidence()}")
        if not in_time:
            raise StartError(f"{self.name} was not ready after {limit:.0f} s. {self._evidence()}")
        return time.monotonic() - self._began

    def wait_end(
        self,
        limit: float,
        *,
        each: Callable[[float], None] | None = None,
    ) -> None:
        """Wait until it ends by itself with code 0.

        Raises StartError with the log's tail on another code, or when `limit` seconds are over;
        then it is stopped.
        """
        in_time = wait_for(lambda: not self.alive, limit, each=each)
        self.stop()
        if not in_time:
            raise StartError(f"{self.name} took longer than {limit:.0f} s. {self._evidence()}")
        if self.exit_code != 0:
            raise StartError(f"{self.name} ended with code {self.exit_code}. {self._evidence()}")

    def stop(self) -> None:
        """TERM, wait `stop_limit` seconds, KILL. Nothing when it does not run."""
        if self._record is not None:
            stop_together(self.state_dir, [self._record])
            self._reap()

    def kill(self) -> None:
        """KILL the whole group at once, as a crash would, and wait until it is gone."""
        if self._record is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._record.pid, signal.SIGKILL)
            self._reap()
            self._record.path(self.state_dir).unlink(missing_ok=True)

    def pause(self) -> None:
        """SIGSTOP: it keeps its connections open and answers nothing."""
        os.killpg(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        os.killpg(self.pid, signal.SIGCONT)

    def output(self) -> str:
        """Everything it wrote since it was last started."""
        with self.log.open("rb") as log:
            log.seek(self._log_start)
            return log.read().decode("utf-8", "replace")

    def _reap(self) -> None:
        if self._popen is not None:
            self._popen.wait()

    def _evidence(self) -> str:
        return f"The end of {self.log}:\n{tail(self.log, since=self._log_start)}"

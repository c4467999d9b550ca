"""Stops everything under a state folder when the process that started it is gone.

Why a process of its own: an atexit hook or a signal handler does not run after `kill -9`,
and Linux's parent-death signal fires when the *thread* that forked ends, which would kill
servers started in parallel threads. The guard holds the read end of a pipe; however the
parent ends, the kernel closes the write end and the guard sees the end of file.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

from devtools.paths import ROOT
from devtools.records import stop_all


class Guard:
    """Guards `state_dir` from now until `release()` or the end of this process."""

    def __init__(self, state_dir: Path) -> None:
        read_end, self._write_end = os.pipe()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "devtools.guard", str(read_end), str(state_dir)],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(read_end,),
            start_new_session=True,
        )
        os.close(read_end)

    def release(self) -> None:
        """End the guard; it stops whatever is still recorded, and is gone on return."""
        os.close(self._write_end)
        self._process.wait()


def main() -> None:
    """Wait for the parent's end, then stop everything."""
    read_end, state_dir = int(sys.argv[1]), Path(sys.argv[2])
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    os.read(read_end, 1)
    stop_all(state_dir)


if __name__ == "__main__":
    main()

"""A real Redis on loopback, without a password and, unless it is asked for, without persistence."""

import os
import shutil
from pathlib import Path

from devtools.ports import LOOPBACK, Ports
from devtools.probes import answers
from devtools.processes import Child
from devtools.records import RANK_SERVER
from devtools.waiting import Progress, StartError, silent

START_LIMIT = 20.0


class RedisServer(Child):
    """`start()` and `stop()` may be repeated; data outlives a stop only where it is `durable`.

    A durable one has an append-only file, written to the disk before each answer, and evicts
    nothing.
    """

    def __init__(
        self, state_dir: Path, ports: Ports, name: str = "redis", *, durable: bool = False
    ) -> None:
        super().__init__(name, state_dir, rank=RANK_SERVER, stop_limit=10)
        self.port = ports.redis
        self.data = state_dir / "data" / name
        self._durable = durable

    def start(self, progress: Progress = silent) -> None:
        """Start it and wait until it answers PING. Raises StartError."""
        program = shutil.which("redis-server")
        if program is None:
            raise StartError("redis-server is not installed (Debian package redis-server)")
        self.data.mkdir(parents=True, exist_ok=True)
        options = {
            "--bind": LOOPBACK,
            "--port": str(self.port),
            "--dir": str(self.data),
            "--save": "",
            "--appendonly": "yes" if self._durable else "no",
            "--appendfsync": "always",
            "--maxmemory-policy": "noeviction",
            "--daemonize": "no",
        }
        argv = [program, *(word for option in options.items() for word in option)]
        self.spawn(argv, env=os.environ, cwd=self.data)
        took = self.wait_ready(self.ready, START_LIMIT, interval=0.02)
        progress(f"Redis is ready on {LOOPBACK}:{self.port} ({took:.1f} s)")

    def ready(self) -> bool:
        """Whether it answers PING."""
        return answers(self.port, b"PING\r\n", b"+PONG\r\n")

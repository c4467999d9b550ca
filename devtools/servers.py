"""Nacos, Redis and RabbitMQ together: what `./dev up` and the test fixtures start."""

from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path
from types import TracebackType
from typing import Self

from devtools import rabbitmq as rabbit
from devtools.guard import Guard
from devtools.nacos import NacosServer
from devtools.nacos import server as nacos
from devtools.ports import LOOPBACK, Ports
from devtools.rabbitmq import RabbitServer
from devtools.records import stop_all
from devtools.redis import RedisServer
from devtools.waiting import Progress, silent


class Servers:
    """The three servers under one state folder; each may be stopped and started by itself.

    `outlive=True` leaves them running when this process ends (`./dev up -d`). Otherwise
    they, and all else recorded under `state_dir`, stop with it however it ends.
    """

    def __init__(self, state_dir: Path, ports: Ports, *, outlive: bool = False) -> None:
        self.state_dir = state_dir.resolve()
        self.ports = ports
        self.nacos = NacosServer(self.state_dir, ports)
        self.redis = RedisServer(self.state_dir, ports)
        self.rabbitmq = RabbitServer(self.state_dir, ports)
        self._outlive = outlive
        self._guard: Guard | None = None

    def start(self, progress: Progress = silent) -> None:
        """Start all three at once and return when all are ready.

        Raises StartError (the first that failed; then none is left running), and PortError
        when a port is in use.
        """
        self.ports.check(self.ports.server_purposes())
        self.state_dir.mkdir(parents=True, exist_ok=True)
        if not self._outlive and self._guard is None:
            self._guard = Guard(self.state_dir)
        try:
            self._start_together(progress)
        except BaseException:
            self.stop()
            raise

    def _start_together(self, progress: Progress) -> None:
        with ThreadPoolExecutor() as pool:
            starts = [
                pool.submit(server.start, progress)
                for server in (self.nacos, self.rabbitmq, self.redis)
            ]
            try:
                for start in wait(starts, return_when=FIRST_EXCEPTION).done:
                    start.result()
            except BaseException:
                # Ends the waits of the others, for which leaving the pool would wait.
                stop_all(self.state_dir)
                raise

    def stop(self, progress: Progress = silent) -> None:
        """Stop everything recorded under the state folder, programs before servers."""
        stop_all(self.state_dir, progress)
        for server in (self.nacos, self.redis, self.rabbitmq):
            server.stop()
        if self._guard is not None:
            self._guard.release()
            self._guard = None

    def env(self) -> dict[str, str]:
        """How a node or gateway finds the servers; merge it over `os.environ`."""
        return {
            "NACOS_SERVER_ADDR": self.nacos.address,
            "NACOS_USERNAME": nacos.USER,
            "NACOS_PASSWORD": nacos.PASSWORD,
            "REDIS_HOST": LOOPBACK,
            "REDIS_PORT": str(self.ports.redis),
            "RABBITMQ_HOST": LOOPBACK,
            "RABBITMQ_PORT": str(self.ports.rabbitmq),
            "RABBITMQ_USERNAME": rabbit.USER,
            "RABBITMQ_PASSWORD": rabbit.PASSWORD,
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

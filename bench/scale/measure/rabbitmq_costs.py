"""What RabbitMQ spends on a message: CPU of its process while it does nothing else."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median

from bench.cpu import Cores, confined, cpu_seconds
from bench.scale.measure import amqp
from bench.scale.measure.measured import Measured
from devtools.ports import Ports
from devtools.rabbitmq import RabbitServer

_QUEUES = 32
_SMALL, _LARGE = 400, 40_400
_RUNS = 5
_MICRO = 1e6


class OneCoreRabbit(RabbitServer):
    """A broker with one scheduler, which does not burn CPU while it waits."""

    def _environment(self) -> dict[str, str]:
        environment = super()._environment()
        environment["RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS"] += (
            " +S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none"
        )
        return environment


def measure() -> list[Measured]:
    """Start a RabbitMQ of its own, measure, stop it. Raises StartError."""
    with tempfile.TemporaryDirectory(prefix="scale-", ignore_cleanup_errors=True) as folder:
        ports = Ports.free()
        server = OneCoreRabbit(Path(folder), ports)
        try:
            server.start()
            cores = Cores.of_machine()
            with confined([server.pid or 0], [cores.tested]), confined([os.getpid()], cores.others):
                return _Measuring(server, ports.rabbitmq).run()
        finally:
            server.stop()


class _Measuring:
    def __init__(self, server: RabbitServer, port: int) -> None:
        self._pid = server.pid or 0
        self._port = port
        self._exchanges = 0

    def run(self) -> list[Measured]:
        runs = {
            "message": lambda: self._run("direct", _QUEUES, _SMALL, 8000),
            "one queue": lambda: self._run("direct", 1, _SMALL, 8000),
            "persistent": lambda: self._run("direct", _QUEUES, _SMALL, 8000, persistent=True),
            "large": lambda: self._run("direct", _QUEUES, _LARGE, 2000),
            "fanout": lambda: self._run("fanout", _QUEUES, _SMALL, 500),
        }
        cost = _interleaved(runs)
        kilobytes = (_LARGE - _SMALL) / 1000
        return [
            Measured(
                "rabbitmq.message",
                cost["message"],
                f"a message of {_SMALL} bytes to one of {_QUEUES} queues: publish, confirm,"
                " deliver, acknowledge",
            ),
            Measured(
                "rabbitmq.queue_message", cost["one queue"], "the same where all go to one queue"
            ),
            Measured(
                "rabbitmq.persistent",
                cost["persistent"] - cost["message"],
                "what a message costs more when it is persistent",
            ),
            Measured(
                "rabbitmq.kilobyte",
                (cost["large"] - cost["message"]) / kilobytes,
                "what each 1,000 bytes more cost",
            ),
            Measured(
                "rabbitmq.copy", cost["fanout"] / _QUEUES, f"each of {_QUEUES} copies by fanout"
            ),
        ]

    def _run(
        self, kind: str, queues: int, size: int, count: int, *, persistent: bool = False
    ) -> float:
        """Give microseconds of the broker's CPU for each of `count` messages."""
        self._exchanges += 1
        exchange = f"x{self._exchanges}"
        source = amqp.publisher(self._port, exchange, kind)
        names = [f"{exchange}-{number}" for number in range(queues)]
        sinks = [amqp.consumer(self._port, exchange, name) for name in names]
        body = os.urandom(size // 2).hex().encode()
        frames = [
            amqp.message(exchange, names[n % queues], body, persistent=persistent)
            for n in range(count)
        ]
        began = cpu_seconds([self._pid])
        amqp.pump(source, sinks, frames, 1 if kind == "direct" else queues)
        took = cpu_seconds([self._pid]) - began
        for wire in (source, *sinks):
            wire.close()
        return took / count * _MICRO


def _interleaved(runs: dict[str, Callable[[], float]]) -> dict[str, float]:
    found: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(_RUNS + 1):
        for name, run in runs.items():
            found[name].append(run())
    # The first round is warm-up.
    return {name: median(values[1:]) for name, values in found.items()}

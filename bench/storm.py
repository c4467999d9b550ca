"""A connection storm: how many clients per second are let in, when all come at once.

The node's clients have their `pong` when the Directory in Redis knows of them; the peer's handler
says `pong` and waits, and is as little as Quart allows. So many connect at a time that the server
never waits for a client. Seconds are those of the clock, from the first connect to the last
`pong`, while the server has its core to itself; CPU-seconds are the server's.
"""

import argparse
from contextlib import ExitStack

from bench.bench import Bench, Outcome
from bench.contender import Contender, others_aside, start_all
from bench.figures import significant
from bench.lab import Lab
from bench.peer import QUART_ACCEPTING
from bench.row import Goal
from bench.runs import Figures, interleave

GOAL = 2.0

NODE = "node"
QUART = QUART_ACCEPTING.name

_CLIENTS = 4_000
_QUICK_CLIENTS = 600
_AT_ONCE = 256


class Storm(Bench):
    """The benchmark, as `./dev bench` runs it."""

    name = "storm"
    meaning = "clients let in per second when all come at once, beside Quart on uvicorn"

    def run(self, lab: Lab, options: argparse.Namespace) -> Outcome:  # noqa: ARG002 - a Bench's
        """Run it. Raises StartError, PortError, LoadError."""
        clients = _QUICK_CLIENTS if lab.quick else _CLIENTS
        with ExitStack() as ending:
            ending.enter_context(others_aside(lab))
            storms = {}
            for contender in start_all(lab, [QUART_ACCEPTING]):
                ending.callback(contender.stop)
                storms[contender.name] = _Storms(contender, clients)
            for warming_up in storms.values():
                warming_up.run()
                warming_up.forget()
            figures = interleave({name: each.run for name, each in storms.items()}, lab.runs)
        per_cpu_second = Figures({name: each.per_cpu_second for name, each in storms.items()})
        p99 = Figures({name: each.p99_ms for name, each in storms.items()})
        what = f"connection storm, {clients:,} clients"
        rows = [
            figures.row(what, "accepts/s", NODE, QUART, Goal(GOAL)),
            per_cpu_second.row(what, "accepts/CPU-s", NODE, QUART, Goal(GOAL)),
            p99.row(f"{what}, from connect to pong, p99", "ms", NODE, QUART),
        ]
        return Outcome(
            rows,
            {
                "acceptsPerSecond": figures.json(),
                "acceptsPerCpuSecond": per_cpu_second.json(),
                "p99Ms": p99.json(),
                "busy": {name: significant(each.busy) for name, each in storms.items()},
            },
        )


class _Storms:
    """One server's storms, and what was measured of each."""

    def __init__(self, contender: Contender, clients: int) -> None:
        self._contender = contender
        self._clients = clients
        self.forget()

    def forget(self) -> None:
        """Begin anew: what was measured up to now was to warm up."""
        self._cpu_seconds = 0.0
        self._seconds = 0.0
        self.per_cpu_second: list[float] = []
        self.p99_ms: list[float] = []

    @property
    def busy(self) -> float:
        """The part of the time that the server used: near 1 where nothing else held it up."""
        return self._cpu_seconds / self._seconds

    def run(self) -> float:
        """Let all come, and go again; gives accepts per second."""
        before = self._contender.cpu_seconds()
        opened = self._contender.connect(self._clients, parallel=_AT_ONCE)
        used = self._contender.cpu_seconds() - before
        self._contender.disconnect()
        self._cpu_seconds += used
        self._seconds += opened.seconds
        self.per_cpu_second.append(self._clients / used)
        self.p99_ms.append(opened.p99_ms)
        return self._clients / opened.seconds

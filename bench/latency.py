"""From the API of one node to a client of another, beside a bare round trip through RabbitMQ."""

import argparse
from collections.abc import Callable
from contextlib import ExitStack

from bench.aio_pika_peer import AioPikaPeer
from bench.bench import Bench, Outcome
from bench.lab import Lab
from bench.load import Load
from bench.nodes import pair
from bench.push_texts import stamped
from bench.row import Goal
from bench.runs import Figures, interleave

MEDIAN_GOAL = 2.0
P99_GOAL = 3.0

AIO_PIKA = "aio-pika"
NODE = "node"

_USERS = 500
_RATE = 1000.0
_IDLE_RATE = 20.0
_CONNECTIONS = 32
_ACCEPTED = 202
_QUEUE = "bench-trip"


class Latency(Bench):
    """The benchmark, as `./dev bench` runs it."""

    name = "latency"
    meaning = "from the API of a node to a client of another, beside a bare aio-pika round trip"

    def run(self, lab: Lab, options: argparse.Namespace) -> Outcome:  # noqa: ARG002 - a Bench's
        """Run it. Raises StartError, PortError, LoadError."""
        with ExitStack() as ending:
            trips = _Trips(lab, ending)
            busy = trips.measure(_RATE, 0.3 if lab.quick else 2.5, lab.runs)
            idle = trips.measure(_IDLE_RATE, 0.3 if lab.quick else 1.5, lab.runs)
        busy_p50, busy_p99 = busy
        idle_p50, _ = idle
        what = "API to client of another node"
        rows = [
            busy_p50.row(
                f"{what}, 1,000 pushes/s, p50", "µs", NODE, AIO_PIKA, Goal(MEDIAN_GOAL, "at most")
            ),
            busy_p99.row(
                f"{what}, 1,000 pushes/s, p99", "µs", NODE, AIO_PIKA, Goal(P99_GOAL, "at most")
            ),
            idle_p50.row(f"{what}, idle, p50", "µs", NODE, AIO_PIKA, Goal(MEDIAN_GOAL, "at most")),
        ]
        details = {
            "p50": busy_p50.json(),
            "p99": busy_p99.json(),
            "idleP50": idle_p50.json(),
        }
        return Outcome(rows, details)


class _Trips:
    """Two nodes, and two bare processes; each may run on any core.

    A trip is a chain in which mostly one process works at a time. Where two of them share a core,
    as they need not in earnest, what they do at the same time would count as latency.
    """

    def __init__(self, lab: Lab, ending: ExitStack) -> None:
        opened = ending.enter_context(pair(lab))
        # Polling would take a core from the rest.
        self._load = ending.enter_context(Load(polls=False))
        opened.connect(self._load, [0, _USERS])
        self._api = opened.all[0].address
        self._consumer, self._publisher = (
            ending.enter_context(AioPikaPeer(lab, "aio_pika_trip", role, _QUEUE))
            for role in ("consume", "publish")
        )
        self._bodies = [stamped(number) for number in range(_USERS)]

    def measure(self, rate: float, seconds: float, runs: int) -> tuple[Figures, Figures]:
        """Measure at a rate; gives the medians and the 99th percentiles of each run, in µs."""
        count = int(rate * seconds)
        p99: dict[str, list[float]] = {NODE: [], AIO_PIKA: []}
        ways = {NODE: self._through_nodes, AIO_PIKA: self._bare}

        def measured(name: str) -> Callable[[], float]:
            def once() -> float:
                median, slow = ways[name](count, rate)
                p99[name].append(slow)
                return median

            return once

        for way in ways.values():
            way(count // 4, rate)
        medians = interleave({name: measured(name) for name in ways}, runs)
        return medians, Figures(p99)

    def _through_nodes(self, count: int, rate: float) -> tuple[float, float]:
        self._load.begin_stamps()
        self._load.http(
            self._api,
            "/api/push",
            bodies=self._bodies,
            count=count,
            rate=rate,
            connections=_CONNECTIONS,
            status=_ACCEPTED,
            frames=count,
        )
        took = self._load.stamps()
        return took.p50_us, took.p99_us

    def _bare(self, count: int, rate: float) -> tuple[float, float]:
        # The same number of bytes.
        size = len(self._bodies[0])
        self._consumer.tell("took", count=count)
        self._publisher.ask("publish", count=count, rate=rate, size=size)
        took = self._consumer.answer()
        return took["p50"], took["p99"]

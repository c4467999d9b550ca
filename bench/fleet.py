"""What a push costs all nodes together, on clusters of 2, 8 and 32 nodes."""

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass

from bench.bench import Bench, Outcome
from bench.clusters import Cluster
from bench.heartbeat import heartbeat_row
from bench.lab import Lab
from bench.nodes import servers_aside
from bench.push_texts import batch, push
from bench.row import Goal, Row
from bench.runs import Figures, interleave
from devtools.report import say

SIZES = (2, 8, 32)
FLAT_GOAL = 1.15
"""A push costs its node and one other the same on any cluster; the rest is what runs differ by."""

# A multiple of 31 and, nearly, of 7: each node but the first has as many as the others.
_USERS = 248
_IDLE = 5.0
_FANOUT_RUNS = 3
_ACCEPTED = 202


@dataclass(frozen=True)
class Kind:
    """How pushes are asked for: `under_way` requests at once, until each user has got `each`."""

    name: str
    under_way: int
    each: int
    batched: bool = False


ONE_BY_ONE = Kind("one push at a time", under_way=1, each=3)
MANY = Kind("32 pushes at a time", under_way=32, each=6)
BATCHES = Kind(f"batches of {_USERS} pushes", under_way=4, each=24, batched=True)
FANOUT = Kind("one push at a time", under_way=1, each=1)


class Fleet(Bench):
    """The benchmark, as `./dev bench` runs it."""

    name = "fleet"
    meaning = "the cost of a push on 2, 8 and 32 nodes; what Redis is asked at each heartbeat"
    quick = False

    def run(self, lab: Lab, options: argparse.Namespace) -> Outcome:  # noqa: ARG002 - a Bench's
        """Run it. Raises StartError, PortError, LoadError."""
        heartbeat = heartbeat_row(lab)
        with ExitStack() as ending:
            clusters = _start(lab, ending)
            ending.enter_context(servers_aside(lab))
            idle = _idle(clusters)
            routed = {kind: _costs(clusters, idle, kind, lab.runs) for kind in _ROUTED}
            for cluster in clusters:
                cluster.take_mode("fanout")
            fanout = _costs(clusters, idle, FANOUT, _FANOUT_RUNS)
        rows = [
            row
            for kind, figures in routed.items()
            for row in _rows(f"routed, {kind.name}", figures, _ROUTED[kind])
        ]
        rows += _rows(f"fanout, {FANOUT.name}", fanout)
        rows += [_idle_row(idle), heartbeat]
        details = {
            "routed": {kind.name: figures.json() for kind, figures in routed.items()},
            "fanout": fanout.json(),
        }
        return Outcome(rows, details)


_ROUTED = {ONE_BY_ONE: Goal(FLAT_GOAL, "at most"), MANY: None, BATCHES: None}


def _start(lab: Lab, ending: ExitStack) -> Sequence[Cluster]:
    databases = range(1, len(SIZES) + 1)
    lab.servers  # noqa: B018 - what is first asked for starts, by one thread
    with ThreadPoolExecutor() as pool:
        clusters = list(pool.map(lambda size, place: Cluster(lab, size, place), SIZES, databases))
    for cluster in clusters:
        ending.callback(cluster.stop)
    began = time.monotonic()
    for cluster in clusters:
        cluster.start(_USERS)
    say(f"{sum(SIZES)} nodes are ready ({time.monotonic() - began:.0f} s)")
    return clusters


def _idle(clusters: Sequence[Cluster]) -> Mapping[int, float]:
    """Give the CPU time that each cluster's nodes use per second without any push."""
    began = time.monotonic()
    before = {cluster.size: cluster.nodes.cpu_seconds() for cluster in clusters}
    time.sleep(_IDLE)
    seconds = time.monotonic() - began
    return {
        cluster.size: (cluster.nodes.cpu_seconds() - before[cluster.size]) / seconds
        for cluster in clusters
    }


def _costs(
    clusters: Sequence[Cluster], idle: Mapping[int, float], kind: Kind, runs: int
) -> Figures:
    """Measure a push's CPU time at all nodes of each cluster, in microseconds."""
    users = range(_USERS)
    path = "/api/push/batch" if kind.batched else "/api/push"
    bodies = [batch(users)] if kind.batched else [push(number) for number in users]

    def contender(cluster: Cluster) -> Callable[[], float]:
        def once() -> float:
            began = time.monotonic()
            before = cluster.nodes.cpu_seconds()
            cluster.load.http(
                cluster.api,
                path,
                bodies=bodies,
                count=len(bodies) * kind.each,
                connections=kind.under_way,
                status=_ACCEPTED,
            )
            cluster.load.round(kind.each)
            used = cluster.nodes.cpu_seconds() - before
            used -= idle[cluster.size] * (time.monotonic() - began)
            return used / (_USERS * kind.each) * 1e6

        return once

    contenders = {_name(cluster.size): contender(cluster) for cluster in clusters}
    for warming_up in contenders.values():
        warming_up()
    return interleave(contenders, runs)


def _rows(what: str, figures: Figures, goal: Goal | None = None) -> list[Row]:
    least, *more = SIZES
    return [
        figures.row(f"{what}, {size} nodes", "µs CPU/push", _name(size), _name(least), goal)
        for size in more
    ]


def _idle_row(idle: Mapping[int, float]) -> Row:
    least, most = (idle[size] / size * 1e3 for size in (SIZES[0], SIZES[-1]))
    what = f"an idle node of {SIZES[-1]}"
    return Row(what, "ms CPU/s", most, f"of {SIZES[0]}", least, most / least)


def _name(size: int) -> str:
    return f"{size} nodes"

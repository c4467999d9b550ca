"""The gateway: frames that it relays per CPU-second, and what an idle relay costs in memory.

Every relay is one process on one core, in front of a backend of the load generator's own, so that
the generator is on both sides and checks every byte. Each connection has one small frame under way
at a time: then no relay can save work by reading several at once.
"""

import argparse
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Any

from bench.bench import Bench, Outcome
from bench.contender import others_aside
from bench.figures import significant
from bench.gateways import GATEWAY, HAPROXY, NGINX, QUART_RELAY, Relaying, start_relays
from bench.lab import Lab
from bench.peers.orders import PAYLOAD
from bench.row import Goal, Row
from bench.runs import Figures, interleave

UNIT = "frames/CPU-s"
MEMORY_UNIT = "KB/connection"

_GOALS = {NGINX: 1.0, HAPROXY: 0.85}
_MEMORY_GOAL = Goal(1.0, "at most")

_CLIENTS = 500
_IDLE = 4_000
_QUICK_IDLE = 500
_KB = 1024

# CPU-seconds of each measurement.
_WINDOW = 0.5
_QUICK_WINDOW = 0.1
_TRIED = 10


class Relay(Bench):
    """The benchmark, as `./dev bench` runs it."""

    name = "relay"
    meaning = "frames through the gateway, and its memory, beside nginx, haproxy and a Quart relay"

    def run(self, lab: Lab, options: argparse.Namespace) -> Outcome:  # noqa: ARG002 - a Bench's
        """Run it. Raises StartError, PortError, LoadError."""
        names = [GATEWAY, NGINX, HAPROXY] if lab.quick else [GATEWAY, NGINX, HAPROXY, QUART_RELAY]
        window = _QUICK_WINDOW if lab.quick else _WINDOW
        rows: list[Row] = []
        details: dict[str, Any] = {}
        with ExitStack() as ending:
            ending.enter_context(others_aside(lab))
            relays = start_relays(lab, names, ending)
            for relaying in relays:
                relaying.connect(_CLIENTS)
            for way, measure in _WAYS.items():
                work: dict[str, Callable[[], float]] = {
                    relaying.name: partial(measure, relaying, _rounds_for(relaying, window))
                    for relaying in relays
                }
                figures = interleave(work, lab.runs)
                rows += _rows(figures, f"gateway, frames relayed, {way}")
                details[way] = figures.json()
            idle = _QUICK_IDLE if lab.quick else _IDLE
            kilobytes = {relaying.name: _idle_kilobytes(relaying, idle) for relaying in relays}
            rows += _memory_rows(kilobytes, idle)
            details["memory"] = {name: significant(value) for name, value in kilobytes.items()}
        return Outcome(rows, details)


def _down(relaying: Relaying, rounds: int) -> float:
    before = relaying.cpu_seconds()
    relayed = relaying.load.down(rounds, PAYLOAD).frames
    return relayed / (relaying.cpu_seconds() - before)


def _up(relaying: Relaying, rounds: int) -> float:
    before = relaying.cpu_seconds()
    relayed = relaying.load.up(rounds, PAYLOAD).frames
    return relayed / (relaying.cpu_seconds() - before)


def _echo(relaying: Relaying, rounds: int) -> float:
    # The generator's clock, not its count, ends an echo: about as long as the rounds would take.
    seconds = max(rounds * relaying.clients / 150_000, 0.1)
    before = relaying.cpu_seconds()
    answered = relaying.load.echo(PAYLOAD, seconds).frames
    return 2 * answered / (relaying.cpu_seconds() - before)


_WAYS: dict[str, Callable[[Relaying, int], float]] = {"down": _down, "up": _up, "echo": _echo}
"""How frames go; in an echo each goes both ways, and counts twice."""


def _rounds_for(relaying: Relaying, window: float) -> int:
    """Tell how many rounds take so many CPU-seconds, after a few to warm up."""
    relaying.load.down(2, PAYLOAD)
    before = relaying.cpu_seconds()
    relaying.load.down(_TRIED, PAYLOAD)
    return max(round(window * _TRIED / (relaying.cpu_seconds() - before)), _TRIED)


def _idle_kilobytes(relaying: Relaying, count: int) -> float:
    """Let more clients come; give how much the relay's memory grows with each."""
    before = relaying.resident_bytes()
    relaying.connect(count)
    return (relaying.resident_bytes() - before) / count / _KB


def _rows(figures: Figures, what: str) -> list[Row]:
    return [
        figures.row(what, UNIT, GATEWAY, peer, Goal(_GOALS[peer]) if peer in _GOALS else None)
        for peer in figures.runs
        if peer != GATEWAY
    ]


def _memory_rows(kilobytes: dict[str, float], count: int) -> list[Row]:
    what = f"gateway, memory per idle relay, {count:,} more"
    ours = kilobytes[GATEWAY]
    return [
        Row(
            what,
            MEMORY_UNIT,
            ours,
            peer,
            theirs,
            ours / theirs,
            _MEMORY_GOAL if peer in _GOALS else None,
        )
        for peer, theirs in kilobytes.items()
        if peer != GATEWAY
    ]

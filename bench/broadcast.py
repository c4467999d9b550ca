"""Broadcasts: messages that clients receive per CPU-second of the server.

The node is measured whole, as it runs in a cluster: its broadcasts come from RabbitMQ, and its CPU
time is that of consuming, checking and acknowledging them, too. The peers are told by one of their
clients, and have nothing to do but send. Each order of `messages` is a burst in one go; paced is a
burst of one, and the next comes when all clients have got it.
"""

import argparse
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

from bench.bench import Bench, Outcome
from bench.contender import Contender, others_aside, start_all
from bench.lab import Lab
from bench.peer import (
    BARE,
    CENTRIFUGE,
    PICOWS,
    QUART_ON_HYPERCORN,
    QUART_ON_UVICORN,
    SOCKETIO,
    WEBSOCKETS,
    Peer,
)
from bench.row import Goal, Row
from bench.runs import Figures, interleave

NODE = "node"
UNIT = "deliveries/CPU-s"

_SOCKETS = 1_000
_MANY = 10_000
_BURSTS = (10, 100)

_PACED_GOALS = {BARE.name: 0.90, CENTRIFUGE.name: 1.05}
_MANY_GOALS = {BARE.name: 0.85, CENTRIFUGE.name: 1.0}
_BURST_GOALS = {BARE.name: 5.0, CENTRIFUGE.name: 1.5}

_AIMED: tuple[Peer, ...] = (BARE, CENTRIFUGE)
_OTHERS: tuple[Peer, ...] = (
    PICOWS,
    WEBSOCKETS,
    QUART_ON_UVICORN,
    QUART_ON_HYPERCORN,
    SOCKETIO,
)

# CPU-seconds of each measurement.
_WINDOW = 0.6
_QUICK_WINDOW = 0.15


class Broadcast(Bench):
    """The benchmark, as `./dev bench` runs it."""

    name = "broadcast"
    meaning = "messages to everyone, paced and in bursts, beside seven servers and the bare loop"

    def run(self, lab: Lab, options: argparse.Namespace) -> Outcome:  # noqa: ARG002 - a Bench's
        """Run it. Raises StartError, PortError, LoadError."""
        with ExitStack() as ending:
            stage = _Stage(lab, ending)
            stage.open(_AIMED if lab.quick else (*_AIMED, *_OTHERS))
            stage.connect(_SOCKETS)
            stage.measure(1, _PACED_GOALS)
            stage.keep(_AIMED)
            for messages in _BURSTS[:1] if lab.quick else _BURSTS:
                stage.measure(messages, _BURST_GOALS)
            if not lab.quick:
                stage.connect(_MANY)
                stage.measure(1, _MANY_GOALS)
            return Outcome(stage.rows, {"runs": stage.details})


class _Stage:
    """The node and its peers, with the same number of clients each."""

    def __init__(self, lab: Lab, ending: ExitStack) -> None:
        self._lab = lab
        self._window = _QUICK_WINDOW if lab.quick else _WINDOW
        self._ending = ending
        self._sockets = 0
        self._contenders: dict[str, Contender] = {}
        self.rows: list[Row] = []
        self.details: dict[str, Any] = {}

    def open(self, peers: Sequence[Peer]) -> None:
        """Start all, off the core where the others are."""
        self._ending.enter_context(others_aside(self._lab))
        for contender in start_all(self._lab, peers):
            self._ending.callback(contender.stop)
            self._contenders[contender.name] = contender

    def connect(self, sockets: int) -> None:
        """Let clients come until each server has so many."""
        for contender in self._contenders.values():
            contender.connect(sockets - self._sockets)
            contender.settle()
        self._sockets = sockets

    def keep(self, peers: Sequence[Peer]) -> None:
        """Stop the peers but these."""
        for name in self._contenders.keys() - {NODE, *(peer.name for peer in peers)}:
            self._contenders.pop(name).stop()

    def measure(self, messages: int, goals: dict[str, float]) -> None:
        """Compare the node with all that are there."""
        rounds = {
            name: contender.rounds_for(messages, self._window)
            for name, contender in self._contenders.items()
        }
        work: dict[str, Callable[[], float]] = {
            name: partial(contender.deliveries, messages, rounds[name])
            for name, contender in self._contenders.items()
        }
        figures = interleave(work, self._lab.runs)
        how = "paced" if messages == 1 else f"in bursts of {messages}"
        what = f"broadcast, {self._sockets:,} sockets, {how}"
        self.rows += rows(figures, what, goals)
        self.details[what] = {**figures.json(), "rounds": rounds}


def rows(figures: Figures, what: str, goals: dict[str, float]) -> list[Row]:
    """Compare the node with each of the others; some are aims."""
    return [
        figures.row(what, UNIT, NODE, peer, Goal(goals[peer]) if peer in goals else None)
        for peer in figures.runs
        if peer != NODE
    ]

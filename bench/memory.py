"""Memory per idle connection: how a server's memory grows with clients that say nothing.

100 clients come, go, and come again, so that whatever the first ones need is there and no freed
memory is left to hand out; then all others come. The growth between the two is divided by their
number. It is read when every server has sent and got its first pings, which the node does after
25 s: what those leave behind belongs to an idle connection. Only what the process holds counts,
not the kernel's socket buffers, which are the same for all.
"""

import argparse
import time
from contextlib import ExitStack
from dataclasses import replace

from bench.bench import Bench, Outcome
from bench.contender import Contender, others_aside, start_all
from bench.figures import significant
from bench.lab import Lab
from bench.peer import CENTRIFUGE, PICOWS, QUART_ON_UVICORN, SOCKETIO, WEBSOCKETS, Peer
from bench.row import Goal, Row

UNIT = "KB/connection"

FIGURE_GOAL = 8.0
CENTRIFUGE_GOAL = 0.33

_BEFORE = 100
_CLIENTS = 10_000
_QUICK_CLIENTS = 1_000
_KB = 1024

# The node's interval of pings, and what it takes until the last answer.
_PINGS = 30.0

_PEERS: tuple[Peer, ...] = (
    CENTRIFUGE,
    PICOWS,
    replace(WEBSOCKETS, name="websockets"),
    QUART_ON_UVICORN,
    SOCKETIO,
)


class Memory(Bench):
    """The benchmark, as `./dev bench` runs it."""

    name = "memory"
    meaning = "memory per idle connection, beside five servers"

    def run(self, lab: Lab, options: argparse.Namespace) -> Outcome:  # noqa: ARG002 - a Bench's
        """Run it. Raises StartError, PortError, LoadError."""
        peers = _PEERS[:1] if lab.quick else _PEERS
        clients = _QUICK_CLIENTS if lab.quick else _CLIENTS
        with ExitStack() as ending:
            ending.enter_context(others_aside(lab))
            growing = []
            for contender in start_all(lab, peers):
                ending.callback(contender.stop)
                growing.append(_Growing(contender, clients))
            at_once = {each.name: each.kilobytes() for each in growing}
            if not lab.quick:
                time.sleep(_PINGS)
            in_the_end = {each.name: each.kilobytes() for each in growing}
        details = {"unit": UNIT, "atOnce": _json(at_once), "afterPings": _json(in_the_end)}
        return Outcome(rows(in_the_end, clients), details)


class _Growing:
    """A server that had a few clients and now has many."""

    def __init__(self, contender: Contender, clients: int) -> None:
        self.name = contender.name
        self._contender = contender
        contender.connect(_BEFORE)
        contender.disconnect()
        contender.connect(_BEFORE)
        contender.settle()
        self._before = contender.resident_bytes()
        self._more = clients - _BEFORE
        contender.connect(self._more)
        contender.settle()

    def kilobytes(self) -> float:
        """Give what each of those who came last has cost."""
        return (self._contender.resident_bytes() - self._before) / self._more / _KB


def rows(kilobytes: dict[str, float], clients: int) -> list[Row]:
    """Give the node's figure by itself, and beside each of the others."""
    what = f"memory per idle connection, {clients:,} connections"
    ours, *peers = kilobytes
    node = kilobytes[ours]
    return [
        Row(what, UNIT, node, goal=Goal(FIGURE_GOAL, "at most", of="figure")),
        *(
            Row(
                what,
                UNIT,
                node,
                peer,
                kilobytes[peer],
                node / kilobytes[peer],
                Goal(CENTRIFUGE_GOAL, "at most") if peer == CENTRIFUGE.name else None,
            )
            for peer in peers
        ),
    ]


def _json(kilobytes: dict[str, float]) -> dict[str, float]:
    return {name: significant(figure) for name, figure in kilobytes.items()}

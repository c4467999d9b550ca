"""Pushes through the API, from HTTP to the clients' sockets, per CPU-second."""

import argparse
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from bench.aio_pika_peer import AioPikaPeer
from bench.bench import Bench, Outcome
from bench.cpu import cpu_seconds, pinned
from bench.lab import Lab
from bench.load import Load
from bench.nodes import Nodes, pair, servers_aside
from bench.push_texts import EXPECTED, batches, content, push, to_all
from bench.row import Goal
from bench.runs import interleave
from devtools.paths import ROOT
from devtools.ports import LOOPBACK, free_port
from devtools.probes import accepts

BATCH_GOAL = 15.0
SINGLE_GOAL = 0.7

AIO_PIKA = "aio-pika"
QUART = "Quart on uvicorn"
BATCH = "node, batches"
SINGLE = "node, one per request"
ANYWHERE = "node, one per request, users anywhere"
BROADCAST = "node, to all"

_USERS = 500
_PER_REQUEST = 500
_UNDER_WAY = 4
_CONNECTIONS = 32
_ACCEPTED = 202


@dataclass(frozen=True)
class _Amounts:
    """How much one run has of each kind."""

    batches: int = 60
    singles: int = 4000
    messages: int = 5000
    broadcasts: int = 100


_QUICK = _Amounts(batches=24, singles=1000, messages=1000)


class Pushes(Bench):
    """The benchmark, as `./dev bench` runs it."""

    name = "pushes"
    meaning = "pushes from the API to sockets, beside one aio-pika message each and an empty route"

    def run(self, lab: Lab, options: argparse.Namespace) -> Outcome:  # noqa: ARG002 - a Bench's
        """Run it. Raises StartError, PortError, LoadError."""
        with ExitStack() as ending:
            runner = _Runner(lab, ending)
            contenders = runner.contenders()
            for warming_up in contenders.values():
                warming_up()
            figures = interleave(contenders, lab.runs)
        rows = [figures.row(*row) for row in _ROWS if row[2] in figures.runs]
        return Outcome(rows, {"runs": figures.json()})


_ROWS: Sequence[tuple[str, str, str, str, Goal | None]] = (
    (
        "pushes to users, routed, in batches of 500",
        "pushes/CPU-s",
        BATCH,
        AIO_PIKA,
        Goal(BATCH_GOAL),
    ),
    (
        "POST /api/push to users of another node, CPU of the asked one",
        "requests/CPU-s",
        SINGLE,
        QUART,
        Goal(SINGLE_GOAL),
    ),
    ("POST /api/push to users of both nodes", "requests/CPU-s", ANYWHERE, AIO_PIKA, None),
    ("POST /api/push to all of 1,000 users", "deliveries/CPU-s", BROADCAST, "", None),
)
"""What, in which unit, whose figure, beside whose, and the goal."""


class _Runner:
    """Two nodes with 500 users each, and what they are compared with."""

    def __init__(self, lab: Lab, ending: ExitStack) -> None:
        self._lab = lab
        self._amounts = _QUICK if lab.quick else _Amounts()
        self._nodes: Nodes = ending.enter_context(pair(lab, [lab.cores.tested]))
        ending.enter_context(servers_aside(lab))
        # One generator per node, so that each can tell that all of its users got the same number.
        self._here, self._there = (
            ending.enter_context(Load(lab.cores.others)) for _ in self._nodes.all
        )
        self._nodes.connect(self._here, [_USERS, 0])
        self._nodes.connect(self._there, [0, _USERS], first=_USERS)
        self._aio_pika = ending.enter_context(
            AioPikaPeer(lab, "aio_pika_push", cores=[lab.cores.tested])
        )
        self._quart = free_port()
        quart = lab.child("quart")
        ending.callback(quart.kill)
        argv = [sys.executable, "-m", "bench.peers.quart_empty", str(self._quart)]
        quart.spawn(pinned(argv, [lab.cores.tested]), env=lab.environment, cwd=ROOT)
        quart.wait_ready(lambda: accepts(self._quart), 30.0, interval=0.05)
        self._quart_pid = quart.pid
        self._others = range(_USERS, 2 * _USERS)
        self._all = range(2 * _USERS)

    def contenders(self) -> dict[str, Callable[[], float]]:
        """Give what is measured, by name; in a quick run that which has goals."""
        aimed = {
            BATCH: self._batch,
            AIO_PIKA: self._messages,
            SINGLE: self._single,
            QUART: self._empty,
        }
        if self._lab.quick:
            return aimed
        return {**aimed, ANYWHERE: self._anywhere, BROADCAST: self._broadcast}

    def _batch(self) -> float:
        bodies = batches(self._all, _PER_REQUEST)
        count = self._amounts.batches
        return self._post(
            "/api/push/batch",
            bodies,
            count,
            rounds=count // len(bodies),
            connections=_UNDER_WAY,
            done=count * _PER_REQUEST,
        )

    def _anywhere(self) -> float:
        bodies = [push(number) for number in self._all]
        count = self._amounts.singles
        return self._post("/api/push", bodies, count, rounds=count // len(bodies), done=count)

    def _broadcast(self) -> float:
        text = content("all").replace('"', "'")
        count = self._amounts.broadcasts
        done = count * len(self._all)
        return self._post(
            "/api/push", [to_all(text)], count, rounds=count, done=done, expected=text
        )

    def _post(
        self,
        path: str,
        bodies: list[str],
        count: int,
        *,
        rounds: int,
        done: int,
        connections: int = _CONNECTIONS,
        expected: str = EXPECTED,
    ) -> float:
        """Post to the first node; every user of both must receive `rounds` messages for it."""
        for load in (self._here, self._there):
            load.expect(expected)
        before = self._nodes.cpu_seconds()
        self._there.http(
            self._nodes.all[0].address,
            path,
            bodies=bodies,
            count=count,
            connections=connections,
            status=_ACCEPTED,
        )
        self._here.round(rounds)
        self._there.round(rounds)
        return done / (self._nodes.cpu_seconds() - before)

    def _single(self) -> float:
        self._there.expect(EXPECTED)
        node = self._nodes.all[0]
        count = self._amounts.singles
        before = node.cpu_seconds()
        self._there.http(
            node.address,
            "/api/push",
            bodies=[push(number) for number in self._others],
            count=count,
            connections=_CONNECTIONS,
            status=_ACCEPTED,
        )
        self._there.round(count // len(self._others))
        return count / (node.cpu_seconds() - before)

    def _empty(self) -> float:
        count = self._amounts.singles
        before = cpu_seconds([self._quart_pid])
        self._there.http(
            f"{LOOPBACK}:{self._quart}",
            "/api/push",
            bodies=[push(number) for number in self._others],
            count=count,
            connections=_CONNECTIONS,
            status=_ACCEPTED,
        )
        return count / (cpu_seconds([self._quart_pid]) - before)

    def _messages(self) -> float:
        count = self._amounts.messages
        before = self._aio_pika.cpu_seconds()
        self._aio_pika.ask("push", body=push(_USERS), count=count)
        return count / (self._aio_pika.cpu_seconds() - before)

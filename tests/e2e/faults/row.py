"""One row: a fault under load, measured and held against its promises."""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field

from tests.e2e.faults.client import Client, Crowd, until
from tests.e2e.faults.fault import Fault
from tests.e2e.faults.fleet import Fleet
from tests.e2e.faults.ledger import (
    Tally,
    busiest,
    flows_from,
    longest_pause,
    missing,
    percentile,
    slow_until,
    tally,
)
from tests.e2e.faults.pusher import Pusher, answered
from tests.e2e.faults.watch import Seen, Watch

_CALM_LIMIT = 90.0
_RECOVERY_LIMIT = 60.0
_ARRIVAL_LIMIT = 15.0
_SLOW = 0.5
_SLOW_TIMES = 5


@dataclass(slots=True)
class Figures:
    """What came of a row. Times are seconds; None: it did not come about.

    The fault lasted for `seconds`. `pause` is the longest time in which most pushes were not
    accepted, `again` that from the fault (or its end) until each affected node accepted what it was
    sent, `usual` that until the slowest hundredth of pushes was as fast as before.
    """

    fault: str
    history: bool
    clients: int
    tally: Tally
    seconds: float = 0.0
    pause: float = 0.0
    again: float | None = None
    usual: float = 0.0
    comebacks: int = 0
    fastest_comebacks: int = 0
    slowest_answer: float = 0.0
    refused_pushes: int = 0
    badly_refused: Counter[int] = field(default_factory=Counter)
    seen: Seen = field(default_factory=Seen)
    back: bool = True
    notes: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Stage:
    """The cluster, its clients, and who pushes. A `fault.Scene`."""

    fleet: Fleet
    crowd: Crowd
    clients: list[Client]
    pusher: Pusher
    watch: Watch
    steady: float = 5.0
    notes: list[str] = field(default_factory=list)

    async def calm(self) -> None:
        """Wait until everybody is connected and the cluster is well."""
        assert await until(self.all_here, _CALM_LIMIT), f"{self.crowd.connected} connected"
        deadline = time.monotonic() + _CALM_LIMIT
        while not await self.fleet.is_well():
            assert time.monotonic() < deadline, self.fleet.logs()
            await asyncio.sleep(0.2)

    async def spread(self) -> None:
        """Have every client come anew, so that each node holds as many as the next."""
        for client in self.clients:
            client.end()
        await asyncio.sleep(0.1)
        await self.calm()

    def all_here(self) -> bool:
        """Tell whether all clients are connected."""
        return self.crowd.connected == len(self.clients)


async def run_row(stage: Stage, fault: Fault, *, history: bool, quick: bool) -> Figures:
    """Let a fault happen, and give what came of it."""
    stage.notes = []
    problems: list[str] = []
    await stage.calm()
    await fault.prepare(stage)
    if fault.spread:
        await stage.spread()
    await stage.calm()
    stage.crowd.history = history
    for client in stage.clients:
        client.new_row(history=history)
    for moments in (stage.crowd.opened, stage.crowd.closed):
        moments.clear()
    stage.crowd.arrivals.clear()
    stage.pusher.start()
    await asyncio.sleep(stage.steady)
    stage.watch.start()
    began = time.monotonic()
    seconds = fault.quick_seconds if quick and fault.quick_seconds else fault.seconds
    for step in (fault.begin, lambda _: asyncio.sleep(seconds), fault.end):
        try:
            await step(stage)
        except AssertionError as error:
            problems.append(str(error))
    ended = time.monotonic()
    recovered = await until(lambda: _flows(stage, ended), _RECOVERY_LIMIT)
    await asyncio.sleep(stage.steady / 2)
    await stage.watch.stop()
    stopped = time.monotonic()
    await stage.pusher.stop()
    accounts = [client.account for client in stage.clients]
    await until(lambda: not missing(stage.pusher.pushes, accounts), _ARRIVAL_LIMIT)
    since = began if fault.since == "begin" else ended
    figures = _figures(stage, fault, history=history, began=began, since=since, stopped=stopped)
    figures.seconds = ended - began
    figures.back = recovered
    figures.broken = problems
    await fault.tidy(stage)
    return figures


def _flows(stage: Stage, since: float) -> bool:
    """Tell whether all are back, and pushes have been accepted for two seconds without a pause."""
    now = time.monotonic()
    recent = [item for item in stage.pusher.tries if item.sent_at > now - 2]
    return (
        now > since + 2
        and stage.all_here()
        and bool(recent)
        and all(item.status == 202 for item in recent)
    )


def _figures(
    stage: Stage, fault: Fault, *, history: bool, began: float, since: float, stopped: float
) -> Figures:
    pusher, crowd = stage.pusher, stage.crowd
    tries = [(item.sent_at, item.status == 202) for item in pusher.tries]
    refused = [item for item in pusher.tries if item.status not in {0, 202}]
    resets = sum(len(client.account.resets) for client in stage.clients)
    if resets:
        stage.notes.append(f"{resets} clients told `reset`")
    return Figures(
        fault.name,
        history,
        len(stage.clients),
        tally(pusher.pushes, [client.account for client in stage.clients]),
        pause=longest_pause(tries, began, stopped),
        again=_again(stage, fault, since),
        usual=_usual(stage, began, since),
        comebacks=len(crowd.opened),
        fastest_comebacks=busiest(crowd.opened),
        slowest_answer=max([*answered(pusher.tries), stage.watch.seen.slowest], default=0.0),
        refused_pushes=len(refused),
        badly_refused=Counter(
            item.status
            for item in refused
            if not (item.status == 503 and item.retry_after and item.problem)
            # The first try under this key is still being served.
            and not (pusher.insists and item.status == 409)
        ),
        seen=stage.watch.seen,
        notes=stage.notes,
    )


def _again(stage: Stage, fault: Fault, since: float) -> float | None:
    firsts = []
    for name in fault.affected:
        first = flows_from(
            [
                (item.sent_at, item.sent_at + item.seconds, item.status == 202)
                for item in stage.pusher.tries
                if item.node == name
            ],
            since,
        )
        if first is None:
            return None
        firsts.append(first - since)
    return max(firsts)


def _usual(stage: Stage, began: float, since: float) -> float:
    arrivals = stage.crowd.arrivals
    taken = {
        push.sent_at: arrivals[push.number] - push.sent_at if push.number in arrivals else None
        for push in stage.pusher.pushes
        if push.accepted_at is None or push.number in arrivals
    }
    before = [took for moment, took in taken.items() if moment < began and took is not None]
    limit = max(_SLOW, _SLOW_TIMES * percentile(before, 99))
    until_then = slow_until(taken, limit, began)
    return 0.0 if until_then is None else max(0.0, until_then - since)

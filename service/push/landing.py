"""The end of a push's way: the confirms are there, and what follows from them."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

import msgspec

from service import metrics
from service.broker.confirms import Outcome
from service.broker.publication import Publication
from service.push.answers import Accepted, PushesFailedError, Waiting
from service.push.plan import Plan
from service.push.push import Push
from service.push.receiver import Receiver
from service.push.returned import Retrier, Returned

log = logging.getLogger(__name__)

_FANOUT = metrics.PUSHES_ACCEPTED.labels("fanout")
_ROUTED = metrics.PUSHES_ACCEPTED.labels("routed")


class Flight(NamedTuple):
    """A batch that has been published; `outcomes` is None where nothing had to be."""

    batch: Sequence[Waiting]
    planned: Sequence[tuple[Push, Plan]]
    publications: Sequence[Publication]
    outcomes: asyncio.Future[list[Outcome]] | None


class Landing:
    """Ends flights in the order in which they went out, whatever is confirmed first.

    So the users held here get theirs in that order, too. `address` names the broker, for messages.
    """

    def __init__(self, receiver: Receiver, retrier: Retrier, address: Callable[[], str]) -> None:
        self._receiver = receiver
        self._retrier = retrier
        self._address = address
        self._flights: deque[Flight] = deque()
        self._landed = asyncio.Event()
        self._retries: set[asyncio.Task[None]] = set()

    async def room(self, limit: int) -> None:
        """Wait until fewer flights than that are under way."""
        while len(self._flights) >= limit:
            self._landed.clear()
            await self._landed.wait()

    def add(self, flight: Flight) -> None:
        """Take a flight that has just gone out."""
        self._flights.append(flight)
        if flight.outcomes is None:
            self._land()
        else:
            flight.outcomes.add_done_callback(self._land)

    def _land(self, *_: object) -> None:
        flights = self._flights
        while flights and (flights[0].outcomes is None or flights[0].outcomes.done()):
            self._settle(flights.popleft())
        self._landed.set()

    def _settle(self, flight: Flight) -> None:
        try:
            failed, returned = _faults(flight)
            self._receiver.count_gone(_local(flight, failed))
            self._receiver.deliver_all(_for_here(flight, failed))
        except Exception as error:
            log.exception("%d pushes failed", len(flight.batch))
            self.fail(flight.batch, f"internal error: {error}")
            return
        fanout = accepted = offline = 0
        for place, waiting in enumerate(flight.batch):
            push, plan = flight.planned[place]
            if place in failed:
                self.fail([waiting], self._unconfirmed)
            elif place in returned:
                self._retry_soon(waiting, plan, returned[place])
            else:
                accepted += 1
                fanout += plan.fanout
                if plan.offline:
                    offline += len(plan.offline)
                waiting.answer.take(waiting.place, _accepted(push, plan, plan.offline))
        # Once for all of them: a counter takes a lock.
        _FANOUT.inc(fanout)
        _ROUTED.inc(accepted - fanout)
        metrics.OFFLINE.inc(offline)

    @staticmethod
    def fail(batch: Sequence[Waiting], reason: str) -> None:
        """Tell who waits for pushes that they have failed."""
        metrics.PUSHES_FAILED.inc(len(batch))
        for waiting in batch:
            waiting.answer.take(waiting.place, PushesFailedError(reason))

    @property
    def _unconfirmed(self) -> str:
        return f"RabbitMQ at {self._address()} did not confirm"

    def _retry_soon(self, waiting: Waiting, planned: Plan, returned: Sequence[Returned]) -> None:
        task = asyncio.create_task(self._retry(waiting, planned, returned))
        self._retries.add(task)
        task.add_done_callback(self._retries.discard)

    async def _retry(self, waiting: Waiting, planned: Plan, returned: Sequence[Returned]) -> None:
        try:
            settled = await self._retrier.settle(waiting.push, planned, returned)
        except Exception as error:
            log.exception("a push could not be tried again")
            self.fail([waiting], f"internal error: {error}")
            return
        if settled.failed:
            self.fail([waiting], self._unconfirmed)
            return
        _ROUTED.inc()
        metrics.OFFLINE.inc(len(planned.offline or ()))
        metrics.RETURNED.inc(len(settled.nowhere))
        offline = None if planned.offline is None else (*planned.offline, *settled.nowhere)
        accepted = _accepted(waiting.push, planned, offline)
        if accepted.nodes is not None:
            nodes = settled.nodes_after(accepted.nodes, returned)
            accepted = msgspec.structs.replace(accepted, nodes=nodes)
        waiting.answer.take(waiting.place, accepted)


def _faults(flight: Flight) -> tuple[set[int], dict[int, list[Returned]]]:
    """Find the places of pushes that were not confirmed, and of those that came back in part."""
    failed: set[int] = set()
    returned: dict[int, list[Returned]] = {}
    outcomes = [] if flight.outcomes is None else flight.outcomes.result()
    for publication, outcome in zip(flight.publications, outcomes, strict=True):
        if outcome is Outcome.FAILED:
            failed.update(publication.pushes)
        elif outcome is Outcome.RETURNED:
            for place, part in zip(publication.pushes, publication.parts, strict=True):
                item = Returned(publication.node, part.users)
                returned.setdefault(place, []).append(item)
    for place in failed:
        returned.pop(place, None)
    return failed, returned


def _for_here(flight: Flight, failed: Collection[int]) -> list[tuple[Push, tuple[str, ...] | None]]:
    """Give the pushes that the broker has for users held here, and these users; None for all."""
    planned = flight.planned
    if failed:
        planned = [item for place, item in enumerate(planned) if place not in failed]
    return [
        (push, push.targets if plan.fanout else plan.local)
        for push, plan in planned
        if plan.fanout or plan.local
    ]


def _local(flight: Flight, failed: Collection[int]) -> Sequence[str]:
    """Give the users whom the directory has here, for each push once."""
    planned = enumerate(flight.planned)
    return [user for place, (_, plan) in planned if place not in failed for user in plan.local]


def _accepted(push: Push, planned: Plan, offline: tuple[str, ...] | None) -> Accepted:
    targets = push.targets
    accepted = Accepted(
        push.id,
        "fanout" if planned.fanout else "routed",
        None if targets is None else len(targets),
        offline,
    )
    if push.notes is not None and push.notes.report and not planned.fanout:
        # The node that asks is the one that sends.
        here = (push.notes.report,) if planned.local else ()
        return msgspec.structs.replace(accepted, nodes=(*planned.direct, *here))
    return accepted

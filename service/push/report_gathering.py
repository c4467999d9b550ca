"""Gather what the nodes report on a push, for the caller who waits to be told."""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from datetime import timedelta

import msgspec

from nacos_boot.settings.section import parse_duration
from service import metrics
from service.broker.notes import Notes
from service.directory.directories import Directories
from service.directory.redis_store import StoreError
from service.push.answers import Accepted, TooManyPushesError
from service.push.push import Push, PushError
from service.push.reports import DeliveryReport, Reports, Tally

MAX_TARGETS = 10_000
"""Targets of one push that is reported on: 1.5 MB of reports where all ids are long."""

MAX_WAITING = 1000
MAX_USERS = 200_000
"""Pushes that are reported on at a time, and the targets of them all: some 50 MB."""


class WaitError(ValueError):
    """A `wait` that cannot be granted; the message says what was expected."""


def read_wait(text: str, most: timedelta) -> timedelta:
    """Read the parameter `wait`: a duration as Spring Boot writes it. Raises WaitError."""
    try:
        wait = parse_duration(text)
    except ValueError as error:
        raise WaitError(str(error)) from error
    if not timedelta(0) < wait <= most:
        raise WaitError(
            f"'{text[:40]}': expected more than 0s, and {most.total_seconds():g}s at most"
        )
    return wait


class _Waiting:
    __slots__ = ("done", "tally")

    def __init__(self) -> None:
        self.tally = Tally()
        self.done = asyncio.Event()


class Gathering:
    """The pushes of this node that somebody waits to be told of.

    `silent` gives the ids of nodes that get pushes by fanout and never report: Java nodes.
    """

    def __init__(
        self, node: str, directory: Directories, silent: Callable[[], Collection[str]]
    ) -> None:
        self._node = node
        self._directory = directory
        self._silent = silent
        self._waiting: dict[str, _Waiting] = {}
        self._users = 0

    def add(self, reports: Reports) -> None:
        """Take a node's reports; those that nobody waits for any more are counted."""
        for report in reports.items:
            waiting = self._waiting.get(report.push)
            if waiting is None:
                metrics.REPORTS_LATE.inc()
                continue
            waiting.tally.add(reports.node, report)
            if waiting.tally.settled:
                waiting.done.set()

    async def push(
        self, push: Push, send: Callable[[Push], Awaitable[Accepted]], wait: timedelta
    ) -> DeliveryReport:
        """Send a push; gives the report when it is complete, or when `wait` has passed.

        Raises PushError for too many targets, PushesFailedError, also where too many wait already.
        """
        deadline = asyncio.get_running_loop().time() + wait.total_seconds()
        targets = push.targets or ()
        if len(targets) > MAX_TARGETS:
            raise PushError(
                "targetUserList", f"expected {MAX_TARGETS} targets at most together with wait"
            )
        if len(self._waiting) >= MAX_WAITING or self._users + len(targets) > MAX_USERS:
            raise TooManyPushesError(
                f"{len(self._waiting)} pushes to {self._users} users wait for their reports already"
            )
        waiting = self._waiting[push.id] = _Waiting()
        self._users += len(targets)
        metrics.REPORTS_WAITING.set(len(self._waiting))
        try:
            alive = await self._alive()
            notes = msgspec.structs.replace(push.notes or Notes(), report=self._node)
            accepted = await send(msgspec.structs.replace(push, notes=notes))
            return await self._report(waiting, accepted, push.targets, alive, deadline)
        finally:
            del self._waiting[push.id]
            self._users -= len(targets)
            metrics.REPORTS_WAITING.set(len(self._waiting))

    async def _report(
        self,
        waiting: _Waiting,
        accepted: Accepted,
        targets: Collection[str] | None,
        alive: Collection[str] | None,
        deadline: float,
    ) -> DeliveryReport:
        tally, silent = waiting.tally, self._silent() if accepted.mode == "fanout" else ()
        owed = alive if accepted.nodes is None else accepted.nodes
        if owed is not None:
            tally.expect(owed)
        # Where nobody knows who is alive, somebody may always be missing.
        if not tally.settled:
            try:
                async with asyncio.timeout_at(deadline):
                    await waiting.done.wait()
            except TimeoutError:
                metrics.REPORTS_INCOMPLETE.inc()
        return tally.result(
            accepted.id, accepted.mode, targets, offline=accepted.offline or (), silent=silent
        )

    async def _alive(self) -> Collection[str] | None:
        """Give the nodes that would get a push to all; None where nobody knows."""
        try:
            await self._directory.look()
        except StoreError:
            return None
        return frozenset(self._directory.alive) if self._directory.settled else None

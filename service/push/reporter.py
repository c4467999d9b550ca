"""The Reporter: tells the nodes that ask what became of their pushes at this one.

Nothing is told before the Hub has written the push. A socket that has taken all bytes has it; one
that has not is given a moment, and then called slow.
"""

import asyncio
import logging
import re
from collections.abc import Callable, Collection, Sequence

from service import metrics
from service.broker.broker import Broker
from service.broker.confirms import Outcome
from service.broker.envelope import write_reports
from service.broker.publication import MAX_BYTES, Publication
from service.clients.hub import Hub
from service.clients.row import Socket
from service.push.push import new_push_id
from service.push.reports import Report, Reports

log = logging.getLogger(__name__)

PATIENCE = 0.2
"""Seconds that a client may take for what its socket does not hold at once, as a long message."""

MAX_HELD = 1_000_000
"""Connections that are watched, or told of in reports not yet sent; more pushes go unreported."""

_LOOK = 0.02
_CHUNK = 1000
_USER_BYTES = 150

# An id of a push or of a node becomes a name in AMQP, which anybody could have written.
_ID = re.compile(r"[0-9a-f]{32}")


class _Watch:
    """One push at this node: the connections it goes to, and what is known of them."""

    __slots__ = ("asker", "by_user", "delivered", "pending", "push", "size", "slow", "until")

    def __init__(
        self, push: str, asker: str, sockets: list[Socket], until: float, *, by_user: bool
    ) -> None:
        self.push = push
        self.asker = asker
        self.pending = sockets
        self.size = len(sockets) + 1
        self.until = until
        self.delivered = self.slow = 0
        self.by_user: dict[str, tuple[int, int]] | None = {} if by_user else None

    async def look(self, hub: Hub, *, last: bool) -> None:
        """See who has the push by now; the `last` time, who has it not is slow."""
        later: list[Socket] = []
        for number, socket in enumerate(self.pending):
            if number % _CHUNK == _CHUNK - 1:
                await asyncio.sleep(0)
            if socket.open and not socket.behind:
                self._count(socket, 1, 0)
            elif not socket.open and socket not in hub.of_user(socket.user):
                # Gone, and for this push too slow where bytes waited for it.
                self._count(socket, 0, 1 if socket.behind else 0)
            elif last:
                self._count(socket, 0, 1)
            else:
                later.append(socket)
        self.pending = later

    def _count(self, socket: Socket, delivered: int, slow: int) -> None:
        self.delivered += delivered
        self.slow += slow
        if self.by_user is not None and (delivered or slow):
            before = self.by_user.get(socket.user, (0, 0))
            self.by_user[socket.user] = (before[0] + delivered, before[1] + slow)

    @property
    def report(self) -> Report:
        return Report(self.push, self.delivered, self.slow, self.by_user or {})


class Reporter:
    """Watches pushes with a note that asks for it. `own` takes what this node asked for itself."""

    def __init__(self, node: str, hub: Hub, broker: Broker, own: Callable[[Reports], None]) -> None:
        self._node = node
        self._hub = hub
        self._broker = broker
        self._own = own
        self._held = 0
        self._watches: list[_Watch] = []
        self._watching = asyncio.Event()
        self._ready: list[_Watch] = []
        self._sending = asyncio.Event()

    def take(self, reports: Reports) -> None:
        """Take what another node reports to this one."""
        self._own(reports)

    def watch(self, push: str, asker: str, targets: Collection[str] | None) -> None:
        """Report on a push to `asker`, just after the Hub has been told to deliver it."""
        hub = self._hub
        if targets is None:
            sockets = list(hub.sockets)
        else:
            sockets = [socket for user in targets for socket in hub.of_user(user)]
        known = _ID.fullmatch(asker) and _ID.fullmatch(push)
        if not known or self._held + len(sockets) >= MAX_HELD:
            metrics.REPORTS_LOST.inc()
            return
        until = asyncio.get_running_loop().time() + PATIENCE
        watch = _Watch(push, asker, sockets, until, by_user=targets is not None)
        self._held += watch.size
        self._watches.append(watch)
        self._watching.set()

    async def run(self) -> None:
        """Watch and tell; runs until cancelled."""
        await asyncio.gather(self._watch_all(), self._tell_all())

    async def _watch_all(self) -> None:
        now = asyncio.get_running_loop().time
        while True:
            await self._watching.wait()
            # Those that come from here on may not have been written when the Hub is done.
            watches, self._watches = self._watches, []
            while self._hub.writing:  # noqa: ASYNC110 - the Hub's turns come between
                await asyncio.sleep(0)
            later = []
            for watch in watches:
                await watch.look(self._hub, last=now() >= watch.until)
                if watch.pending:
                    later.append(watch)
                else:
                    self._ready.append(watch)
                    self._sending.set()
            self._watches = [*later, *self._watches]
            if not self._watches:
                self._watching.clear()
            elif later:
                await asyncio.sleep(_LOOK)

    async def _tell_all(self) -> None:
        while True:
            await self._sending.wait()
            self._sending.clear()
            ready, self._ready = self._ready, []
            try:
                await self._tell(ready)
            except Exception:
                log.exception("%d delivery reports are lost", len(ready))
                metrics.REPORTS_LOST.inc(len(ready))
            self._held -= sum(watch.size for watch in ready)

    async def _tell(self, ready: Sequence[_Watch]) -> None:
        by_asker: dict[str, list[Report]] = {}
        for watch in ready:
            by_asker.setdefault(watch.asker, []).append(watch.report)
        own = by_asker.pop(self._node, None)
        if own is not None:
            self._own(Reports(self._node, tuple(own)))
        bundles = [
            (asker, bundle) for asker, items in by_asker.items() for bundle in _bundles(items)
        ]
        if not bundles:
            return
        outcomes = await self._broker.publish(
            [
                Publication("direct", asker, new_push_id(), self._written(bundle), ())
                for asker, bundle in bundles
            ]
        )
        for (_, bundle), outcome in zip(bundles, outcomes, strict=True):
            if outcome is not Outcome.CONFIRMED:
                metrics.REPORTS_LOST.inc(len(bundle))

    def _written(self, bundle: Sequence[Report]) -> bytes:
        return write_reports(Reports(self._node, tuple(bundle)))


def _bundles(items: Sequence[Report]) -> list[list[Report]]:
    """Divide reports so that no message becomes much longer than others."""
    bundles: list[list[Report]] = [[]]
    size = 0
    for item in items:
        if size >= MAX_BYTES:
            bundles.append([])
            size = 0
        bundles[-1].append(item)
        size += _USER_BYTES * (1 + len(item.users))
    return bundles

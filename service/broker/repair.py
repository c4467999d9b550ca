"""Messages lost on their way between nodes: ask for them, and send again what others ask for.

A broker that blips takes the queues with it (they are auto-delete), and what lay in them, though
it was confirmed. Nothing here needs Redis: the numbers that messages carry show what is missing
(`arrivals.py`), and every node keeps what it has published lately (`sent.py`).
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from time import monotonic

from nacos_boot.config.live import LiveSettings
from service import metrics
from service.broker.amqp import DIRECT, FANOUT
from service.broker.amqp_consumer import Handler
from service.broker.broker import Broker
from service.broker.confirms import Outcome
from service.broker.envelope import write_resend
from service.broker.publication import Publication
from service.broker.resending import Again, Ask, Resend, Way
from service.push.push import PushError, new_push_id
from service.settings import NodeSettings

log = logging.getLogger(__name__)

WAIT = 0.05
"""Seconds between a gap and the question: what is only late may still come."""

PACE = 0.5
"""Seconds without a word after which a node is asked again, and longer each time."""

SLOWEST = 5.0

TRIES = 20
"""Questions without an answer after which a node owes nothing any more: a minute and a half."""

REST = 1.0
"""Seconds between two looks at which nodes there are."""

SETTLE = 6.0
"""Seconds that an answer waits for confirms; the broker has less to say what became of them."""

MAX_ASKING = 1000
"""Nodes whose questions wait for their answer; who is not among them asks again."""

_EXCHANGES: dict[Way, str] = {"fanout": FANOUT, "direct": DIRECT}


class Repair:
    """One node's part. `alive` gives the ids of the nodes that live; `handle` takes a message."""

    def __init__(
        self,
        node: str,
        broker: Broker,
        handle: Handler,
        alive: Callable[[], set[str]],
        live: LiveSettings[NodeSettings],
    ) -> None:
        self._node = node
        self._broker = broker
        self._handle = handle
        self._alive = alive
        self._sent = broker.sent
        self._arrivals = broker.arrivals
        self._stirred = asyncio.Event()
        self._arrivals.stir = self._stirred.set
        self._asked = asyncio.Event()
        self._asks: dict[str, Ask] = {}
        self._owing: dict[str, _Owing] = {}
        self._limit(live.current)
        live.subscribe(lambda _old, new: self._limit(new))

    async def run(self) -> None:
        """Ask and answer; runs until cancelled."""
        await asyncio.gather(self._ask_for_ever(), self._answer_for_ever())

    def take(self, resend: Resend) -> None:
        """Take what another node says. Neither raises nor blocks."""
        if resend.ask is not None and (resend.node in self._asks or len(self._asks) < MAX_ASKING):
            self._asks[resend.node] = resend.ask
            self._asked.set()
        if resend.again is not None:
            self._take_again(resend.node, resend.again)

    def _take_again(self, node: str, again: Again) -> None:
        items = self._arrivals.answered(node, again)
        exchange = _EXCHANGES[again.way]
        for item in items:
            try:
                self._handle(exchange, bytes(item.body), item.id)
            except PushError as error:
                log.warning("a message that was sent again is dropped: %s", error)
            except Exception:
                log.exception("a message that was sent again could not be handled")
        if items:
            metrics.MESSAGES_RESENT.inc(len(items))
            log.info("node %s sent %d lost messages again", node, len(items))
        self._count_lost()
        if node in self._owing:
            self._owing[node] = _Owing(monotonic() + PACE)

    async def _ask_for_ever(self) -> None:
        while True:
            await self._pause(monotonic())
            alive = self._alive() - {self._node}
            self._sent.meet(alive)
            self._sent.trim(monotonic())
            self._arrivals.meet(alive)
            self._arrivals.look_behind(alive)
            for node in list(self._arrivals.owing):
                await self._ask(node, living=node in alive)
            self._count_lost()

    async def _pause(self, now: float) -> None:
        due = min((owing.due - now for owing in self._owing.values()), default=REST)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(max(due, WAIT), REST)):
                await self._stirred.wait()
                self._stirred.clear()
                await asyncio.sleep(WAIT)

    async def _ask(self, node: str, *, living: bool) -> None:
        now = monotonic()
        owing = self._owing.setdefault(node, _Owing(now))
        if owing.due > now:
            return
        ask = self._arrivals.ask_of(node)
        if ask is None:
            del self._owing[node]
            return
        if owing.tries >= TRIES or (owing.tries and not living):
            log.warning("node %s does not say what became of its messages", node)
            self._arrivals.give_up(node)
            del self._owing[node]
            return
        outcome = await self._say(Resend(self._node, ask=ask), node)
        # As long as the broker is away, nobody can answer.
        tries = owing.tries + (outcome is not Outcome.FAILED)
        pause = min(PACE * max(tries, 1), SLOWEST)
        self._owing[node] = _Owing(monotonic() + pause, tries)

    async def _answer_for_ever(self) -> None:
        while True:
            await self._asked.wait()
            self._asked.clear()
            while self._asks:
                node = next(iter(self._asks))
                await self._answer(node, self._asks.pop(node))

    async def _answer(self, node: str, ask: Ask) -> None:
        self._sent.trim(monotonic())
        closed = self._sent.complete(node, ask)
        if not await self._settled(node, closed):
            return
        ways: Sequence[tuple[Way, Sequence[tuple[int, int]], Sequence[tuple[int, int]]]] = (
            ("fanout", ask.fanout, closed.fanout),
            ("direct", ask.direct, closed.direct),
        )
        for way, asked, ranges in ways:
            for (from_zero, to_zero), (first, last) in zip(asked, ranges, strict=True):
                begin = 0 if from_zero else first
                place = first
                while True:
                    part = self._sent.again(way, node, place, last)
                    final = not to_zero and part.last >= last
                    again = Again(
                        way,
                        place,
                        part.last,
                        part.floor,
                        part.items,
                        begin,
                        ask.round,
                        final,
                        part.newest,
                    )
                    if await self._say(Resend(self._node, again=again), node) is not (
                        Outcome.CONFIRMED
                    ):
                        return
                    place = part.last + 1
                    if place > last:
                        break
        # What it has asked meanwhile is the same, since it did not know better.
        self._asks.pop(node, None)

    async def _settled(self, node: str, ask: Ask) -> bool:
        """Wait until the broker has said what became of all that was asked for."""
        ways: Sequence[tuple[Way, Sequence[tuple[int, int]]]] = (
            ("fanout", ask.fanout),
            ("direct", ask.direct),
        )
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SETTLE):
                while not all(  # noqa: ASYNC110 - confirms come one by one, and this is rare
                    self._sent.settled(way, node, first, last)
                    for way, ranges in ways
                    for first, last in ranges
                ):
                    await asyncio.sleep(WAIT)
                return True
        return False

    async def _say(self, resend: Resend, node: str) -> Outcome:
        # Without a number: who asks again misses nothing.
        publication = Publication(
            "direct", node, new_push_id(), write_resend(resend), (), numbered=False
        )
        [outcome] = await self._broker.publish([publication])
        return outcome

    def _count_lost(self) -> None:
        lost, self._arrivals.lost = self._arrivals.lost, 0
        if lost:
            metrics.MESSAGES_LOST.inc(lost)
            log.warning("%d messages of other nodes are lost", lost)

    def _limit(self, settings: NodeSettings) -> None:
        resend = settings.websocket.resend
        self._sent.limit(resend.buffer, resend.age.total_seconds(), monotonic())


class _Owing:
    """A node that owes messages: when to ask it next, and how often it was asked in vain."""

    __slots__ = ("due", "tries")

    def __init__(self, due: float, tries: int = 0) -> None:
        self.due = due
        self.tries = tries

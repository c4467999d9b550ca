"""The Pusher: accepted pushes on their way, in the order of their acceptance.

One task takes what has gathered since it last looked: one directory look-up, one plan each, one
AMQP message per node, one wait for the confirms, then the users held here. An idle node adds no
wait; a busy one merges.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from service import metrics
from service.amqp_publisher import Outcome
from service.broker import Broker
from service.directories import Directories
from service.plan import Homes, Plan, plan
from service.publication import Publication, compose
from service.push import Push
from service.receiver import Receiver
from service.returned import Retrier, Returned
from service.settings import PushMode

log = logging.getLogger(__name__)

MAX_MERGED = 2000
MAX_WAITING = 50_000


class PushesFailedError(Exception):
    """RabbitMQ did not confirm; the push is not accepted, though some users may have got it."""


class TooManyPushesError(PushesFailedError):
    """More pushes wait for the broker than this node keeps."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """What a 202 says: `mode` is how the push went, `offline` None where that is not known."""

    id: str
    mode: PushMode
    targets: int | None
    offline: tuple[str, ...] | None


@dataclass(slots=True)
class _Waiting:
    push: Push
    done: asyncio.Future[Accepted]
    failed: bool = False
    returned: list[Returned] = field(default_factory=list)


class Pusher:
    """Sends pushes. `mode` tells the mode at the moment of the look-up."""

    def __init__(
        self,
        node: str,
        broker: Broker,
        directory: Directories,
        receiver: Receiver,
        mode: Callable[[], PushMode],
    ) -> None:
        self._node = node
        self._broker = broker
        self._directory = directory
        self._receiver = receiver
        self._mode = mode
        self._waiting: list[_Waiting] = []
        self._stirred = asyncio.Event()
        self._retrier = Retrier(node, broker, directory, receiver)
        self._retries: set[asyncio.Task[None]] = set()

    async def push(self, push: Push) -> Accepted:
        """Send one push. Raises PushesFailedError."""
        return await self.submit(push)

    def submit(self, push: Push) -> asyncio.Future[Accepted]:
        """Queue a push; the future has the outcome. Pushes go in the order of these calls.

        Raises TooManyPushesError.
        """
        if len(self._waiting) >= MAX_WAITING:
            raise TooManyPushesError(f"{MAX_WAITING} pushes wait for RabbitMQ already")
        done: asyncio.Future[Accepted] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(push, done))
        self._stirred.set()
        return done

    async def run(self) -> None:
        """Send for ever; runs until cancelled."""
        while True:
            await self._stirred.wait()
            batch, self._waiting = self._waiting[:MAX_MERGED], self._waiting[MAX_MERGED:]
            if not self._waiting:
                self._stirred.clear()
            try:
                await self._send(batch)
            except Exception as error:
                log.exception("a batch of %d pushes failed", len(batch))
                for waiting in batch:
                    if not waiting.done.done():
                        self._fail(waiting, f"internal error: {error}")

    async def _send(self, batch: Sequence[_Waiting]) -> None:
        mode = self._mode()
        homes = await self._homes(batch) if mode == "routed" else {}
        plans = [self._plan(waiting.push, homes, mode) for waiting in batch]
        publications = compose([(w.push, p) for w, p in zip(batch, plans, strict=True)])
        outcomes = await self._broker.publish(publications)
        for publication, outcome in zip(publications, outcomes, strict=True):
            self._note(batch, publication, outcome)
        for waiting, planned in zip(batch, plans, strict=True):
            self._finish(waiting, planned)

    async def _homes(self, batch: Sequence[_Waiting]) -> dict[str, Homes | None]:
        users = list(dict.fromkeys(user for w in batch for user in w.push.targets or ()))
        if not users:
            return {}
        return dict(zip(users, await self._directory.homes(users), strict=True))

    def _plan(self, push: Push, homes: dict[str, Homes | None], mode: PushMode) -> Plan:
        if mode == "fanout" or push.targets is None:
            return plan(push, None, self._node)
        return plan(push, [homes[user] for user in push.targets], self._node)

    @staticmethod
    def _note(batch: Sequence[_Waiting], publication: Publication, outcome: Outcome) -> None:
        if outcome is Outcome.CONFIRMED:
            return
        for place, index in enumerate(publication.pushes):
            if outcome is Outcome.FAILED:
                batch[index].failed = True
            else:
                users = publication.parts[place].users
                batch[index].returned.append(Returned(publication.node, users))

    def _finish(self, waiting: _Waiting, planned: Plan) -> None:
        if waiting.failed:
            self._fail(waiting, f"RabbitMQ at {self._broker.address} did not confirm")
            return
        push = waiting.push
        mine = push.targets if planned.fanout else planned.local
        if mine is None or mine:
            self._receiver.deliver(push.id, push.content, mine)
        if waiting.returned:
            task = asyncio.create_task(self._retry(waiting, planned))
            self._retries.add(task)
            task.add_done_callback(self._retries.discard)
        else:
            self._accept(waiting, planned, planned.offline)

    async def _retry(self, waiting: _Waiting, planned: Plan) -> None:
        try:
            settled = await self._retrier.settle(waiting.push, planned, waiting.returned)
        except Exception as error:
            log.exception("a push could not be tried again")
            self._fail(waiting, f"internal error: {error}")
            return
        if settled.failed:
            self._fail(waiting, f"RabbitMQ at {self._broker.address} did not confirm")
            return
        offline = None if planned.offline is None else (*planned.offline, *settled.nowhere)
        self._accept(waiting, planned, offline)

    @staticmethod
    def _fail(waiting: _Waiting, reason: str) -> None:
        if not waiting.done.done():
            waiting.done.set_exception(PushesFailedError(reason))
            # Whoever has given up meanwhile does not ask, which is no reason to log a trace.
            waiting.done.exception()
        metrics.PUSHES_FAILED.inc()

    @staticmethod
    def _accept(waiting: _Waiting, planned: Plan, offline: tuple[str, ...] | None) -> None:
        mode: PushMode = "fanout" if planned.fanout else "routed"
        metrics.PUSHES_ACCEPTED.labels(mode).inc()
        if not waiting.done.done():
            targets = waiting.push.targets
            waiting.done.set_result(
                Accepted(waiting.push.id, mode, None if targets is None else len(targets), offline)
            )

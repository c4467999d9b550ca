"""The Pusher: accepted pushes on their way, in the order of their acceptance.

One task takes what has gathered since it last looked: one directory look-up, one plan each, one
AMQP message per node. Confirms are awaited beside it, batch after batch; then the users held here
get theirs and the pushes are accepted. An idle node adds no wait; a busy one merges.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence

from service.broker.broker import Broker
from service.broker.publication import compose
from service.directory.directories import Directories
from service.history.recorder import Recorder
from service.push.answers import (
    Accepted,
    ManyAnswers,
    OneAnswer,
    Result,
    TooManyPushesError,
    Waiting,
)
from service.push.landing import Flight, Landing
from service.push.plan import Homes, Plan, plan
from service.push.push import Push
from service.push.receiver import Receiver
from service.push.returned import Retrier
from service.settings import PushMode

log = logging.getLogger(__name__)

MAX_MERGED = 2000
MAX_WAITING = 50_000

MAX_UNDER_WAY = 4
"""Batches that wait for their confirms at a time. With more, a push waits less for those before
it; with fewer, a busy node merges more. At a broker 5 ms away, 500 pushes a second take 13 ms with
four where they take 19 ms with one; at a broker on the same machine there is no difference."""


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
        self._mode = mode
        self._waiting: list[Waiting] = []
        self._stirred = asyncio.Event()
        retrier = Retrier(node, broker, directory, receiver)
        self._landing = Landing(receiver, retrier, lambda: broker.address)
        self.recorder: Recorder | None = None
        """Keeps pushes before they go out; None while the history is off."""

    async def push(self, push: Push) -> Accepted:
        """Send one push. Raises PushesFailedError."""
        return await self.submit(push)

    async def push_all(self, pushes: Sequence[Push]) -> list[Result]:
        """Send pushes, in their order; gives what became of each."""
        answers = ManyAnswers(len(pushes))
        waiting = [Waiting(push, answers, place) for place, push in enumerate(pushes)]
        room = max(MAX_WAITING - len(self._waiting), 0)
        self._waiting += waiting[:room]
        self._stirred.set()
        for item in waiting[room:]:
            answers.take(item.place, _too_many())
        return await answers.future

    def submit(self, push: Push) -> asyncio.Future[Accepted]:
        """Queue a push; the future has the outcome. Pushes go in the order of these calls.

        Raises TooManyPushesError.
        """
        if len(self._waiting) >= MAX_WAITING:
            raise _too_many()
        answer = OneAnswer()
        self._waiting.append(Waiting(push, answer))
        self._stirred.set()
        return answer.future

    async def run(self) -> None:
        """Send for ever; runs until cancelled."""
        while True:
            await self._stirred.wait()
            await self._landing.room(MAX_UNDER_WAY)
            batch, self._waiting = self._waiting[:MAX_MERGED], self._waiting[MAX_MERGED:]
            if not self._waiting:
                self._stirred.clear()
            try:
                self._landing.add(await self._send(batch))
            except Exception as error:
                log.exception("a batch of %d pushes failed", len(batch))
                self._landing.fail(batch, f"internal error: {error}")

    async def _send(self, batch: Sequence[Waiting]) -> Flight:
        if self.recorder is not None:
            batch = await self.recorder.record(batch)
        routed = self._mode() == "routed"
        homes = await self._homes(batch) if routed else {}
        planned: list[tuple[Push, Plan]] = []
        for waiting in batch:
            push = waiting.push
            found = [homes[user] for user in push.targets or ()] if routed else None
            planned.append((push, plan(push, found, self._node)))
        publications = compose(planned)
        outcomes = await self._broker.send(publications) if publications else None
        return Flight(batch, planned, publications, outcomes)

    async def _homes(self, batch: Sequence[Waiting]) -> dict[str, Homes | None]:
        users = list(dict.fromkeys([user for w in batch for user in w.push.targets or ()]))
        if not users:
            return {}
        return dict(zip(users, await self._directory.homes(users), strict=True))


def _too_many() -> TooManyPushesError:
    return TooManyPushesError(f"{MAX_WAITING} pushes wait for RabbitMQ already")

"""This node at one RabbitMQ: a connection to publish and one to consume."""

import asyncio
import contextlib
import itertools
import logging
from collections.abc import Sequence

from nacos_boot.start.startup import StartError
from service.broker.amqp_consumer import AmqpConsumer, Handler
from service.broker.amqp_link import CALL_LIMIT, PAUSES
from service.broker.amqp_publisher import AmqpPublisher
from service.broker.amqp_queue import NodeQueues
from service.broker.confirms import Outcome
from service.broker.publication import Publication
from service.settings_servers import RabbitSection

log = logging.getLogger(__name__)


class BrokerSide:
    """One server that the node publishes at or consumes from. Implements mover.Side."""

    def __init__(self, settings: RabbitSection, queues: NodeQueues, handler: Handler) -> None:
        self._publisher = AmqpPublisher(settings, queues.node, queues.sent)
        self._consumer = AmqpConsumer(settings, queues, handler, self._publisher.set_aside)
        self._opened = False
        self._error: str | None = None
        self._under_way = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self.published_at = float("-inf")
        """When the last publication had its outcome, on the loop's clock."""

    @property
    def address(self) -> str:
        """Host and port, for messages."""
        return self._publisher.address

    @property
    def publishing(self) -> bool:
        """Whether publications can be tried now."""
        return not self._publisher.fault

    @property
    def faults(self) -> dict[str, object]:
        """What does not work, for people who look at health."""
        found = {
            "publisher": self._publisher.fault,
            "deadLetters": self._publisher.dead_queue_fault,
        }
        return {name: fault for name, fault in found.items() if fault}

    @property
    def consuming(self) -> bool:
        """Whether the queue of this node is being consumed."""
        return self._consumer.up

    @property
    def identity(self) -> str | None:
        """What tells this broker from others, None while it does not work."""
        return self._consumer.identity if self.publishing and self.consuming else None

    @property
    def error(self) -> str | None:
        """Why it does not work, for people."""
        return self._error or self._publisher.error or self._consumer.error

    async def open(self) -> None:
        """Connect, declare exchanges and queue, and consume. Raises StartError."""
        try:
            await self._publisher.open()
            await self._consumer.open()
        except StartError as error:
            self._error = str(error)
            await self._publisher.drop()
            raise
        self._opened, self._error = True, None

    async def run(self) -> None:
        """Connect where that has not been done, and repair what breaks; runs until cancelled."""
        if not self._opened:
            await self._open_at_last()
        await asyncio.gather(self._publisher.run(), self._consumer.run())

    async def send(self, publications: Sequence[Publication]) -> asyncio.Future[list[Outcome]]:
        """Publish in order; the future has every outcome 5 s later at most. Never raises."""
        self._under_way += 1
        self._idle.clear()
        try:
            outcomes = await self._publisher.send(publications)
        except BaseException:
            self._settled()
            raise
        outcomes.add_done_callback(self._settled)
        return outcomes

    def _settled(self, *_: object) -> None:
        self.published_at = asyncio.get_running_loop().time()
        self._under_way -= 1
        if not self._under_way:
            self._idle.set()

    async def published(self) -> None:
        """Wait until what is being published has its outcome, a little more than 5 s at most."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CALL_LIMIT + 1):
                await self._idle.wait()

    async def discard_queue(self, node: str) -> None:
        """Delete the queue of a dead node, unless somebody consumes it. Never raises."""
        await self._publisher.discard_queue(node)

    async def leave(self, *, same: bool) -> None:
        """Take what is still in the queue, then close for good. Never raises.

        With `same`, another side goes on with the queue.
        """
        await self._consumer.leave(same=same)
        if self._publisher.up:
            await self.published()
        await self._publisher.close()

    async def close(self) -> None:
        """Give up the queue (which deletes it), then close the rest. Never raises."""
        await self._consumer.close()
        await self._publisher.close()

    async def _open_at_last(self) -> None:
        told = None
        for attempt in itertools.count():
            try:
                await self.open()
            except StartError as error:
                if str(error) != told:
                    told = str(error)
                    log.warning("%s; everything stays at the one in use; trying again", error)
            else:
                return
            await asyncio.sleep(PAUSES[min(attempt, len(PAUSES) - 1)])

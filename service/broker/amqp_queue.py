"""Which queue a side consumes: this node may be connected to one RabbitMQ more than once.

While a node moves, its old side and its new one may turn out to be at the same broker (another
account, another name of it, another node of its cluster). Each message must still be consumed
once: the new one joins the queue of the old one.
"""

import asyncio
import contextlib
import itertools
import logging
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractQueue
from aio_pika.exceptions import ChannelNotFoundEntity

from service.broker.amqp import CHANNEL_FAULTS, declare_node_queue, queue_of
from service.broker.arrivals import Arrivals
from service.broker.sent import Sent

log = logging.getLogger(__name__)


class Consuming(Protocol):
    """What one side's consumer tells the others.

    `queue_name` is empty while it has none; `identity` tells the broker from others.
    """

    identity: str
    priority: int
    queue_name: str
    up: bool

    def hold(self) -> None:
        """Keep what comes, and handle it after `release`."""

    def release(self) -> None:
        """Handle what has come, and go on."""


@dataclass(frozen=True, slots=True)
class Found:
    """The queue to consume; `joined` where it is another side's, `stale` where it replaces some."""

    queue: AbstractQueue
    joined: Consuming | None
    stale: Sequence[AbstractQueue] = ()


class NodeQueues:
    """The queues of one node. No two of its sides have queues of one name at different brokers.

    `one_at_a_time` is to be held from `find` until the consumer's `queue_name` is set. `sent` and
    `arrivals` number what goes through the queues of the others, and came through these.
    """

    def __init__(self, node: str) -> None:
        self.node = node
        self.one_at_a_time = asyncio.Lock()
        self.sides: list[Consuming] = []
        self._avoided: set[str] = set()
        self.sent = Sent()
        self.arrivals = Arrivals()

    def others(self, side: Consuming) -> list[Consuming]:
        """Give the other sides that consume now."""
        return [other for other in self.sides if other is not side and other.up]

    def sharing(self, side: Consuming) -> list[Consuming]:
        """Give the other sides that consume the same queue."""
        return [other for other in self.others(side) if other.queue_name == side.queue_name]

    async def find(
        self, side: Consuming, connection: AbstractConnection, channel: AbstractChannel
    ) -> Found:
        """Find the queue of a side that is about to consume. Raises AMQP faults."""
        others = self.others(side)
        for other in others:
            if await _exists(connection, other.queue_name):
                return Found(await declare_node_queue(channel, other.queue_name), other)
        stale = []
        for name in self._names(side, {other.queue_name for other in others}):
            try:
                queue = await declare_node_queue(channel, name)
            except CHANNEL_FAULTS:
                self.avoid(name)
                raise
            if not queue.declaration_result.consumer_count:
                break
            # A dead connection of ours still consumes it, unseen by the broker: leave it the queue.
            stale.append(queue)
        return Found(queue, None, stale)

    def avoid(self, name: str) -> None:
        """Have `find` give another queue from now on: the broker cannot have this one used."""
        log.warning("the queue %s cannot be used; taking the next name", name)
        self._avoided.add(name)

    def _names(self, side: Consuming, consumed: Collection[str]) -> Iterator[str]:
        # First its own of before, which outlives a broker that crashes, and would then gather
        # messages for nobody. Sides that broke together may have shared it.
        own = side.queue_name
        if own and own not in consumed and own not in self._avoided:
            yield own
        taken = {other.queue_name for other in self.sides} | self._avoided
        for number in itertools.count():
            name = queue_of(self.node, number)
            if name not in taken:
                yield name


async def _exists(connection: AbstractConnection, name: str) -> bool:
    # A channel of its own: asking for a queue that is not there closes the channel.
    channel = await connection.channel()
    try:
        await channel.declare_queue(name, passive=True)
    except ChannelNotFoundEntity:
        return False
    finally:
        with contextlib.suppress(Exception):
            await channel.close()
    return True

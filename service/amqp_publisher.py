"""Publish with confirms, in order."""

import asyncio
import logging
from collections.abc import Sequence
from enum import Enum

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractExchange
from aio_pika.exceptions import PublishError

from service.amqp import AMQP_FAULTS, bounded, declare_exchanges, queue_of
from service.amqp_link import CALL_LIMIT, AmqpLink
from service.publication import Publication
from service.settings import RabbitSection

log = logging.getLogger(__name__)

# After a reconnect or a move a node's queue has a number; higher ones take several in a row.
_NAMES = 3

ORIGIN = "x-websocket-node"
"""The header that names the publishing node, which has delivered to its own users already."""


class Outcome(Enum):
    """What became of a publication: the broker has it, nobody listens there, or it is not known."""

    CONFIRMED = "confirmed"
    RETURNED = "returned"
    FAILED = "failed"


class AmqpPublisher(AmqpLink):
    """The connection that publishes.

    The broker may block it (memory, disk) without stopping the consumer, which has its own.
    """

    def __init__(self, settings: RabbitSection, node: str) -> None:
        super().__init__(settings, f"publisher of {node}")
        self._headers: aio_pika.abc.HeadersType = {ORIGIN: node}
        self._fanout: AbstractExchange
        self._direct: AbstractExchange
        self._dead: AbstractExchange

    async def publish(self, publications: Sequence[Publication]) -> list[Outcome]:
        """Publish in order and wait for every confirm, 5 s at most. Never raises."""
        if not self.up:
            return [Outcome.FAILED] * len(publications)
        # With exceptions as results: the client may end a call of a broken connection with
        # CancelledError, which must not end the caller.
        results = await asyncio.gather(
            *(self._publish(item) for item in publications), return_exceptions=True
        )
        faults = [item for item in results if isinstance(item, BaseException)]
        if faults:
            reason = str(faults[0]) or "no answer in time"
            log.warning(
                "RabbitMQ at %s did not confirm %d messages: %s", self.address, len(faults), reason
            )
        return [Outcome.FAILED if isinstance(item, BaseException) else item for item in results]

    async def set_aside(self, body: bytes, exchange: str, reason: str) -> bool:
        """Publish a poison message to the dead exchange; True where the broker has it."""
        if not self.up:
            return False
        message = aio_pika.Message(
            body,
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            headers={**self._headers, "x-exchange": exchange, "x-reason": reason[:1000]},
        )
        try:
            await bounded(self._dead.publish(message, routing_key="", mandatory=False), CALL_LIMIT)
        except AMQP_FAULTS as error:
            log.warning("RabbitMQ at %s did not take a dead message: %s", self.address, error)
            return False
        return True

    async def discard_queue(self, node: str) -> None:
        """Delete the queues of a dead node, unless somebody consumes them. Never raises.

        An auto-delete queue goes with its last consumer, but not where the broker died with it.
        """
        for number in range(_NAMES):
            connection = self._connection
            if not self.up or connection is None:
                return
            try:
                await bounded(_delete_if_unused(connection, queue_of(node, number)), CALL_LIMIT)
            except AMQP_FAULTS as error:
                log.debug("a queue of the dead node %s is left alone: %s", node, error)

    async def _publish(self, item: Publication) -> Outcome:
        exchange = self._fanout if item.way == "fanout" else self._direct
        message = aio_pika.Message(
            item.body,
            content_type="application/json",
            message_id=item.message_id,
            headers=self._headers,
        )
        try:
            await exchange.publish(
                message,
                routing_key=item.node,
                # A fanout exchange without queues still confirms; a direct one must have its node.
                mandatory=item.way == "direct",
                timeout=CALL_LIMIT,
            )
        except PublishError:
            return Outcome.RETURNED
        return Outcome.CONFIRMED

    async def _set_up(self, channel: AbstractChannel) -> None:
        self._fanout, self._direct, self._dead = await declare_exchanges(channel)


async def _delete_if_unused(connection: AbstractConnection, queue: str) -> None:
    # A channel of its own: a queue in use closes the channel that wants to delete it.
    channel = await connection.channel()
    await channel.queue_delete(queue, if_unused=True)
    await channel.close()

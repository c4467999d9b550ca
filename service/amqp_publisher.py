"""Publish with confirms, in order."""

import asyncio
import logging
from collections.abc import Sequence

from aio_pika.abc import AbstractChannel, AbstractConnection
from pamqp import commands
from pamqp.common import FieldTable

from service.amqp import (
    AMQP_FAULTS,
    DEAD,
    DIRECT,
    FANOUT,
    bounded,
    declare_exchanges,
    numbers_of,
    queue_of,
)
from service.amqp_frames import Properties
from service.amqp_line import Line, Outgoing
from service.amqp_link import CALL_LIMIT, AmqpLink
from service.amqp_origin import Origin
from service.confirms import Outcome
from service.publication import Publication
from service.push import new_push_id
from service.settings_servers import RabbitSection

log = logging.getLogger(__name__)

# After a reconnect or a move a node's queue has a number; higher ones take several in a row.
_NAMES = 3

_PERSISTENT = 2


class AmqpPublisher(AmqpLink):
    """The connection that publishes.

    The broker may block it (memory, disk) without stopping the consumer, which has its own.
    """

    def __init__(self, settings: RabbitSection, node: str) -> None:
        super().__init__(settings, f"publisher of {node}")
        self._origin = Origin(node)
        self._line: Line | None = None

    async def publish(self, publications: Sequence[Publication]) -> list[Outcome]:
        """Publish in order and wait for every confirm, 5 s at most. Never raises."""
        return await (await self.send(publications))

    async def send(self, publications: Sequence[Publication]) -> asyncio.Future[list[Outcome]]:
        """Publish in order; the future has the outcomes within 5 s. Never raises.

        Who must not be overtaken by another caller waits for its return, which takes time only
        while the broker does not read.
        """
        line = self._line
        if not self.up or line is None:
            failed: asyncio.Future[list[Outcome]] = asyncio.get_running_loop().create_future()
            failed.set_result([Outcome.FAILED] * len(publications))
            return failed
        properties = self._origin.properties
        return await line.send(
            [
                # A fanout exchange without queues still confirms; a direct one must have its node.
                Outgoing(DIRECT, item.node, True, properties, item.message_id, item.body)
                if item.way == "direct"
                else Outgoing(FANOUT, "", False, properties, item.message_id, item.body)
                for item in publications
            ],
            CALL_LIMIT,
        )

    async def set_aside(self, body: bytes, exchange: str, reason: str) -> bool:
        """Publish a poison message to the dead exchange; True where the broker has it."""
        line = self._line
        if not self.up or line is None:
            return False
        headers: FieldTable = {
            **self._origin.headers,
            "x-exchange": exchange,
            "x-reason": reason[:1000],
        }
        properties = Properties(
            commands.Basic.Properties(headers=headers, delivery_mode=_PERSISTENT)
        )
        message = Outgoing(DEAD, "", False, properties, new_push_id(), body)
        return await (await line.send([message], CALL_LIMIT)) == [Outcome.CONFIRMED]

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

    async def _set_up(self, channel: AbstractChannel) -> None:
        await declare_exchanges(channel)
        number, frame_max = await numbers_of(channel)
        self._line = Line(self._connected.tap, number, frame_max, self.address)

    def _changed(self) -> None:
        if not self.up and self._line is not None:
            self._line.end("the connection broke")
            self._line = None


async def _delete_if_unused(connection: AbstractConnection, queue: str) -> None:
    # A channel of its own: a queue in use closes the channel that wants to delete it.
    channel = await connection.channel()
    await channel.queue_delete(queue, if_unused=True)
    await channel.close()

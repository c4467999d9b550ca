"""Publish with confirms, in order."""

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from functools import partial
from time import monotonic

from aio_pika.abc import AbstractChannel, AbstractConnection
from pamqp import commands
from pamqp.common import FieldTable

from nacos_boot.start.startup import StartError
from service.broker.amqp import (
    AMQP_FAULTS,
    CHANNEL_FAULTS,
    DEAD,
    DIRECT,
    FANOUT,
    bounded,
    declare_dead_queue,
    declare_exchanges,
    numbers_of,
    queue_of,
)
from service.broker.amqp_frames import Properties
from service.broker.amqp_line import Line, Outgoing
from service.broker.amqp_link import CALL_LIMIT, AmqpLink
from service.broker.amqp_origin import Origin
from service.broker.confirms import Outcome
from service.broker.publication import Publication
from service.broker.sent import CONFIRMED, VOID, Kept, Sent
from service.push.push import new_push_id
from service.settings_servers import RabbitSection

log = logging.getLogger(__name__)

# After a reconnect or a move a node's queue has a number; higher ones take several in a row.
_NAMES = 3

_PERSISTENT = 2

WATCH_INTERVAL = 1.0
SILENCE = 15.0
"""Seconds without an answer after which the publisher connects anew."""

DEAD_QUEUE_PAUSE = 30.0
"""Seconds between two tries to declare the queue for poison messages."""


class AmqpPublisher(AmqpLink):
    """The connection that publishes.

    The broker may block it (memory, disk) without stopping the consumer, which has its own.
    """

    def __init__(self, settings: RabbitSection, node: str, sent: Sent | None = None) -> None:
        super().__init__(settings, f"publisher of {node}")
        self._origin = Origin(node)
        self._sent = Sent() if sent is None else sent
        self._line: Line | None = None
        self.dead_queue_fault = ""
        """Why there is no queue for poison messages, empty where there is one."""

    @property
    def fault(self) -> str:
        """Why nothing can be published now, for people; empty while it can be tried."""
        if not self.up or self._line is None:
            return self.error or "the connection broke"
        return self._line.fault

    async def run(self) -> None:
        """Repair what breaks; runs until cancelled."""
        await asyncio.gather(super().run(), self._watch())

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
        now, numbered = monotonic(), self._origin.numbered
        messages: list[Outgoing] = []
        kept: list[Kept | None] = []
        for item in publications:
            node, message_id, body = item.node, item.message_id, item.body
            number, properties = 0, numbered
            if item.numbered:
                kept.append(once := self._sent.number(node, message_id, body, now))
                number = once.number
            else:
                kept.append(None)
                properties = self._origin.properties
            # A fanout exchange without queues still confirms; a direct one must have its node.
            messages.append(
                Outgoing(DIRECT, node, True, properties, message_id, body, number)
                if item.way == "direct"
                else Outgoing(FANOUT, "", False, properties, message_id, body, number)
            )
        try:
            return await line.send(messages, CALL_LIMIT, partial(_settle, kept))
        except BaseException:
            _settle(kept, [Outcome.FAILED] * len(kept))
            raise

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
        await self._declare_dead_queue()
        number, frame_max = await numbers_of(channel)
        self._line = Line(self._connected.tap, number, frame_max, self.address)

    async def _declare_dead_queue(self) -> None:
        before, self.dead_queue_fault = self.dead_queue_fault, ""
        try:
            await declare_dead_queue(self._connected)
        except CHANNEL_FAULTS as error:
            self.dead_queue_fault = str(error)
            level = logging.DEBUG if before else logging.WARNING
            log.log(
                level,
                "RabbitMQ at %s has no queue %s to offer (%s): poison messages are logged only;"
                " trying again",
                self.address,
                DEAD,
                error,
            )
        else:
            if before:
                log.info("RabbitMQ at %s has the queue %s again", self.address, DEAD)

    async def _watch(self) -> None:
        now = asyncio.get_running_loop().time
        tried_at = now()
        while True:
            await asyncio.sleep(WATCH_INTERVAL)
            line = self._line
            if line is not None and line.silent_since is not None:
                if line.silent_since + SILENCE < now() and not line.blocked:
                    # It may be this connection only, and the broker be well.
                    self._broke(self._connection)
            elif self.up and self.dead_queue_fault and tried_at + DEAD_QUEUE_PAUSE < now():
                tried_at = now()
                with contextlib.suppress(*AMQP_FAULTS, StartError):
                    await bounded(self._declare_dead_queue(), CALL_LIMIT)

    def _changed(self) -> None:
        if not self.up and self._line is not None:
            self._line.end("the connection broke")
            self._line = None


def _settle(kept: Sequence[Kept | None], outcomes: Sequence[Outcome]) -> None:
    # What came back goes out once more under another number, and what failed was never accepted.
    for item, outcome in zip(kept, outcomes, strict=True):
        if item is not None:
            item.state = CONFIRMED if outcome is Outcome.CONFIRMED else VOID


async def _delete_if_unused(connection: AbstractConnection, queue: str) -> None:
    # A channel of its own: a queue in use closes the channel that wants to delete it.
    channel = await connection.channel()
    await channel.queue_delete(queue, if_unused=True)
    await channel.close()

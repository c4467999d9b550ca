"""Consume this node's queue."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue

from service import metrics
from service.acks import Acks
from service.amqp import (
    AMQP_FAULTS,
    FANOUT,
    bounded,
    declare_exchanges,
    declare_node_queue,
    queue_of,
)
from service.amqp_link import CALL_LIMIT, AmqpLink
from service.amqp_publisher import ORIGIN
from service.push import PushError
from service.settings import RabbitSection

log = logging.getLogger(__name__)

PREFETCH = 1000
CHECK_INTERVAL = 5.0
SET_ASIDE_PAUSE = 1.0

Handler = Callable[[str, bytes, str | None], None]
"""Takes (exchange, body, message id); raises PushError for a poison message. Must not block."""

SetAside = Callable[[bytes, str, str], Awaitable[bool]]
"""Takes (body, exchange, reason); gives whether the broker has the dead message."""


class AmqpConsumer(AmqpLink):
    """The connection that consumes.

    What this node published itself is passed over: its users have it already.
    """

    def __init__(
        self, settings: RabbitSection, node: str, handler: Handler, set_aside: SetAside
    ) -> None:
        super().__init__(settings, f"consumer of {node}")
        self._node = node
        self._handler = handler
        self._set_aside = set_aside
        self._opened = 0
        self._acks = Acks()
        self._acking = False
        self._channel: AbstractChannel
        self._queue: AbstractQueue | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Repair what breaks, and see that the queue is still there; runs until cancelled."""
        await asyncio.gather(super().run(), self._watch())

    async def close(self) -> None:
        """Close for good. Never raises."""
        for task in self._tasks:
            task.cancel()
        await super().close()

    async def _set_up(self, channel: AbstractChannel) -> None:
        fanout, direct, _ = await declare_exchanges(channel)
        await channel.set_qos(prefetch_count=PREFETCH)
        name = queue_of(self._node)
        queue = await declare_node_queue(channel, name)
        stale = None
        if queue.declaration_result.consumer_count:
            # A dead connection of ours still consumes it, unseen by the broker: leave it the queue.
            stale, self._opened = queue, self._opened + 1
            queue = await declare_node_queue(channel, f"{name}-{self._opened}")
        await queue.bind(fanout, routing_key="")
        await queue.bind(direct, routing_key=self._node)
        self._acks = Acks()
        self._channel = channel
        await queue.consume(self._consume)
        if stale is not None:
            await stale.delete(if_unused=False, if_empty=False)
        self._queue = queue

    async def _consume(self, message: AbstractIncomingMessage) -> None:
        tag = message.delivery_tag or 0
        exchange = message.exchange or ""
        metrics.MESSAGES_CONSUMED.labels(exchange).inc()
        if exchange == FANOUT and message.headers.get(ORIGIN) == self._node:
            self._acks.took(tag)
        else:
            try:
                self._handler(exchange, message.body, message.message_id)
                self._acks.took(tag)
            except PushError as error:
                self._poison(tag, message, str(error))
            except Exception as error:
                log.exception("a message from %s could not be handled", exchange)
                self._poison(tag, message, f"{type(error).__name__}: {error}")
        self._ack_soon()

    def _poison(self, tag: int, message: AbstractIncomingMessage, reason: str) -> None:
        exchange = message.exchange or ""
        log.warning("a message from %s is set aside: %s", exchange, reason[:300])
        metrics.MESSAGES_POISONED.labels(exchange).inc()
        self._acks.hold(tag)
        acks = self._acks

        async def set_aside() -> None:
            # Until the broker has it, nothing that came later is acknowledged either, and after
            # PREFETCH of those nothing more would come: so it is tried while the channel lives.
            while acks is self._acks:
                if await self._set_aside(message.body, exchange, reason):
                    acks.release(tag)
                    self._ack_soon()
                    return
                await asyncio.sleep(SET_ASIDE_PAUSE)

        task = asyncio.create_task(set_aside())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _ack_soon(self) -> None:
        if not self._acking:
            self._acking = True
            asyncio.get_running_loop().call_soon(self._start_ack)

    def _start_ack(self) -> None:
        self._acking = False
        if not self.up:
            return
        tag = self._acks.due()
        if tag is None:
            return
        task = asyncio.create_task(self._ack(tag))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _ack(self, tag: int) -> None:
        # Where the channel is gone, so are its tags: the broker delivers again.
        with contextlib.suppress(*AMQP_FAULTS):
            channel = await self._channel.get_underlay_channel()
            await channel.basic_ack(tag, multiple=True)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(CHECK_INTERVAL)
            queue, connection = self._queue, self._connection
            if not self.up or queue is None:
                continue
            try:
                # A queue that somebody deleted closes the channel here, which has it repaired.
                found = await bounded(
                    self._channel.declare_queue(queue.name, passive=True), CALL_LIMIT
                )
                alive = bool(found.declaration_result.consumer_count)
            except AMQP_FAULTS:
                alive = False
            if not alive:
                self._broke(connection)

    def _changed(self) -> None:
        metrics.BROKER_UP.set(self.up)
        if self.up:
            # What came while the link was being set up.
            self._ack_soon()

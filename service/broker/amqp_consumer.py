"""Consume this node's queue."""

import asyncio
import contextlib
import logging
import uuid
from collections.abc import Awaitable, Callable

from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue
from prometheus_client import Counter

from service import metrics
from service.broker.acks import Acks
from service.broker.amqp import (
    AMQP_FAULTS,
    CHANNEL_FAULTS,
    DIRECT,
    FANOUT,
    bind_node_queue,
    bounded,
    declare_exchanges,
    numbers_of,
    on_cancelled,
    unbind_node_queue,
)
from service.broker.amqp_frames import ack_frame, read_properties
from service.broker.amqp_link import CALL_LIMIT, AmqpLink
from service.broker.amqp_origin import Origin
from service.broker.amqp_queue import NodeQueues
from service.broker.amqp_tap import MAX_BODY, Tap
from service.broker.resending import Way
from service.push.push import PushError
from service.settings_servers import RabbitSection

log = logging.getLogger(__name__)

PREFETCH = 1000
CHECK_INTERVAL = 5.0
SET_ASIDE_PAUSE = 1.0
MAX_ASIDE = 131_072
"""Bytes of a poison message that are set aside: enough to see whose it is."""

LEAVE_LIMIT = 5.0
"""Seconds in which a consumer that leaves takes what is still in its queue."""

_LOOK = 0.02

_WAYS: dict[str, Way] = {FANOUT: "fanout", DIRECT: "direct"}

Handler = Callable[[str, bytes, str | None], None]
"""Takes (exchange, body, message id); raises PushError for a poison message. Must not block."""

SetAside = Callable[[bytes, str, str], Awaitable[bool]]
"""Takes (body, exchange, reason); gives whether the broker has the dead message."""


class AmqpConsumer(AmqpLink):
    """The connection that consumes. Implements Sink: its Tap hands the messages over.

    What this node published itself is passed over: its users have it already.
    """

    def __init__(
        self, settings: RabbitSection, queues: NodeQueues, handler: Handler, set_aside: SetAside
    ) -> None:
        super().__init__(settings, f"consumer of {queues.node}")
        self._node = queues.node
        self._origin = Origin(queues.node)
        self._queues = queues
        self._handler = handler
        self._set_aside = set_aside
        self._arrivals = queues.arrivals
        self._acks = Acks()
        self._acking = False
        self._counters = _Counters()
        self._tap: Tap
        self._number = 0
        self._channel: AbstractChannel
        self._queue: AbstractQueue | None = None
        self._tag = ""
        self._held: list[tuple[int, str, bytes, bytes]] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.identity = uuid.uuid4().hex
        self.priority = 0
        self.queue_name = ""
        queues.sides.append(self)

    async def run(self) -> None:
        """Repair what breaks, and see that the queue is still there; runs until cancelled."""
        await asyncio.gather(super().run(), self._watch())

    async def close(self) -> None:
        """Close for good. Never raises."""
        for task in self._tasks:
            task.cancel()
        await super().close()
        self.queue_name = ""
        if self in self._queues.sides:
            self._queues.sides.remove(self)

    async def leave(self, *, same: bool) -> None:
        """Take what is still in the queue, then close for good. Never raises.

        With `same`, another side goes on with the queue, in the order of its messages.
        """
        with contextlib.suppress(*AMQP_FAULTS):
            async with asyncio.timeout(LEAVE_LIMIT):
                # Without a consumer the broker deletes the queue.
                while same and self.up and not self._queues.sharing(self):  # noqa: ASYNC110 - as below
                    await asyncio.sleep(_LOOK)
                if self.up and self._queue is not None:
                    await self._finish(self._queue)
        await self.close()

    def hold(self) -> None:
        """Keep what comes, and handle it after `release`."""
        self._held = [] if self._held is None else self._held

    def release(self) -> None:
        """Handle what has come, and go on."""
        held, self._held = self._held or (), None
        for message in held:
            self._handle(*message)

    def delivered(self, tag: int, exchange: str, header: bytes, body: bytes) -> None:
        """Take a message, as it comes."""
        if self._held is None:
            self._handle(tag, exchange, header, body)
        else:
            self._held.append((tag, exchange, header, body))

    def too_long(self, tag: int, exchange: str, size: int, beginning: bytes) -> None:
        """Set a message aside that is longer than any of ours."""
        self._counters[exchange].inc()
        self._poison(tag, exchange, beginning, f"{size} bytes; expected {MAX_BODY} at most")
        self._ack_soon()

    def returned(self, header: bytes) -> None:
        """Take note of a returned message, which does not happen: nothing is published here."""

    def confirmed(self, tag: int, *, multiple: bool, taken: bool) -> None:
        """Take a confirm, which does not happen either."""

    async def _finish(self, queue: AbstractQueue) -> None:
        sharing = self._queues.sharing(self)
        if not sharing:
            await bounded(unbind_node_queue(queue, self._node), CALL_LIMIT)
            while (await bounded(queue.declare(), CALL_LIMIT)).message_count:  # noqa: ASYNC110 - it must be asked
                await asyncio.sleep(_LOOK)
        try:
            # What the others get was published after what is still on its way to us.
            for other in sharing:
                other.hold()
            await bounded(queue.cancel(self._tag), CALL_LIMIT)
        finally:
            for other in sharing:
                other.release()
        while self.up and not self._acks.clear:
            self._start_ack()
            await asyncio.sleep(_LOOK)
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _set_up(self, channel: AbstractChannel) -> None:
        await declare_exchanges(channel)
        await channel.set_qos(prefetch_count=PREFETCH)
        connection = self._connected
        number, _ = await numbers_of(channel)
        async with self._queues.one_at_a_time:
            found = await self._queues.find(self, connection, channel)
            queue = found.queue
            try:
                await bind_node_queue(queue, self._node)
            except CHANNEL_FAULTS:
                self._queues.avoid(queue.name)
                raise
            self.priority = 0
            if found.joined is not None:
                # The broker gives a message to the one with the highest priority.
                self.priority = found.joined.priority - 1
                self.identity = found.joined.identity
            self._acks = Acks()
            self._held = None if self._held is None else []
            self._channel, self._number, self._tap = channel, number, connection.tap
            self._tap.open(number, self)
            await on_cancelled(channel, lambda *_: self._broke(connection))
            self._tag = await queue.consume(_unused, arguments={"x-priority": self.priority})
            if self._queue is not None:
                self._arrivals.came_up()
            self._queue, self.queue_name = queue, queue.name
            # Before another side that waits here looks whom it may join.
            self.up = True
        for stale in found.stale:
            await stale.delete(if_unused=False, if_empty=False)

    def _handle(self, tag: int, exchange: str, header: bytes, body: bytes) -> None:
        self._counters[exchange].inc()
        message_id, table = read_properties(header)
        sender, number = self._origin.read(table)
        way = _WAYS.get(exchange) if number else None
        if exchange == FANOUT and sender == self._node:
            self._acks.took(tag)
        elif way is not None and not self._arrivals.take(way, sender, number):
            metrics.MESSAGES_REPEATED.inc()
            self._acks.took(tag)
        else:
            reason = ""
            try:
                self._handler(exchange, body, message_id)
                self._acks.took(tag)
            except PushError as error:
                reason = str(error)
            except Exception as error:
                log.exception("a message from %s could not be handled", exchange)
                reason = f"{type(error).__name__}: {error}"
            if reason:
                if way is not None:
                    self._arrivals.put_back(way, sender, number)
                self._poison(tag, exchange, body, reason)
        self._ack_soon()

    def _poison(self, tag: int, exchange: str, body: bytes, reason: str) -> None:
        log.warning("a message from %s is set aside: %s", exchange, reason[:300])
        metrics.MESSAGES_POISONED.labels(exchange).inc()
        if len(body) > MAX_ASIDE:
            reason += f" (the first {MAX_ASIDE} of its bytes are kept)"
            body = body[:MAX_ASIDE]
        self._acks.hold(tag)
        acks = self._acks

        async def set_aside() -> None:
            # Until the broker has it, nothing that came later is acknowledged either, and after
            # PREFETCH of those nothing more would come: so it is tried while the channel lives.
            while acks is self._acks:
                if await self._set_aside(body, exchange, reason):
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
        # Where the channel is gone, so are its tags: the broker delivers again.
        self._tap.write(ack_frame(self._number, tag))

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
        if self.up:
            # What came while the link was being set up.
            self._ack_soon()


class _Counters(dict[str, Counter]):
    """The counter of each exchange's messages, looked up once."""

    def __missing__(self, exchange: str) -> Counter:
        self[exchange] = counter = metrics.MESSAGES_CONSUMED.labels(exchange)
        return counter


async def _unused(_: AbstractIncomingMessage) -> None:
    """Stand where the client wants a callback; it gets no message to call it with."""

"""A bare round trip through RabbitMQ: `... PORT publish QUEUE` and `... PORT consume QUEUE`.

Two processes, aio-pika as it comes, on uvloop. The body holds the time of the publish call; the
consumer looks at the clock when its callback runs. Confirms are on, but nobody waits for one.
"""

import asyncio
import sys
import time
from typing import Any

import aio_pika
import uvloop
from aio_pika.abc import AbstractIncomingMessage

from bench.figures import spread
from bench.peers.amqp import channel, serve

_STAMP_DIGITS = 19
_PREFETCH = 1000


class Publisher:
    """Publishes at a rate."""

    async def open(self, queue: str) -> None:
        """Connect."""
        self._queue = queue
        self._exchange = (await channel()).default_exchange

    async def publish(self, count: int, rate: float, size: int) -> dict[str, Any]:
        """Publish so many messages of `size` bytes, `rate` a second; wait for their confirms."""
        loop = asyncio.get_running_loop()
        padding = b"x" * (size - _STAMP_DIGITS)
        began = loop.time()
        under_way: set[asyncio.Task[None]] = set()
        for number in range(count):
            delay = began + number / rate - loop.time()
            if delay > 0:
                await asyncio.sleep(delay)
            task = asyncio.ensure_future(self._publish(padding))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
        await asyncio.gather(*under_way)
        return {"published": count, "seconds": loop.time() - began}

    async def _publish(self, padding: bytes) -> None:
        message = aio_pika.Message(b"%019d" % time.time_ns() + padding)
        await self._exchange.publish(message, routing_key=self._queue)


class Consumer:
    """Consumes with an ack, and notes how long each message was under way, in microseconds."""

    def __init__(self) -> None:
        self._took: list[float] = []
        self._moved = asyncio.Event()

    async def open(self, queue: str) -> None:
        """Connect, declare the queue, and consume."""
        consumer = await channel()
        await consumer.set_qos(prefetch_count=_PREFETCH)
        declared = await consumer.declare_queue(queue, auto_delete=True)
        await declared.consume(self._consume)

    async def took(self, count: int) -> dict[str, Any]:
        """Wait for so many messages, and summarise their times."""
        while len(self._took) < count:
            self._moved.clear()
            await self._moved.wait()
        taken, self._took = spread(self._took), []
        return {"count": taken.count, "p50": taken.p50, "p99": taken.p99}

    async def _consume(self, message: AbstractIncomingMessage) -> None:
        self._took.append((time.time_ns() - int(message.body[:_STAMP_DIGITS])) / 1000)
        await message.ack()
        self._moved.set()


async def main() -> None:
    """Serve until killed."""
    role, queue = sys.argv[2:]
    if role == "publish":
        publisher = Publisher()
        await publisher.open(queue)
        await serve({"publish": publisher.publish})
    else:
        consumer = Consumer()
        await consumer.open(queue)
        await serve({"took": consumer.took})


if __name__ == "__main__":
    uvloop.run(main())

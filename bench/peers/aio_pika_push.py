"""One AMQP message per push: published with a confirm and consumed with an ack, nothing else.

One process does both, which costs less than two; aio-pika as it comes, on uvloop. Publisher
confirms are on, 500 publications are under way at a time, and so are up to 1,000 deliveries.
"""

import asyncio
from typing import Any

import aio_pika
import uvloop
from aio_pika.abc import AbstractIncomingMessage

from bench.peers.amqp import channel, serve

_UNDER_WAY = 500
_PREFETCH = 1000


class Pushes:
    """The queue, and what has come through it."""

    def __init__(self) -> None:
        self._consumed = 0
        self._moved = asyncio.Event()

    async def open(self) -> None:
        """Connect twice, as a publisher and as a consumer, and consume."""
        self._exchange = (await channel()).default_exchange
        consumer = await channel()
        await consumer.set_qos(prefetch_count=_PREFETCH)
        queue = await consumer.declare_queue(exclusive=True)
        self._queue = queue.name
        await queue.consume(self._consume)

    async def push(self, body: str, count: int) -> dict[str, Any]:
        """Publish a body so many times; done when all are confirmed and consumed."""
        expected = self._consumed + count
        content = body.encode()
        for begun in range(0, count, _UNDER_WAY):
            batch = min(_UNDER_WAY, count - begun)
            await asyncio.gather(*(self._publish(content) for _ in range(batch)))
        while self._consumed < expected:
            self._moved.clear()
            await self._moved.wait()
        return {"consumed": count}

    async def _publish(self, content: bytes) -> None:
        message = aio_pika.Message(content, content_type="application/json")
        await self._exchange.publish(message, routing_key=self._queue)

    async def _consume(self, message: AbstractIncomingMessage) -> None:
        await message.ack()
        self._consumed += 1
        self._moved.set()


async def main() -> None:
    """Serve until killed."""
    pushes = Pushes()
    await pushes.open()
    await serve({"push": pushes.push})


if __name__ == "__main__":
    uvloop.run(main())

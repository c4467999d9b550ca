"""The Broker: RabbitMQ for one node, a connection to publish and one to consume."""

import asyncio
from collections.abc import Sequence

from nacos_boot.startup import StartError
from service.amqp_consumer import AmqpConsumer, Handler
from service.amqp_publisher import AmqpPublisher, Outcome
from service.publication import Publication
from service.settings import RabbitSection


class Broker:
    """What the node needs of RabbitMQ. What breaks is repaired in the background."""

    def __init__(self, settings: RabbitSection, node: str, handler: Handler) -> None:
        self._publisher = AmqpPublisher(settings, node)
        self._consumer = AmqpConsumer(settings, node, handler, self._publisher.set_aside)

    @property
    def address(self) -> str:
        """Host and port, for messages."""
        return self._publisher.address

    @property
    def publishing(self) -> bool:
        """Whether publications can be tried now."""
        return self._publisher.up

    @property
    def consuming(self) -> bool:
        """Whether the queue of this node is being consumed."""
        return self._consumer.up

    async def connect(self) -> None:
        """Connect, declare exchanges and queue, and consume. Raises StartError."""
        try:
            await self._publisher.open()
            await self._consumer.open()
        except StartError:
            await self.close()
            raise

    async def run(self) -> None:
        """Repair what breaks; runs until cancelled."""
        await asyncio.gather(self._publisher.run(), self._consumer.run())

    async def publish(self, publications: Sequence[Publication]) -> list[Outcome]:
        """Publish in order and wait for every confirm, 5 s at most. Never raises."""
        return await self._publisher.publish(publications)

    async def discard_queue(self, node: str) -> None:
        """Delete the queue of a dead node, unless somebody consumes it. Never raises."""
        await self._publisher.discard_queue(node)

    async def close(self) -> None:
        """Give up the queue (which deletes it), then close the rest. Never raises."""
        await self._consumer.close()
        await self._publisher.close()

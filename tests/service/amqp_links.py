"""What the tests of the AMQP modules share. They run on a real RabbitMQ."""

import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import aio_pika
from aio_pika.abc import AbstractChannel

from service.broker.amqp import DIRECT
from service.broker.amqp_consumer import AmqpConsumer
from service.broker.amqp_publisher import AmqpPublisher
from service.broker.amqp_queue import NodeQueues
from service.broker.publication import Publication
from service.push.push import PushError
from tests.rabbit import local_rabbit
from tests.waiting import eventually

Start = Callable[[Any], Awaitable[Any]]
"""Opens a link, has it repaired as a node does, and closes it in the end."""

# A MsgDTO for nobody: other nodes may be listening on the exchange.
NOBODY = b'{"content":1,"allUser":false,"targetUserList":["nobody-here"]}'


def direct(node: str, body: bytes) -> Publication:
    return Publication("direct", node, uuid.uuid4().hex, body, (0,))


def fanout() -> Publication:
    return Publication("fanout", "", uuid.uuid4().hex, NOBODY, (0,))


class Consumer(AmqpConsumer):
    """A consumer that notes what its handler was given; bodies that say so are poison."""

    def __init__(self, port: int, queues: NodeQueues | None = None) -> None:
        queues = queues or NodeQueues(uuid.uuid4().hex)
        self.id = queues.node
        self.got: list[bytes] = []
        self.aside: list[tuple[bytes, str, str]] = []
        self.can_set_aside = True
        super().__init__(local_rabbit(port=port), queues, self.handle, self.set_aside)

    def handle(self, exchange: str, body: bytes, _: str | None) -> None:
        if body == b"poison":
            raise PushError("", "no envelope")
        if body == b"bug":
            raise KeyError("no such thing")
        if exchange == DIRECT:
            self.got.append(body)

    async def set_aside(self, body: bytes, exchange: str, reason: str) -> bool:
        self.aside.append((body, exchange, reason))
        return self.can_set_aside


async def arrives(publisher: AmqpPublisher, consumer: Consumer) -> None:
    """Wait until a message for the consumer's node reaches it."""
    body = uuid.uuid4().hex.encode()

    async def arrived() -> bool:
        await publisher.publish([direct(consumer.id, body)])
        return body in consumer.got

    await eventually(arrived, limit=10)


async def exists(channel_of: AbstractChannel, queue: str) -> bool:
    """Ask whether there is a queue; on a channel of its own, since asking for none closes it."""
    channel = await channel_of._connection.channel()  # type: ignore[attr-defined]  # aio-pika's
    try:
        await channel.get_queue(queue)
    except aio_pika.exceptions.ChannelNotFoundEntity:
        return False
    await channel.close()
    return True

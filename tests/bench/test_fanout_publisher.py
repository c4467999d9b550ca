import asyncio

import aio_pika
import pytest

from bench.contender import BROADCAST
from bench.fanout_publisher import FanoutPublisher
from bench.peers.orders import PAYLOAD
from devtools.ports import free_port
from devtools.servers import Servers
from devtools.waiting import StartError
from service.broker.amqp import FANOUT
from service.push.push import read_push


async def test_a_burst_reaches_the_exchange_as_pushes_to_everyone(servers: Servers) -> None:
    connection = await aio_pika.connect(port=servers.ports.rabbitmq)
    async with connection:
        channel = await connection.channel()
        exchange = await channel.declare_exchange(
            FANOUT, aio_pika.ExchangeType.FANOUT, durable=True
        )
        queue = await channel.declare_queue(exclusive=True)
        await queue.bind(exchange)
        publisher = FanoutPublisher(servers.ports.rabbitmq)
        publisher.publish(BROADCAST, 3)
        async with asyncio.timeout(20), queue.iterator(no_ack=True) as messages:
            for _ in range(3):
                message = await anext(messages)
                push = read_push(message.body, message.message_id)
                assert message.content_type == "application/json"
                assert push.targets is None
                assert push.content == f'"{PAYLOAD}"'.encode()
        publisher.close()


def test_a_broker_that_is_not_there_is_an_error_that_names_the_port() -> None:
    port = free_port()
    with pytest.raises(StartError, match=f"RabbitMQ on port {port}"):
        FanoutPublisher(port)

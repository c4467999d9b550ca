"""The publisher on a real RabbitMQ: what fails, in time. Its order is shown in tests/contract."""

import asyncio
import uuid

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage

from service.broker import amqp_publisher
from service.broker.amqp import DEAD, FANOUT, declare_node_queue, queue_of
from service.broker.amqp_publisher import AmqpPublisher
from service.broker.confirms import Outcome
from tests.rabbit import local_rabbit
from tests.service.amqp_links import NOBODY, Consumer, Start, arrives, exists, fanout
from tests.service.tcp_proxy import TcpProxy
from tests.waiting import eventually

pytestmark = pytest.mark.usefixtures("impatient")


async def test_a_publisher_whose_connection_breaks_fails_and_is_repaired(
    start: Start, amqp_proxy: TcpProxy
) -> None:
    publisher: AmqpPublisher = await start(AmqpPublisher(local_rabbit(port=amqp_proxy.port), "n"))

    async def cut() -> None:
        amqp_proxy.cut()

    outcomes, _ = await asyncio.gather(publisher.publish([fanout() for _ in range(300)]), cut())
    assert Outcome.FAILED in outcomes
    await eventually(lambda: publisher.up and amqp_proxy.connections == 2)
    assert await publisher.publish([fanout()]) == [Outcome.CONFIRMED]


async def test_a_broker_that_does_not_confirm_is_given_up_in_time(
    start: Start, amqp_proxy: TcpProxy, caplog: pytest.LogCaptureFixture
) -> None:
    publisher: AmqpPublisher = await start(AmqpPublisher(local_rabbit(port=amqp_proxy.port), "n"))
    amqp_proxy.hang()
    loop = asyncio.get_running_loop()
    started = loop.time()
    assert await publisher.publish([fanout() for _ in range(50)]) == [Outcome.FAILED] * 50
    assert loop.time() - started < 2
    # Said once, not fifty times.
    assert [record.message for record in caplog.records] == [
        f"RabbitMQ at {publisher.address} did not confirm 50 messages: no answer in time"
    ]
    amqp_proxy.flow()


async def test_a_connection_given_up_while_messages_are_on_their_way_fails_them(
    start: Start, amqp_proxy: TcpProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The client then ends what waits with CancelledError, which would end the caller's task.
    monkeypatch.setattr(amqp_publisher, "CALL_LIMIT", 30)
    publisher: AmqpPublisher = await start(AmqpPublisher(local_rabbit(port=amqp_proxy.port), "n"))
    # What hangs goes on later: not into the dead queue, which others look into.
    monkeypatch.setattr(amqp_publisher, "DEAD", FANOUT)
    amqp_proxy.hang()

    async def give_up() -> None:
        await eventually(lambda: amqp_proxy.held)
        publisher._broke(publisher._connection)

    async with asyncio.timeout(5):
        outcomes, taken, _ = await asyncio.gather(
            publisher.publish([fanout() for _ in range(20)]),
            publisher.set_aside(NOBODY, FANOUT, "why"),
            give_up(),
        )
    assert outcomes == [Outcome.FAILED] * 20
    assert not taken
    amqp_proxy.flow()
    await eventually(lambda: publisher.up)


async def test_a_dead_message_carries_where_it_came_from_and_why(
    publisher: AmqpPublisher, channel: AbstractChannel
) -> None:
    body = uuid.uuid4().bytes
    assert await publisher.set_aside(body, FANOUT, "r" * 2000)
    queue = await channel.get_queue(DEAD)
    found: list[AbstractIncomingMessage] = []
    others: list[AbstractIncomingMessage] = []

    async def take() -> bool:
        message = await queue.get(fail=False)
        if message is not None:
            (found if message.body == body else others).append(message)
        return bool(found)

    await eventually(take)
    for message in others:
        await message.nack(requeue=True)
    [message] = found
    await message.ack()
    assert message.headers["x-exchange"] == FANOUT
    assert message.headers["x-reason"] == "r" * 1000
    assert message.delivery_mode == aio_pika.DeliveryMode.PERSISTENT


async def test_without_a_connection_nothing_is_set_aside(publisher: AmqpPublisher) -> None:
    await publisher.close()
    assert await publisher.set_aside(b"x", FANOUT, "why") is False


async def test_the_queue_of_a_dead_node_is_deleted_and_one_in_use_is_not(
    start: Start, publisher: AmqpPublisher, amqp_port: int, channel: AbstractChannel
) -> None:
    consumer: Consumer = await start(Consumer(amqp_port))
    orphan = uuid.uuid4().hex
    # As a broker that was killed leaves it: declared, and consumed by nobody.
    await declare_node_queue(channel, queue_of(orphan))
    await declare_node_queue(channel, queue_of(orphan, 1))
    await publisher.discard_queue(orphan)
    assert not await exists(channel, queue_of(orphan))
    assert not await exists(channel, queue_of(orphan, 1))
    await publisher.discard_queue(consumer.id)
    await publisher.discard_queue("never-was")
    assert await exists(channel, queue_of(consumer.id))
    await arrives(publisher, consumer)

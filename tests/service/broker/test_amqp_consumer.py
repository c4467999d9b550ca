"""The consumer on a real RabbitMQ: what is acknowledged, set aside, and repaired."""

import uuid

import pytest
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage

from service import metrics
from service.broker import amqp_consumer
from service.broker.amqp import DIRECT, FANOUT
from service.broker.amqp_publisher import AmqpPublisher
from tests.rabbit import local_rabbit
from tests.service.amqp_links import Consumer, Start, arrives, direct, exists, fanout
from tests.service.tcp_proxy import TcpProxy
from tests.waiting import eventually

pytestmark = pytest.mark.usefixtures("impatient")


async def test_what_is_consumed_is_acknowledged(
    amqp_port: int, start: Start, publisher: AmqpPublisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Without acknowledgements no more than these would come.
    monkeypatch.setattr(amqp_consumer, "PREFETCH", 5)
    consumer: Consumer = await start(Consumer(amqp_port))
    bodies = [str(number).encode() for number in range(40)]
    await publisher.publish([direct(consumer.id, body) for body in bodies])
    await eventually(lambda: consumer.got == bodies)


async def test_what_is_acknowledged_does_not_come_again(
    amqp_port: int, start: Start, channel: AbstractChannel, publisher: AmqpPublisher
) -> None:
    consumer: Consumer = await start(Consumer(amqp_port))
    # Somebody else gets what the consumer does not take, and keeps the queue alive.
    others: list[bytes] = []

    async def take(message: AbstractIncomingMessage) -> None:
        others.append(message.body)

    queue = await channel.get_queue(f"websocket_node_{consumer.id}")
    await queue.consume(take, no_ack=True, arguments={"x-priority": -10})
    bodies = [str(number).encode() for number in range(40)]
    await publisher.publish([direct(consumer.id, body) for body in bodies])
    await eventually(lambda: consumer.got == bodies and consumer._acks._acked >= len(bodies))
    await arrives(publisher, consumer)
    await consumer.close()
    await publisher.publish([direct(consumer.id, b"last")])
    await eventually(lambda: others)
    # At most the message of `arrives`, whose acknowledgement may not have gone.
    assert not set(others) & set(bodies)


async def test_what_came_while_it_was_set_up_is_acknowledged(
    amqp_port: int,
    start: Start,
    channel: AbstractChannel,
    publisher: AmqpPublisher,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(amqp_consumer, "PREFETCH", 5)
    consumer = Consumer(amqp_port)
    set_up = consumer._set_up

    async def slowly(own: AbstractChannel) -> None:
        await set_up(own)
        await publisher.publish([direct(consumer.id, b"early")] * 5)
        await eventually(lambda: len(consumer.got) == 5)

    monkeypatch.setattr(consumer, "_set_up", slowly)
    await start(consumer)
    await publisher.publish([direct(consumer.id, b"later")])
    await eventually(lambda: consumer.got == [b"early"] * 5 + [b"later"])


async def test_own_fanout_messages_are_passed_over_and_acknowledged(
    amqp_port: int, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(amqp_consumer, "PREFETCH", 5)
    consumer: Consumer = await start(Consumer(amqp_port))
    seen: list[str] = []
    monkeypatch.setattr(consumer, "_handler", lambda *message: seen.append(message[0]))
    own: AmqpPublisher = await start(AmqpPublisher(local_rabbit(port=amqp_port), consumer.id))
    before = metrics.MESSAGES_CONSUMED.labels(FANOUT)._value.get()
    # A direct one is for its users even where it comes from itself.
    await own.publish([*(fanout() for _ in range(20)), direct(consumer.id, b"last")])
    await eventually(lambda: seen == [DIRECT])
    assert metrics.MESSAGES_CONSUMED.labels(FANOUT)._value.get() >= before + 20


async def test_poison_is_set_aside_with_the_reason_and_the_rest_goes_on(
    amqp_port: int, start: Start, publisher: AmqpPublisher
) -> None:
    consumer: Consumer = await start(Consumer(amqp_port))
    before = metrics.MESSAGES_POISONED.labels(DIRECT)._value.get()
    bodies = [b"1", b"poison", b"2", b"bug", b"3"]
    await publisher.publish([direct(consumer.id, body) for body in bodies])
    await eventually(lambda: consumer.got == [b"1", b"2", b"3"] and len(consumer.aside) == 2)
    assert consumer.aside == [
        (b"poison", DIRECT, "no envelope"),
        (b"bug", DIRECT, "KeyError: 'no such thing'"),
    ]
    assert metrics.MESSAGES_POISONED.labels(DIRECT)._value.get() == before + 2


async def test_poison_is_held_until_the_broker_has_it_and_tried_again_till_then(
    amqp_port: int, start: Start, publisher: AmqpPublisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(amqp_consumer, "PREFETCH", 5)
    consumer: Consumer = await start(Consumer(amqp_port))
    consumer.can_set_aside = False
    bodies = [b"poison", *(str(number).encode() for number in range(20))]
    await publisher.publish([direct(consumer.id, body) for body in bodies])
    await eventually(lambda: consumer.got == bodies[1:5])
    asides = len(consumer.aside)
    await eventually(lambda: len(consumer.aside) >= asides + 3)
    # Nothing is acknowledged yet, so that no more than PREFETCH have come: poison and four.
    assert consumer.got == bodies[1:5]
    consumer.can_set_aside = True
    await eventually(lambda: consumer.got == bodies[1:])
    asides = len(consumer.aside)
    await arrives(publisher, consumer)
    assert len(consumer.aside) == asides


async def test_a_queue_that_somebody_deleted_is_there_again(
    amqp_port: int, start: Start, channel: AbstractChannel, publisher: AmqpPublisher
) -> None:
    consumer: Consumer = await start(Consumer(amqp_port))
    await channel.queue_delete(f"websocket_node_{consumer.id}")
    await arrives(publisher, consumer)
    # The first message may come before the set-up is over.
    await eventually(lambda: consumer.up)


async def test_a_consumer_that_lost_its_binding_to_a_new_queue_is_repaired(
    amqp_port: int, start: Start, channel: AbstractChannel, publisher: AmqpPublisher
) -> None:
    consumer: Consumer = await start(Consumer(amqp_port))
    name = f"websocket_node_{consumer.id}"
    # Deleted, and made anew by somebody else: a queue without our consumer.
    await channel.queue_delete(name)
    await channel.declare_queue(name, durable=True, auto_delete=True)
    await arrives(publisher, consumer)


async def test_a_broken_connection_is_opened_again(
    start: Start, amqp_proxy: TcpProxy, publisher: AmqpPublisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(amqp_consumer, "PREFETCH", 5)
    consumer: Consumer = await start(Consumer(amqp_proxy.port))
    for connections in (2, 3):
        # Messages are counted anew by each channel, and so are acknowledgements.
        bodies = [uuid.uuid4().bytes for _ in range(20)]
        await publisher.publish([direct(consumer.id, body) for body in bodies])
        await eventually(lambda: consumer.got[-20:] == bodies)  # noqa: B023 - at once
        amqp_proxy.cut()
        await eventually(lambda: consumer.up and amqp_proxy.connections == connections)  # noqa: B023 - at once
        await arrives(publisher, consumer)


async def test_a_queue_with_a_dead_consumer_is_left_for_a_new_one(
    start: Start, amqp_proxy: TcpProxy, channel: AbstractChannel, publisher: AmqpPublisher
) -> None:
    consumer: Consumer = await start(Consumer(amqp_proxy.port))
    name = f"websocket_node_{consumer.id}"
    # The broker goes on believing in the old connection.
    amqp_proxy.forget()
    await eventually(lambda: consumer.up and amqp_proxy.connections == 2)
    await arrives(publisher, consumer)
    assert await exists(channel, f"{name}-1")
    assert not await exists(channel, name)
    # Once more: now the one with the number has the dead consumer.
    amqp_proxy.forget()
    await eventually(lambda: consumer.up and amqp_proxy.connections == 3)
    await arrives(publisher, consumer)


async def test_the_queue_goes_with_the_node(
    amqp_port: int, start: Start, channel: AbstractChannel
) -> None:
    consumer = Consumer(amqp_port)
    await consumer.open()
    name = f"websocket_node_{consumer.id}"
    assert await exists(channel, name)
    await consumer.close()
    assert not consumer.up

    async def gone() -> bool:
        return not await exists(channel, name)

    await eventually(gone)

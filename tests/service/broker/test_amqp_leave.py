"""A consumer that leaves a real RabbitMQ: it takes what is there, and hands on the rest."""

import asyncio
import uuid

import pytest
from aio_pika.abc import AbstractChannel

from service.broker import amqp_consumer
from service.broker.amqp import declare_node_queue, queue_of
from service.broker.amqp_publisher import AmqpPublisher
from service.broker.amqp_queue import NodeQueues
from service.broker.confirms import Outcome
from tests.service.amqp_links import Consumer, Start, arrives, direct, exists
from tests.service.tcp_proxy import TcpProxy
from tests.waiting import eventually


def numbered(count: int, start: int = 0) -> list[bytes]:
    return [str(number).encode() for number in range(start, start + count)]


async def arrives_no_more(publisher: AmqpPublisher, consumer: Consumer) -> None:
    """Wait until what is for a node is returned to who publishes it."""

    async def returned() -> bool:
        return await publisher.publish([direct(consumer.id, b"late")]) == [Outcome.RETURNED]

    await eventually(returned)


async def test_what_is_in_the_queue_is_taken_before_it_is_given_up(
    amqp_port: int,
    start: Start,
    channel: AbstractChannel,
    publisher: AmqpPublisher,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # So that the broker keeps most of them back.
    monkeypatch.setattr(amqp_consumer, "PREFETCH", 5)
    consumer: Consumer = await start(Consumer(amqp_port))
    consumer.hold()
    bodies = numbered(500)
    await publisher.publish([direct(consumer.id, body) for body in bodies])
    await eventually(lambda: len(consumer._held or ()) == 5)
    leaving = asyncio.create_task(consumer.leave(same=False))
    await arrives_no_more(publisher, consumer)
    consumer.release()
    await leaving
    assert [body for body in consumer.got if body != b"late"] == bodies
    assert not await exists(channel, queue_of(consumer.id))


@pytest.mark.usefixtures("impatient")
async def test_a_queue_that_never_gets_empty_is_left_all_the_same(
    amqp_port: int, start: Start, publisher: AmqpPublisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(amqp_consumer, "PREFETCH", 5)
    monkeypatch.setattr(amqp_consumer, "LEAVE_LIMIT", 0.3)
    consumer: Consumer = await start(Consumer(amqp_port))
    # Poison that nobody takes holds up the acknowledgements, and so the queue.
    consumer.can_set_aside = False
    await publisher.publish([direct(consumer.id, body) for body in [b"poison", *numbered(50)]])
    await asyncio.wait_for(consumer.leave(same=False), 3)
    assert not consumer.up


@pytest.mark.usefixtures("impatient")
async def test_a_broker_that_hangs_is_left_in_time(start: Start, amqp_proxy: TcpProxy) -> None:
    consumer: Consumer = await start(Consumer(amqp_proxy.port))
    amqp_proxy.hang()
    await asyncio.wait_for(consumer.leave(same=False), 3)
    assert not consumer.up


async def test_one_queue_is_shared_and_handed_on_in_order(
    amqp_port: int, start: Start, channel: AbstractChannel, publisher: AmqpPublisher
) -> None:
    queues = NodeQueues(uuid.uuid4().hex)
    old: Consumer = await start(Consumer(amqp_port, queues))
    new: Consumer = await start(Consumer(amqp_port, queues))
    assert new.queue_name == old.queue_name == queue_of(queues.node)
    assert new.identity == old.identity
    bodies = numbered(600)
    order: list[bytes] = []
    for consumer in (old, new):
        consumer.got = order
    await publisher.publish([direct(queues.node, body) for body in bodies[:300]])
    # As long as both are there, the one that came first has everything.
    await eventually(lambda: len(order) == 300)
    assert new._acks.due() is None

    async def publish_the_rest() -> None:
        for body in bodies[300:]:
            assert await publisher.publish([direct(queues.node, body)]) == [Outcome.CONFIRMED]

    await asyncio.gather(publish_the_rest(), old.leave(same=True))
    await eventually(lambda: len(order) == len(bodies))
    assert order == bodies
    assert await exists(channel, queue_of(queues.node))
    # Nothing comes again: all of it was acknowledged.
    await new.leave(same=False)
    assert order == bodies
    assert not await exists(channel, queue_of(queues.node))


async def test_what_comes_while_a_consumer_holds_is_handled_in_order_afterwards(
    amqp_port: int, start: Start, publisher: AmqpPublisher
) -> None:
    consumer: Consumer = await start(Consumer(amqp_port))
    consumer.hold()
    bodies = numbered(20)
    await publisher.publish([direct(consumer.id, body) for body in bodies])
    await eventually(lambda: len(consumer._held or ()) == 20)
    assert consumer.got == []
    consumer.release()
    assert consumer.got == bodies
    await arrives(publisher, consumer)


async def test_a_queue_is_not_handed_on_before_somebody_else_consumes_it(
    amqp_port: int, start: Start, channel: AbstractChannel, publisher: AmqpPublisher
) -> None:
    queues = NodeQueues(uuid.uuid4().hex)
    old: Consumer = await start(Consumer(amqp_port, queues))
    leaving = asyncio.create_task(old.leave(same=True))
    await arrives(publisher, old)
    assert not leaving.done()
    new: Consumer = await start(Consumer(amqp_port, queues))
    await leaving
    assert await exists(channel, queue_of(queues.node))
    await arrives(publisher, new)


async def revive(proxy: TcpProxy, channel: AbstractChannel, name: str) -> None:
    """Cut a consumer off; when it is back, its queue is there without one, as after a crash."""
    proxy.hang()
    proxy.cut()

    async def gone() -> bool:
        return not await exists(channel, name)

    await eventually(gone)
    await declare_node_queue(channel, name)
    proxy.flow()


@pytest.mark.usefixtures("impatient")
async def test_sides_that_come_together_share_one_queue(
    start: Start, channel: AbstractChannel, amqp_proxy: TcpProxy
) -> None:
    queues = NodeQueues(uuid.uuid4().hex)
    sides = [Consumer(amqp_proxy.port, queues) for _ in range(3)]
    await asyncio.gather(*map(start, sides))
    name = queue_of(queues.node)
    assert [side.queue_name for side in sides] == [name] * 3
    assert len({side.identity for side in sides}) == 1
    await revive(amqp_proxy, channel, name)
    await eventually(lambda: all(side.up for side in sides), limit=10)
    assert [side.queue_name for side in sides] == [name] * 3


@pytest.mark.usefixtures("impatient")
async def test_a_queue_that_outlived_a_crash_is_taken_again(
    start: Start, channel: AbstractChannel, amqp_proxy: TcpProxy, publisher: AmqpPublisher
) -> None:
    queues = NodeQueues(uuid.uuid4().hex)
    elsewhere = Consumer(amqp_proxy.port, queues)
    elsewhere.queue_name = queue_of(queues.node)
    consumer: Consumer = await start(Consumer(amqp_proxy.port, queues))
    await elsewhere.close()
    name = queue_of(queues.node, 1)
    assert consumer.queue_name == name
    await revive(amqp_proxy, channel, name)
    await arrives(publisher, consumer)
    # Otherwise it would gather messages for as long as the node lives.
    assert consumer.queue_name == name
    assert not await exists(channel, queue_of(queues.node))


@pytest.mark.usefixtures("impatient")
async def test_a_dead_consumer_is_not_taken_for_another_side(
    amqp_port: int, start: Start, amqp_proxy: TcpProxy, publisher: AmqpPublisher
) -> None:
    queues = NodeQueues(uuid.uuid4().hex)
    old: Consumer = await start(Consumer(amqp_proxy.port, queues))
    amqp_proxy.hang()
    # The broker goes on believing in it, and gives it all that comes.
    amqp_proxy.forget()
    await eventually(lambda: not old.up)
    new: Consumer = await start(Consumer(amqp_port, queues))
    assert new.queue_name == queue_of(queues.node, 1)
    assert new.identity != old.identity
    await arrives(publisher, new)
    amqp_proxy.flow()
    # Once it is back it joins the other one: each message comes once.
    await eventually(lambda: old.up and old.identity == new.identity)
    assert old.queue_name == new.queue_name

"""A real RabbitMQ that has no queue to offer, hangs, or takes no messages for a while.

What it does to clients and to the API is shown in tests/e2e.
"""

import asyncio
import time

import msgspec
import pytest
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractQueue

from devtools.servers import Servers
from nacos_boot.start.startup import StartError
from service.broker import amqp_publisher, amqp_queue
from service.broker.amqp import declare_node_queue, queue_of
from service.broker.amqp_publisher import AmqpPublisher
from service.broker.broker_side import BrokerSide
from service.broker.confirms import Outcome
from tests.rabbit import local_rabbit
from tests.service.amqp_links import Consumer, Start, arrives, exists, fanout
from tests.service.tcp_proxy import TcpProxy
from tests.waiting import eventually

LIMIT = 0.3
"""What `impatient` makes of the 5 s."""


@pytest.mark.usefixtures("impatient")
async def test_a_node_whose_queue_cannot_be_declared_takes_the_next_name(
    amqp_port: int,
    start: Start,
    publisher: AmqpPublisher,
    channel: AbstractChannel,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    consumer = Consumer(amqp_port)
    down = {queue_of(consumer.id)}

    async def declare(channel: AbstractChannel, name: str) -> AbstractQueue:
        if name in down:
            # The same answer as for a queue whose home is down: 404, which ends the channel.
            return await channel.declare_queue(name, passive=True)
        return await declare_node_queue(channel, name)

    monkeypatch.setattr(amqp_queue, "declare_node_queue", declare)
    # A node that starts tries again, and so does one that runs.
    with pytest.raises(StartError, match="NOT_FOUND") as caught:
        await consumer.open()
    assert not caught.value.final
    await start(consumer)
    assert consumer.queue_name == queue_of(consumer.id, 1)
    await arrives(publisher, consumer)
    # The one in use goes down, too, and comes back no more.
    down.add(queue_of(consumer.id, 1))
    await channel.queue_delete(queue_of(consumer.id, 1))
    await eventually(lambda: consumer.queue_name == queue_of(consumer.id, 2), limit=10)
    await arrives(publisher, consumer)


@pytest.mark.usefixtures("impatient")
async def test_without_a_queue_for_poison_a_node_goes_on_and_tries_again(
    amqp_port: int, start: Start, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    declare = amqp_publisher.declare_dead_queue

    async def down(connection: AbstractConnection) -> None:
        await (await connection.channel()).declare_queue("not-there", passive=True)

    monkeypatch.setattr(amqp_publisher, "WATCH_INTERVAL", 0.02)
    monkeypatch.setattr(amqp_publisher, "DEAD_QUEUE_PAUSE", 0.02)
    monkeypatch.setattr(amqp_publisher, "declare_dead_queue", down)
    queues = amqp_queue.NodeQueues("n")
    side = BrokerSide(local_rabbit(port=amqp_port), queues, lambda *_: None)
    await side.open()
    running = asyncio.create_task(side.run())
    assert "NOT_FOUND" in str(side.faults["deadLetters"])
    assert await side._publisher.publish([fanout()]) == [Outcome.CONFIRMED]
    # The exchange is there: who cannot be helped holds nothing up.
    assert await side._publisher.set_aside(b"poison", "", "why")
    await asyncio.sleep(0.2)
    assert side.publishing
    # Said once, not at each try.
    assert caplog.text.count("poison messages are logged only") == 1
    monkeypatch.setattr(amqp_publisher, "declare_dead_queue", declare)
    await eventually(lambda: not side.faults)
    running.cancel()
    await side.close()


@pytest.mark.usefixtures("impatient")
async def test_a_broker_that_hangs_costs_one_wait_and_not_one_for_each_push(
    start: Start, amqp_proxy: TcpProxy
) -> None:
    publisher: AmqpPublisher = await start(AmqpPublisher(local_rabbit(port=amqp_proxy.port), "n"))
    amqp_proxy.hang()
    assert await publisher.publish([fanout()]) == [Outcome.FAILED]
    assert publisher.fault == "it does not answer"
    begun = time.monotonic()
    for _ in range(200):
        assert await publisher.publish([fanout()]) == [Outcome.FAILED]
    assert time.monotonic() - begun < 200 * LIMIT / 10
    amqp_proxy.flow()
    # What was written is confirmed late, which shows that it goes on.
    await eventually(lambda: not publisher.fault)
    assert amqp_proxy.connections == 1
    assert await publisher.publish([fanout()]) == [Outcome.CONFIRMED]


@pytest.mark.usefixtures("impatient")
async def test_what_is_written_to_a_broker_that_reads_nothing_is_bounded(
    start: Start, amqp_proxy: TcpProxy
) -> None:
    publisher: AmqpPublisher = await start(AmqpPublisher(local_rabbit(port=amqp_proxy.port), "n"))
    line = publisher._line
    assert line is not None
    amqp_proxy.hang()
    big = fanout()
    big = msgspec.structs.replace(big, body=big.body[:-1] + b" " * 1_000_000 + b"}")
    outcomes = await asyncio.gather(*(publisher.publish([big]) for _ in range(200)))
    assert outcomes == [[Outcome.FAILED]] * 200
    # As much as the systems on the way take, and one message of what waits here.
    assert line._tap.writer.transport.get_write_buffer_size() < 3_000_000
    amqp_proxy.flow()
    await eventually(lambda: not publisher.fault, limit=10)
    assert await publisher.publish([fanout()]) == [Outcome.CONFIRMED]


@pytest.mark.usefixtures("impatient")
async def test_a_connection_that_stays_silent_is_replaced(
    start: Start, amqp_proxy: TcpProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(amqp_publisher, "WATCH_INTERVAL", 0.05)
    monkeypatch.setattr(amqp_publisher, "SILENCE", 0.2)
    publisher: AmqpPublisher = await start(AmqpPublisher(local_rabbit(port=amqp_proxy.port), "n"))
    amqp_proxy.hang()
    assert await publisher.publish([fanout()]) == [Outcome.FAILED]
    await eventually(lambda: publisher.error)
    assert publisher.fault == publisher.error
    amqp_proxy.flow()
    await eventually(lambda: not publisher.fault)
    assert await publisher.publish([fanout()]) == [Outcome.CONFIRMED]


async def test_a_broker_low_on_memory_refuses_pushes_at_once_and_delivers_on(
    amqp_port: int, start: Start, servers: Servers, channel: AbstractChannel
) -> None:
    publisher: AmqpPublisher = await start(AmqpPublisher(local_rabbit(port=amqp_port), "n"))
    consumer: Consumer = await start(Consumer(amqp_port))
    assert await publisher.publish([fanout()]) == [Outcome.CONFIRMED]
    await asyncio.to_thread(servers.rabbitmq.control, "set_vm_memory_high_watermark", "0.000001")
    try:
        begun = time.monotonic()

        async def refused() -> bool:
            return await publisher.publish([fanout()]) == [Outcome.FAILED]

        await eventually(refused, limit=10)
        await eventually(lambda: "blocks publishers" in publisher.fault)
        assert time.monotonic() - begun < 15
        begun = time.monotonic()
        for _ in range(200):
            assert await refused()
        assert time.monotonic() - begun < 2
        assert consumer.up
        assert await exists(channel, queue_of(consumer.id))
    finally:
        await asyncio.to_thread(servers.rabbitmq.control, "set_vm_memory_high_watermark", "0.6")
    await eventually(lambda: not publisher.fault, limit=10)
    await arrives(publisher, consumer)

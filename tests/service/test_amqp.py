"""The Broker's ways with a real RabbitMQ: what breaks, and is repaired. See tests/contract, too."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import aio_pika
import pamqp.encode
import pytest
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage

from devtools.ports import LOOPBACK, free_port
from devtools.servers import Servers
from nacos_boot.startup import StartError
from service import amqp, amqp_consumer, amqp_link, amqp_publisher, metrics
from service.amqp import DEAD, DIRECT, FANOUT, bounded, declare_exchanges
from service.amqp_consumer import AmqpConsumer
from service.amqp_publisher import AmqpPublisher, Outcome
from service.publication import Publication
from service.push import PushError
from service.settings import RabbitSection
from tests.service.tcp_proxy import TcpProxy
from tests.waiting import eventually

# A MsgDTO for nobody: other nodes may be listening on the exchange.
NOBODY = b'{"content":1,"allUser":false,"targetUserList":["nobody-here"]}'


def direct(node: str, body: bytes) -> Publication:
    return Publication("direct", node, uuid.uuid4().hex, body, (0,))


def fanout() -> Publication:
    return Publication("fanout", "", uuid.uuid4().hex, NOBODY, (0,))


class Consumer(AmqpConsumer):
    """A consumer that notes what its handler was given; bodies that say so are poison."""

    def __init__(self, port: int) -> None:
        self.id = uuid.uuid4().hex
        self.got: list[bytes] = []
        self.aside: list[tuple[bytes, str, str]] = []
        self.can_set_aside = True
        super().__init__(RabbitSection(port=port), self.id, self.handle, self.set_aside)

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


Start = Callable[[Any], Awaitable[Any]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Open links, repair them as a node does, close them in the end."""
    links: list[amqp_link.AmqpLink] = []
    tasks: list[asyncio.Task[None]] = []

    async def start(link: amqp_link.AmqpLink) -> Any:
        links.append(link)
        await link.open()
        tasks.append(asyncio.create_task(link.run()))
        return link

    yield start
    assert not any(task.done() for task in tasks)
    for task in tasks:
        task.cancel()
    await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 3)
    for link in links:
        await link.close()


@pytest.fixture
def port(servers: Servers) -> int:
    return servers.ports.rabbitmq


@pytest.fixture
async def proxy(port: int) -> AsyncIterator[TcpProxy]:
    async with TcpProxy(port) as proxy:
        yield proxy


@pytest.fixture
async def publisher(port: int, start: Start) -> AmqpPublisher:
    found: AmqpPublisher = await start(AmqpPublisher(RabbitSection(port=port), uuid.uuid4().hex))
    return found


@pytest.fixture
async def channel(port: int) -> AsyncIterator[AbstractChannel]:
    """A channel of somebody else."""
    async with await aio_pika.connect(host=LOOPBACK, port=port) as connection:
        yield await connection.channel()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (amqp_link, amqp_publisher, amqp_consumer):
        monkeypatch.setattr(module, "CALL_LIMIT", 0.3)
    monkeypatch.setattr(amqp_link, "_PAUSES", (0.02,))
    monkeypatch.setattr(amqp_consumer, "CHECK_INTERVAL", 0.05)
    monkeypatch.setattr(amqp_consumer, "SET_ASIDE_PAUSE", 0.02)


pytestmark = pytest.mark.usefixtures("impatient")


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


# The consumer.


async def test_what_is_consumed_is_acknowledged(
    port: int, start: Start, publisher: AmqpPublisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Without acknowledgements no more than these would come.
    monkeypatch.setattr(amqp_consumer, "PREFETCH", 5)
    consumer: Consumer = await start(Consumer(port))
    bodies = [str(number).encode() for number in range(40)]
    await publisher.publish([direct(consumer.id, body) for body in bodies])
    await eventually(lambda: consumer.got == bodies)


async def test_what_is_acknowledged_does_not_come_again(
    port: int, start: Start, channel: AbstractChannel, publisher: AmqpPublisher
) -> None:
    consumer: Consumer = await start(Consumer(port))
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
    port: int,
    start: Start,
    channel: AbstractChannel,
    publisher: AmqpPublisher,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(amqp_consumer, "PREFETCH", 5)
    consumer = Consumer(port)
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
    port: int, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(amqp_consumer, "PREFETCH", 5)
    consumer: Consumer = await start(Consumer(port))
    seen: list[str] = []
    monkeypatch.setattr(consumer, "_handler", lambda *message: seen.append(message[0]))
    own: AmqpPublisher = await start(AmqpPublisher(RabbitSection(port=port), consumer.id))
    before = metrics.MESSAGES_CONSUMED.labels(FANOUT)._value.get()
    # A direct one is for its users even where it comes from itself.
    await own.publish([*(fanout() for _ in range(20)), direct(consumer.id, b"last")])
    await eventually(lambda: seen == [DIRECT])
    assert metrics.MESSAGES_CONSUMED.labels(FANOUT)._value.get() >= before + 20


async def test_poison_is_set_aside_with_the_reason_and_the_rest_goes_on(
    port: int, start: Start, publisher: AmqpPublisher
) -> None:
    consumer: Consumer = await start(Consumer(port))
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
    port: int, start: Start, publisher: AmqpPublisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(amqp_consumer, "PREFETCH", 5)
    consumer: Consumer = await start(Consumer(port))
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


@pytest.mark.parametrize(
    "case",
    [
        ("shortstr", b"\x03\xff\xfe\xfd", {"message_id": "x"}),
        ("shortstr", b"\x10" + bytes(range(0x80, 0x90)), {"correlation_id": "x"}),
        ("timestamp", b"\xff" * 8, {"timestamp": datetime(2024, 1, 1, tzinfo=UTC)}),
        ("timestamp", b"\x00\xff" * 4, {"timestamp": datetime(2024, 1, 1, tzinfo=UTC)}),
        ("table", b"\0\0\0\x03\x01\xffV", {"headers": {"x": 1}}),
    ],
)
async def test_a_property_that_cannot_be_read_costs_neither_message_nor_queue(
    port: int, start: Start, channel: AbstractChannel, case: tuple[str, bytes, dict[str, Any]]
) -> None:
    kind, data, properties = case
    consumer: Consumer = await start(Consumer(port))
    exchange = await channel.get_exchange(DIRECT)
    encode = pamqp.encode.METHODS[kind]

    def malformed(value: Any) -> bytes:
        return data if value in properties.values() else encode(value)

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(pamqp.encode.METHODS, kind, malformed)
        message = aio_pika.Message(b"malformed", **properties)
        await exchange.publish(message, routing_key=consumer.id)
    await exchange.publish(aio_pika.Message(b"next"), routing_key=consumer.id)
    await eventually(lambda: consumer.got == [b"malformed", b"next"])
    assert consumer.up
    assert consumer._opened == 0


async def test_a_queue_that_somebody_deleted_is_there_again(
    port: int, start: Start, channel: AbstractChannel, publisher: AmqpPublisher
) -> None:
    consumer: Consumer = await start(Consumer(port))
    await channel.queue_delete(f"websocket_node_{consumer.id}")
    await arrives(publisher, consumer)
    assert consumer.up


async def test_a_consumer_that_lost_its_binding_to_a_new_queue_is_repaired(
    port: int, start: Start, channel: AbstractChannel, publisher: AmqpPublisher
) -> None:
    consumer: Consumer = await start(Consumer(port))
    name = f"websocket_node_{consumer.id}"
    # Deleted, and made anew by somebody else: a queue without our consumer.
    await channel.queue_delete(name)
    await channel.declare_queue(name, durable=True, auto_delete=True)
    await arrives(publisher, consumer)


async def test_a_broken_connection_is_opened_again(
    start: Start, proxy: TcpProxy, publisher: AmqpPublisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(amqp_consumer, "PREFETCH", 5)
    consumer: Consumer = await start(Consumer(proxy.port))
    for connections in (2, 3):
        # Messages are counted anew by each channel, and so are acknowledgements.
        bodies = [uuid.uuid4().bytes for _ in range(20)]
        await publisher.publish([direct(consumer.id, body) for body in bodies])
        await eventually(lambda: consumer.got[-20:] == bodies)  # noqa: B023 - at once
        proxy.cut()
        await eventually(lambda: consumer.up and proxy.connections == connections)  # noqa: B023 - at once
        await arrives(publisher, consumer)


async def test_a_queue_with_a_dead_consumer_is_left_for_a_new_one(
    start: Start, proxy: TcpProxy, channel: AbstractChannel, publisher: AmqpPublisher
) -> None:
    consumer: Consumer = await start(Consumer(proxy.port))
    name = f"websocket_node_{consumer.id}"
    # The broker goes on believing in the old connection.
    proxy.forget()
    await eventually(lambda: consumer.up and proxy.connections == 2)
    await arrives(publisher, consumer)
    assert await exists(channel, f"{name}-1")
    assert not await exists(channel, name)
    # Once more: now the one with the number has the dead consumer.
    proxy.forget()
    await eventually(lambda: consumer.up and proxy.connections == 3)
    await arrives(publisher, consumer)


async def test_the_queue_goes_with_the_node(
    port: int, start: Start, channel: AbstractChannel
) -> None:
    consumer = Consumer(port)
    await consumer.open()
    name = f"websocket_node_{consumer.id}"
    assert await exists(channel, name)
    await consumer.close()
    assert not consumer.up

    async def gone() -> bool:
        return not await exists(channel, name)

    await eventually(gone)


# The publisher.


async def test_a_publisher_whose_connection_breaks_fails_and_is_repaired(
    start: Start, proxy: TcpProxy
) -> None:
    publisher: AmqpPublisher = await start(AmqpPublisher(RabbitSection(port=proxy.port), "n"))

    async def cut() -> None:
        proxy.cut()

    outcomes, _ = await asyncio.gather(publisher.publish([fanout() for _ in range(300)]), cut())
    assert Outcome.FAILED in outcomes
    await eventually(lambda: publisher.up and proxy.connections == 2)
    assert await publisher.publish([fanout()]) == [Outcome.CONFIRMED]


async def test_a_broker_that_does_not_confirm_is_given_up_in_time(
    start: Start, proxy: TcpProxy, caplog: pytest.LogCaptureFixture
) -> None:
    publisher: AmqpPublisher = await start(AmqpPublisher(RabbitSection(port=proxy.port), "n"))
    proxy.hang()
    loop = asyncio.get_running_loop()
    started = loop.time()
    assert await publisher.publish([fanout() for _ in range(50)]) == [Outcome.FAILED] * 50
    assert loop.time() - started < 2
    # Said once, not fifty times.
    assert [record.message for record in caplog.records] == [
        f"RabbitMQ at {publisher.address} did not confirm 50 messages: no answer in time"
    ]
    proxy.flow()


async def test_a_connection_given_up_while_messages_are_on_their_way_fails_them(
    start: Start, proxy: TcpProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The client then ends what waits with CancelledError, which would end the caller's task.
    monkeypatch.setattr(amqp_publisher, "CALL_LIMIT", 30)
    publisher: AmqpPublisher = await start(AmqpPublisher(RabbitSection(port=proxy.port), "n"))
    proxy.hang()

    async def give_up() -> None:
        await eventually(lambda: proxy.held)
        publisher._broke(publisher._connection)

    async with asyncio.timeout(5):
        outcomes, taken, _ = await asyncio.gather(
            publisher.publish([fanout() for _ in range(20)]),
            publisher.set_aside(b"x", FANOUT, "why"),
            give_up(),
        )
    assert outcomes == [Outcome.FAILED] * 20
    assert not taken
    proxy.flow()
    await eventually(lambda: publisher.up)


async def test_a_link_can_be_ended_while_it_is_being_repaired(proxy: TcpProxy) -> None:
    publisher = AmqpPublisher(RabbitSection(port=proxy.port), "n")
    await publisher.open()
    task = asyncio.create_task(publisher.run())
    # Dropping a connection that hangs takes its time.
    proxy.hang()
    publisher._broke(publisher._connection)
    await eventually(lambda: publisher._connection is None)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(asyncio.shield(task), 2)
    await publisher.close()


async def test_the_late_end_of_an_old_connection_does_not_cost_the_new_one(
    start: Start, proxy: TcpProxy
) -> None:
    publisher: AmqpPublisher = await start(AmqpPublisher(RabbitSection(port=proxy.port), "n"))
    old = publisher._connection
    proxy.cut()
    await eventually(lambda: publisher.up and publisher._connection not in {None, old})
    publisher._broke(old)
    assert publisher.up
    assert await publisher.publish([fanout()]) == [Outcome.CONFIRMED]
    assert proxy.connections == 2


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


# The start.


async def test_a_start_without_rabbitmq_names_address_and_settings() -> None:
    port = free_port()
    publisher = AmqpPublisher(RabbitSection(port=port), "n")
    with pytest.raises(
        StartError, match=rf"127\.0\.0\.1:{port} .*spring\.rabbitmq\.host"
    ) as caught:
        await publisher.open()
    assert not caught.value.final


async def test_a_server_that_does_not_answer_is_given_up_in_time(proxy: TcpProxy) -> None:
    proxy.hang()
    publisher = AmqpPublisher(RabbitSection(port=proxy.port), "n")
    with pytest.raises(StartError, match="no answer in time"):
        await asyncio.wait_for(publisher.open(), 2)


async def test_a_wrong_password_is_final_and_not_shown(port: int) -> None:
    publisher = AmqpPublisher(RabbitSection(port=port, password="hush"), "n")
    with pytest.raises(StartError, match=r"'guest'.*spring\.rabbitmq\.password") as caught:
        await publisher.open()
    assert caught.value.final
    assert "hush" not in str(caught.value)


async def test_a_virtual_host_that_is_not_there_is_named(port: int) -> None:
    publisher = AmqpPublisher(RabbitSection(port=port, **{"virtual-host": "none"}), "n")
    with pytest.raises(StartError, match="virtual-host"):
        await publisher.open()


async def test_an_exchange_declared_otherwise_is_final(
    port: int, channel: AbstractChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"test-{uuid.uuid4().hex}"
    monkeypatch.setattr(amqp, "FANOUT", name)
    exchange = await channel.declare_exchange(name, "fanout", durable=False)
    publisher = AmqpPublisher(RabbitSection(port=port), "n")
    with pytest.raises(StartError, match=f"{name}.*virtual-host") as caught:
        await publisher.open()
    assert caught.value.final
    await exchange.delete()


async def test_declaring_twice_is_no_fault(channel: AbstractChannel) -> None:
    for _ in range(2):
        exchanges = await declare_exchanges(channel)
        assert [exchange.name for exchange in exchanges] == [FANOUT, DIRECT, DEAD]


# A call of the client.


async def test_a_bounded_call_gives_its_result_or_its_fault() -> None:
    async def call(result: object) -> object:
        await asyncio.sleep(0)
        if isinstance(result, BaseException):
            raise result
        return result

    assert await bounded(call(5), 1) == 5
    with pytest.raises(OSError, match="gone"):
        await bounded(call(OSError("gone")), 1)
    with pytest.raises(ConnectionError, match="the connection broke"):
        await bounded(call(asyncio.CancelledError()), 1)


async def test_a_bounded_call_ends_with_its_time_and_with_its_caller() -> None:
    ended: list[str] = []

    async def for_ever(name: str) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(name)

    with pytest.raises(TimeoutError):
        await bounded(for_ever("late"), 0.01)
    await eventually(lambda: ended == ["late"])
    caller = asyncio.create_task(bounded(for_ever("cancelled"), 30))
    await asyncio.sleep(0)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    await eventually(lambda: ended == ["late", "cancelled"])

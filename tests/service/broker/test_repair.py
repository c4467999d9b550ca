"""Nodes at a real RabbitMQ whose queues vanish: what was accepted is not lost, nor comes twice."""

import asyncio
from collections.abc import AsyncIterator, Iterable

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel
from prometheus_client import Counter

from service import metrics
from service.broker import amqp_consumer, repair
from service.broker.amqp import FANOUT, queue_of
from service.broker.amqp_origin import NUMBER, ORIGIN
from service.push.push import Push, write_push
from tests.service.amqp_links import exists
from tests.service.repairing_nodes import PREFIX, RepairingFleet, RepairingNode
from tests.service.tcp_proxy import TcpProxy
from tests.waiting import eventually

pytestmark = pytest.mark.usefixtures("impatient")


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repair, "REST", 0.1)
    monkeypatch.setattr(repair, "PACE", 0.1)


@pytest.fixture
async def fleet(amqp_proxy: TcpProxy) -> AsyncIterator[RepairingFleet]:
    assert amqp_proxy, "which is to live longer"
    fleet = RepairingFleet()
    yield fleet
    await fleet.close()


@pytest.fixture
async def sender(fleet: RepairingFleet, amqp_port: int) -> RepairingNode:
    return await fleet.add(amqp_port)


@pytest.fixture
async def receiver(
    fleet: RepairingFleet, sender: RepairingNode, amqp_proxy: TcpProxy
) -> RepairingNode:
    """A node behind a network that can be cut; the sender knows of it."""
    node = await fleet.add(amqp_proxy.port)
    await eventually(lambda: node.id in sender.broker.sent._since)
    return node


class Counted:
    """What a counter has counted since this was made."""

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self._before = counter._value.get()

    def __call__(self) -> float:
        return float(self._counter._value.get() - self._before)


async def has(node: RepairingNode, accepted: Iterable[str]) -> None:
    """Wait until a node has all that was accepted, and see that nothing came twice."""
    expected = set(accepted)
    await eventually(lambda: not (expected - set(node.got)), limit=10)
    await asyncio.sleep(0.3)
    assert len(set(node.got)) == len(node.got)


async def test_without_faults_nothing_is_asked_for_and_the_order_is_kept(
    sender: RepairingNode, receiver: RepairingNode
) -> None:
    counted = [Counted(c) for c in (metrics.MESSAGES_LOST, metrics.MESSAGES_REPEATED)]
    accepted: list[str] = []
    for _ in range(10):
        accepted += await sender.publish(20)
        accepted += await sender.publish(20, receiver)
    await eventually(lambda: len(receiver.got) == 400)
    assert receiver.got == accepted
    assert not receiver.broker.arrivals.owing
    assert [count() for count in counted] == [0, 0]


async def test_a_queue_that_was_deleted_under_load_costs_nothing(
    sender: RepairingNode, receiver: RepairingNode, channel: AbstractChannel
) -> None:
    lost = Counted(metrics.MESSAGES_LOST)
    accepted: list[str] = []
    for round_ in range(60):
        accepted += await sender.publish(5)
        accepted += await sender.publish(5, receiver)
        if round_ % 20 == 10:
            await channel.queue_delete(queue_of(receiver.id))
        await asyncio.sleep(0.005)
    # To a node without a queue nothing direct is accepted: it comes back.
    assert len(accepted) >= 300
    await has(receiver, accepted)
    assert lost() == 0


@pytest.mark.parametrize("first", [True, False])
async def test_what_lay_in_the_queue_comes_again_though_nothing_newer_follows(
    sender: RepairingNode,
    receiver: RepairingNode,
    amqp_proxy: TcpProxy,
    channel: AbstractChannel,
    first: bool,
) -> None:
    lost, resent = Counted(metrics.MESSAGES_LOST), Counted(metrics.MESSAGES_RESENT)
    accepted = [] if first else [*await sender.publish(3), *await sender.publish(3, receiver)]
    await has(receiver, accepted)
    amqp_proxy.hang()
    # The broker hands them to a consumer that takes none of them.
    more = [*await sender.publish(50), *await sender.publish(50, receiver)]
    assert len(more) == 100
    await channel.queue_delete(queue_of(receiver.id))
    amqp_proxy.cut()
    amqp_proxy.flow()
    await has(receiver, accepted + more)
    assert (lost(), resent()) == (0, 100)
    # All is as before.
    more = [*await sender.publish(5), *await sender.publish(5, receiver)]
    await has(receiver, more)
    assert receiver.got[-10:] == more
    assert not receiver.broker.arrivals.owing


async def test_what_a_dead_consumer_had_got_comes_again_through_the_next_queue(
    sender: RepairingNode, receiver: RepairingNode, amqp_proxy: TcpProxy, channel: AbstractChannel
) -> None:
    accepted = await sender.publish(3)
    await has(receiver, accepted)
    amqp_proxy.hang()
    accepted += await sender.publish(20)
    # The broker goes on believing in the old connection, which has got them.
    amqp_proxy.forget()
    amqp_proxy.flow()
    await has(receiver, accepted)
    assert await exists(channel, queue_of(receiver.id, 1))


async def test_what_is_no_longer_there_is_counted(
    sender: RepairingNode, receiver: RepairingNode, amqp_proxy: TcpProxy, channel: AbstractChannel
) -> None:
    lost, resent = Counted(metrics.MESSAGES_LOST), Counted(metrics.MESSAGES_RESENT)
    await has(receiver, await sender.publish(3))
    sender.resend(buffer=0)
    amqp_proxy.hang()
    await sender.publish(20)
    sender.resend(buffer=1_000_000)
    kept = await sender.publish(7)
    await channel.queue_delete(queue_of(receiver.id))
    amqp_proxy.cut()
    amqp_proxy.flow()
    await has(receiver, kept)
    await eventually(lambda: lost() == 20)
    assert resent() == 7


async def test_messages_too_old_are_dropped_though_nothing_is_published(
    sender: RepairingNode,
) -> None:
    await sender.publish(20)
    assert sender.broker.sent.bytes
    sender.resend(age="200ms")
    await eventually(lambda: not sender.broker.sent.bytes)


async def test_a_new_node_gets_nothing_from_before(
    fleet: RepairingFleet, sender: RepairingNode, amqp_port: int, channel: AbstractChannel
) -> None:
    await sender.publish(20)
    new = await fleet.add(amqp_port)
    await eventually(lambda: new.id in sender.broker.sent._since)
    await channel.queue_delete(queue_of(new.id))
    await asyncio.sleep(0.5)
    await eventually(lambda: new.broker.consuming)
    accepted = await sender.publish(3)
    await has(new, accepted)
    assert new.got == accepted


async def test_what_never_went_out_is_neither_missed_nor_lost(
    sender: RepairingNode, receiver: RepairingNode, fleet: RepairingFleet, amqp_port: int
) -> None:
    lost = Counted(metrics.MESSAGES_LOST)
    absent = RepairingNode(fleet, amqp_port)
    assert await sender.publish(5, absent) == []
    await has(receiver, await sender.publish(3, receiver))
    sender.broker.mover.side._publisher._line._ended = "a fault"  # type: ignore[union-attr]  # up
    assert await sender.publish(5) == []
    sender.broker.mover.side._publisher._line._ended = ""  # type: ignore[union-attr]  # up
    await has(receiver, await sender.publish(3))
    await eventually(lambda: not receiver.broker.arrivals.owing)
    assert lost() == 0


async def publish_as(channel: AbstractChannel, node: str, number: int, content: bytes) -> None:
    exchange = await channel.get_exchange(FANOUT)
    message = aio_pika.Message(
        write_push(Push("", content, ("nobody-here",))),
        headers={ORIGIN: node, NUMBER: number, "x-of-a-shovel": "1"},
        message_id=f"{PREFIX}{number}",
    )
    await exchange.publish(message, "")


async def test_what_comes_twice_is_dropped_and_counted(
    receiver: RepairingNode, channel: AbstractChannel
) -> None:
    repeated = Counted(metrics.MESSAGES_REPEATED)
    for number in (1, 2, 2, 1, 3):
        await publish_as(channel, "old-acquaintance", number, b'"%d"' % number)
    await eventually(lambda: receiver.got == ["1", "2", "3"])
    await eventually(lambda: repeated() >= 2)


async def test_what_a_node_owed_that_is_gone_is_lost(
    receiver: RepairingNode, channel: AbstractChannel
) -> None:
    lost = Counted(metrics.MESSAGES_LOST)
    for number in (1, 5):
        await publish_as(channel, "ghost", number, b'"%d"' % number)
    await eventually(lambda: lost() >= 3)
    assert "ghost" not in receiver.broker.arrivals.owing


async def test_a_node_that_never_answers_is_asked_a_few_times_only(
    receiver: RepairingNode, channel: AbstractChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repair, "TRIES", 3)
    monkeypatch.setattr(receiver.repair, "_alive", lambda: {"mute"})
    for number in (1, 5):
        await publish_as(channel, "mute", number, b'"%d"' % number)
    await eventually(lambda: "mute" in receiver.broker.arrivals.owing)
    await eventually(lambda: "mute" not in receiver.broker.arrivals.owing)


async def test_a_deleted_queue_is_noticed_at_once(
    receiver: RepairingNode, channel: AbstractChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Not by the look at it every few seconds.
    monkeypatch.setattr(amqp_consumer, "CHECK_INTERVAL", 60)
    await asyncio.sleep(0.1)
    connected = receiver.broker.mover.side._consumer._connection
    await channel.queue_delete(queue_of(receiver.id))
    await eventually(lambda: receiver.broker.mover.side._consumer._connection is not connected)
    await eventually(lambda: receiver.broker.consuming)

"""A channel on which publications go out and their confirms come back."""

import asyncio
from typing import Any

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel
from pamqp import commands

from service.broker.amqp import DIRECT, FANOUT, queue_of
from service.broker.amqp_frames import Properties, frame_at
from service.broker.amqp_line import Line, Outgoing
from service.broker.amqp_publisher import AmqpPublisher
from service.broker.confirms import Outcome
from service.broker.publication import Publication
from tests.rabbit import local_rabbit
from tests.service.amqp_links import NOBODY, Consumer, Start, arrives, direct, exists
from tests.service.tcp_proxy import TcpProxy
from tests.waiting import eventually

CONFIRMED, RETURNED, FAILED = Outcome.CONFIRMED, Outcome.RETURNED, Outcome.FAILED


class FakeTap:
    """Keeps what is written."""

    paused = False
    blocked = ""

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.sinks: dict[int, Any] = {}

    def open(self, channel: int, sink: Any) -> None:
        self.sinks[channel] = sink

    def write(self, frames: bytes) -> None:
        self.writes.append(frames)


def outgoing(message_id: str, body: bytes = b"x", *, mandatory: bool = True) -> Outgoing:
    return Outgoing(
        FANOUT, "", mandatory, Properties(commands.Basic.Properties()), message_id, body
    )


@pytest.fixture
def tap() -> FakeTap:
    return FakeTap()


@pytest.fixture
def line(tap: FakeTap) -> Line:
    line = Line(tap, 3, 4096, "here:5672")  # type: ignore[arg-type]  # a fake
    assert tap.sinks == {3: line}
    return line


async def test_what_is_sent_together_is_one_write_and_one_future(tap: FakeTap, line: Line) -> None:
    sent = await line.send([outgoing("1"), outgoing("2", b"x" * 5000), outgoing("3", b"")], 5)
    [written] = tap.writes
    place = frames = 0
    while frame := frame_at(written, place):
        assert frame[1] == 3
        place, frames = frame[2], frames + 1
    assert (place, frames) == (len(written), 3 + 4 + 2)
    assert not sent.done()
    line.confirmed(3, multiple=True, taken=True)
    assert sent.result() == [CONFIRMED] * 3


async def test_what_cannot_be_written_is_not_counted(tap: FakeTap, line: Line) -> None:
    with pytest.raises(OverflowError):
        await line.send([outgoing("1"), outgoing("x" * 256)], 5)
    sent = await line.send([outgoing("2")], 5)
    line.confirmed(1, multiple=False, taken=True)
    assert sent.result() == [CONFIRMED]
    assert len(tap.writes) == 1


async def test_nothing_to_send_is_done_at_once(tap: FakeTap, line: Line) -> None:
    assert (await line.send([], 5)).result() == []
    assert tap.writes == []


async def test_without_confirms_it_is_given_up_in_time_and_told_once(
    line: Line, caplog: pytest.LogCaptureFixture
) -> None:
    sent = await line.send([outgoing("1"), outgoing("2")], 0.01)
    later = await line.send([outgoing("3")], 5)
    assert await sent == [FAILED] * 2
    assert [record.message for record in caplog.records] == [
        "RabbitMQ at here:5672 did not confirm 2 messages: no answer in time"
    ]
    line.confirmed(3, multiple=True, taken=True)
    assert later.result() == [CONFIRMED]


async def test_a_line_that_has_ended_fails_everything(
    tap: FakeTap, line: Line, caplog: pytest.LogCaptureFixture
) -> None:
    sent = await line.send([outgoing("1")], 5)
    line.end("the connection broke")
    assert sent.result() == [FAILED]
    assert (await line.send([outgoing("2"), outgoing("3")], 5)).result() == [FAILED] * 2
    assert len(tap.writes) == 1
    assert "did not confirm 2 messages: the connection broke" in caplog.text


async def test_who_has_given_up_harms_nobody(line: Line) -> None:
    sent = await line.send([outgoing("1")], 5)
    sent.cancel()
    later = await line.send([outgoing("2")], 5)
    line.confirmed(2, multiple=True, taken=True)
    assert later.result() == [CONFIRMED]


@pytest.mark.usefixtures("impatient")
async def test_a_broker_that_does_not_read_is_not_written_to_without_end(
    start: Start, amqp_proxy: TcpProxy
) -> None:
    publisher: AmqpPublisher = await start(AmqpPublisher(local_rabbit(port=amqp_proxy.port), "n"))
    tap = publisher._connected.tap
    big = b'{"content":"%s","allUser":false,"targetUserList":["nobody-here"]}' % (b"x" * 4_000_000)
    items = [Publication("fanout", "", f"big-{number}", big, (0,)) for number in range(12)]
    amqp_proxy.hang()
    sent = [await publisher.send([item]) for item in items]
    assert tap.paused
    # One that was begun while the broker still read, and no more.
    assert tap.writer.transport.get_write_buffer_size() < 2 * len(big)
    assert await asyncio.gather(*sent) == [[FAILED]] * len(items)
    amqp_proxy.flow()

    async def works_again() -> bool:
        return await publisher.publish([Publication("fanout", "", "x", NOBODY, (0,))]) == [
            CONFIRMED
        ]

    await eventually(works_again)
    assert amqp_proxy.connections == 1


async def test_a_refusal_by_the_broker_fails(
    amqp_port: int, start: Start, channel: AbstractChannel, publisher: AmqpPublisher
) -> None:
    # A queue that takes one message, and refuses what is more.
    name = queue_of("full")
    arguments: Any = {"x-max-length": 1, "x-overflow": "reject-publish"}
    queue = await channel.declare_queue(name, auto_delete=True, arguments=arguments)
    await queue.bind(DIRECT, routing_key="full")
    consumer: Consumer = await start(Consumer(amqp_port))
    outcomes = await publisher.publish(
        [direct("full", b"1"), direct("full", b"2"), direct(consumer.id, b"3"), direct("no", b"4")]
    )
    assert outcomes == [CONFIRMED, FAILED, CONFIRMED, RETURNED]
    await queue.delete(if_empty=False)
    await arrives(publisher, consumer)


async def test_a_channel_that_the_broker_closes_fails_what_is_under_way(
    start: Start, amqp_port: int, channel: AbstractChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher: AmqpPublisher = await start(AmqpPublisher(local_rabbit(port=amqp_port), "n"))
    monkeypatch.setattr("service.broker.amqp_publisher.FANOUT", "no-such-exchange")
    outcomes = await asyncio.wait_for(publisher.publish([direct("x", b"1")]), 3)
    assert outcomes == [RETURNED]
    item = Publication("fanout", "", "x", NOBODY, (0,))
    assert await asyncio.wait_for(publisher.publish([item]), 3) == [FAILED]
    monkeypatch.undo()
    await eventually(lambda: publisher.up)
    assert await publisher.publish([item]) == [CONFIRMED]


async def test_the_broker_sees_what_the_client_library_would_write(
    publisher: AmqpPublisher, channel: AbstractChannel
) -> None:
    queue = await channel.declare_queue(exclusive=True)
    await queue.bind(FANOUT)
    item = Publication("fanout", "", "an-id", NOBODY, (0,))
    assert await publisher.publish([item]) == [CONFIRMED]
    found = await queue.get(timeout=3)
    assert found is not None
    while found.message_id != "an-id":
        found = await queue.get(timeout=3)
    assert (found.body, found.content_type) == (NOBODY, "application/json")
    assert found.delivery_mode == aio_pika.DeliveryMode.NOT_PERSISTENT
    assert list(found.headers) == ["x-websocket-node", "x-websocket-number"]
    assert found.headers["x-websocket-number"] == 1
    assert not await exists(channel, "no-queue")

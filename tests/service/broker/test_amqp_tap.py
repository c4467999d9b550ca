"""The tap between the broker and the AMQP client: who gets which of the broker's bytes."""

import asyncio
import itertools
from typing import Any

import pamqp.frame
import pytest
from aiormq.connection import Connection
from hypothesis import given, settings
from hypothesis import strategies as st
from pamqp import commands
from pamqp.body import ContentBody
from pamqp.header import ContentHeader
from pamqp.heartbeat import Heartbeat

from service.broker import amqp
from service.broker.amqp_frames import HEARTBEAT_FRAME, ack_frame, read_properties
from service.broker.amqp_publisher import AmqpPublisher
from service.broker.amqp_tap import Tap
from tests.service.amqp_links import Consumer, Start, direct, fanout
from tests.waiting import eventually

MINE, OTHER = 1, 2


class Noting:
    """A sink that notes what it is given."""

    def __init__(self) -> None:
        self.got: list[Any] = []

    def delivered(self, tag: int, exchange: str, header: bytes, body: bytes) -> None:
        self.got.append((tag, exchange, read_properties(header)[0], body))

    def too_long(self, tag: int, exchange: str, size: int, beginning: bytes) -> None:
        self.got.append(("too long", tag, exchange, size, beginning))

    def returned(self, header: bytes) -> None:
        self.got.append(("returned", read_properties(header)[0]))

    def confirmed(self, tag: int, *, multiple: bool, taken: bool) -> None:
        self.got.append((tag, multiple, taken))


class Wire:
    """A tap on a wire that the test speaks on, and what its client reads."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.reader = asyncio.StreamReader(loop=loop)
        self.tap = Tap(self.reader, loop)
        self.mine = Noting()
        self.tap.open(MINE, self.mine)

    @property
    def for_client(self) -> bytes:
        """What the client has not read yet, without what says that the wire lives."""
        self.reader.feed_eof()
        return bytes(self.reader._buffer).replace(HEARTBEAT_FRAME, b"")  # type: ignore[attr-defined]  # asyncio's


def marshal(frame: Any, channel: int) -> bytes:
    return pamqp.frame.marshal(frame, channel)


def content(method: Any, message_id: str, pieces: list[bytes], channel: int) -> list[bytes]:
    size = sum(map(len, pieces))
    header = ContentHeader(0, size, commands.Basic.Properties(message_id=message_id))
    frames = [method, header, *map(ContentBody, pieces)]
    return [marshal(frame, channel) for frame in frames]


def message(tag: int, *pieces: bytes, channel: int = MINE) -> list[bytes]:
    deliver = commands.Basic.Deliver("consumer", tag, False, "exchange", "")
    return content(deliver, f"m{tag}", list(pieces), channel)


def came_back(message_id: str, channel: int = MINE) -> list[bytes]:
    return content(commands.Basic.Return(312, "NO_ROUTE", "e", "k"), message_id, [b"x"], channel)


# What the client must see, and what the sink must be given, in their order.
FOR_CLIENT = [
    marshal(commands.Queue.DeclareOk("q", 0, 0), MINE),
    marshal(Heartbeat(), 0),
    *message(7, b"of another channel", channel=OTHER),
    marshal(commands.Basic.Ack(1), OTHER),
    # Asked for by the client, on the sink's channel.
    *content(commands.Basic.GetOk(1, False, "e", "k", 0), "got", [b"got"], MINE),
    marshal(commands.Channel.Close(404, "NOT_FOUND", 0, 0), MINE),
]
FOR_SINK = [
    message(1, b"one"),
    message(2),
    message(3, b"of ", b"three ", b"pieces"),
    [marshal(commands.Basic.Ack(5, multiple=True), MINE)],
    [marshal(commands.Basic.Nack(6), MINE)],
    came_back("gone"),
]
TOLD = [
    (1, "exchange", "m1", b"one"),
    (2, "exchange", "m2", b""),
    (3, "exchange", "m3", b"of three pieces"),
    (5, True, True),
    (6, False, False),
    ("returned", "gone"),
]
# The client's frames come between the sink's, but not amid one of the sink's messages.
STREAM = b"".join(
    itertools.chain.from_iterable(
        [*sink, client]
        for sink, client in itertools.zip_longest(
            FOR_SINK,
            [
                b"".join(part)
                for part in (
                    FOR_CLIENT[:1],
                    FOR_CLIENT[1:2],
                    FOR_CLIENT[2:5],
                    FOR_CLIENT[5:6],
                    FOR_CLIENT[6:9],
                    FOR_CLIENT[9:],
                )
            ],
        )
    )
)


@settings(max_examples=60)
@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
async def test_each_gets_its_own_however_the_bytes_are_cut(cuts: list[int]) -> None:
    wire = Wire()
    for start, end in itertools.pairwise([0, *sorted(cuts), len(STREAM)]):
        wire.tap.data_received(STREAM[start:end])
    assert wire.mine.got == TOLD
    assert wire.for_client == b"".join(FOR_CLIENT).replace(HEARTBEAT_FRAME, b"")


async def test_byte_by_byte() -> None:
    wire = Wire()
    for place in range(len(STREAM)):
        wire.tap.data_received(STREAM[place : place + 1])
    assert wire.mine.got == TOLD
    assert wire.for_client == b"".join(FOR_CLIENT).replace(HEARTBEAT_FRAME, b"")


async def test_another_channels_frames_may_come_amid_a_message() -> None:
    wire = Wire()
    method, header, first, second = message(1, b"a", b"b")
    between = marshal(commands.Basic.Ack(1), OTHER)
    wire.tap.data_received(method + between + header + first + between + second)
    assert wire.mine.got == [(1, "exchange", "m1", b"ab")]
    assert wire.for_client == between * 2


async def test_what_comes_together_is_handed_over_at_once() -> None:
    wire = Wire()
    wire.tap.data_received(b"".join(b"".join(message(tag, b"x")) for tag in range(1, 101)))
    # No turn of the loop has passed: the Hub joins them to one write for each socket.
    assert len(wire.mine.got) == 100


async def test_the_client_hears_that_the_wire_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    wire = Wire()
    now = 10.0
    monkeypatch.setattr(wire.tap, "_now", lambda: now)
    for moment in (10.0, 10.1, 10.9, 11.0, 11.5, 12.1):
        now = moment
        wire.tap.data_received(b"".join(message(1, b"x")))
    wire.reader.feed_eof()
    assert await wire.reader.read() == HEARTBEAT_FRAME * 3


async def test_before_a_sink_there_is_and_for_no_amqp_everything_is_the_clients() -> None:
    loop = asyncio.get_running_loop()
    for data in (b"".join(message(1, b"x")), b"AMQP\0\0\x09\x01", b"HTTP/1.1 400 Bad Request\r\n"):
        reader = asyncio.StreamReader(loop=loop)
        tap = Tap(reader, loop)
        tap.data_received(data)
        tap.data_received(b"more, and no frame")
        reader.feed_eof()
        assert await reader.read() == data + b"more, and no frame"


async def test_once_closed_it_hands_nothing_over() -> None:
    wire = Wire()
    method, *rest = message(1, b"x")
    wire.tap.data_received(method)
    wire.tap.close()
    wire.tap.data_received(b"".join([*rest, *message(2, b"y")]))
    assert wire.mine.got == []
    assert wire.for_client == b"".join([*rest, *message(2, b"y")])


async def test_after_what_is_no_frame_nothing_is_held_back() -> None:
    wire = Wire()
    broken = b"".join(message(1, b"x"))[:-1] + b"?"
    wire.tap.data_received(broken)
    wire.tap.data_received(b"rest")
    assert wire.mine.got == []
    assert wire.for_client.endswith(broken[-9:] + b"rest")


async def test_a_busy_connection_outlives_the_clients_patience(
    amqp_port: int, start: Start, publisher: AmqpPublisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The client gives a connection up when it has read nothing for a second.
    monkeypatch.setattr(amqp, "HEARTBEAT", 1)
    monkeypatch.setattr(Connection, "HEARTBEAT_GRACE_MULTIPLIER", 0.75)
    consumer: Consumer = await start(Consumer(amqp_port))
    connection = consumer._connection
    loop = asyncio.get_running_loop()
    end = loop.time() + 3.5
    while loop.time() < end:
        await publisher.publish([direct(consumer.id, b"x"), fanout()])
        await asyncio.sleep(0.01)
    assert consumer.up
    assert consumer._connection is connection
    assert len(consumer.got) > 10


async def test_frames_are_written_between_the_clients(amqp_port: int, start: Start) -> None:
    consumer: Consumer = await start(Consumer(amqp_port))
    connection = consumer._connected
    channel = await connection.channel(publisher_confirms=False)

    async def declare(number: int) -> None:
        name = f"tap-{consumer.id}-{number}"
        queue = await channel.declare_queue(name, auto_delete=True, exclusive=True)
        await queue.delete()

    tasks = [asyncio.create_task(declare(number)) for number in range(30)]
    while not all(task.done() for task in tasks):
        # An acknowledgement of all that is outstanding, which is nothing.
        connection.tap.write(ack_frame(consumer._number, 0))
        await asyncio.sleep(0)
    await asyncio.gather(*tasks)
    assert consumer.up


async def test_a_tap_of_a_connection_that_is_gone_writes_nothing(
    amqp_port: int, start: Start
) -> None:
    consumer: Consumer = await start(Consumer(amqp_port))
    connection = consumer._connected
    await connection.close()
    connection.tap.write(ack_frame(1, 1))
    await eventually(lambda: consumer.up and consumer._connection is not connection)

"""How a Connection ends, and what may wait for a client that reads slowly."""

import asyncio
import struct

import pytest
from websockets.frames import Close, Frame, Opcode

from service import metrics
from service.clients import wire
from service.clients.frames import Message
from tests.service.raw_clients import Client, House
from tests.waiting import eventually

MUCH = 70_000
"""Bytes beyond the transport's high-water mark."""


@pytest.fixture
async def house() -> House:
    return House(asyncio.get_running_loop())


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "CLOSE_TIMEOUT", 0.01)


async def push(house: House, size: int, *targets: str) -> None:
    """Push a plain string of so many bytes, and let the turn end."""
    house.hub.deliver(Message("id", b'"%s"' % (b"x" * size)), targets or None)
    await asyncio.sleep(0)


def stuck(house: House) -> Client:
    """Give a client that stops reading once it has started."""
    client = house.started()
    client.transport.stuck = True
    return client


def slow_clients() -> float:
    return float(metrics.SLOW_CLIENTS._value.get())


# The end.


@pytest.mark.parametrize(
    ("sent", "echoed"),
    [
        (struct.pack("!H", 1000), Close(1000, "")),
        (struct.pack("!H", 1001) + "ü".encode(), Close(1001, "ü")),
        (struct.pack("!H", 3000) + b"x" * 123, Close(3000, "x" * 123)),
        (struct.pack("!H", 4999), Close(4999, "")),
        # No code: 1005 stands for that, and is not sent (RFC 6455, section 7.1.5).
        (b"", Close(1005, "")),
    ],
)
async def test_a_clients_close_is_echoed_and_the_server_closes(
    house: House, sent: bytes, echoed: Close
) -> None:
    client = house.started()
    client.frame(Opcode.CLOSE, sent)
    assert len(house.hub) == 0
    [frame] = client.frames()
    assert frame == Frame(Opcode.CLOSE, sent)
    assert Close.parse(frame.data) == echoed
    assert client.transport.is_closing()
    # Nothing goes behind a close.
    await push(house, 10)
    assert client.frames() == []


async def test_closing_says_why_and_forgets_the_client_at_once(house: House) -> None:
    client = house.started()
    client.connection.close(4403, "disconnected by the API")
    assert len(house.hub) == 0
    assert house.changes == ["alice", "alice"]
    assert client.closed() == Close(4403, "disconnected by the API")
    assert not client.transport.is_closing()
    # The client's answer ends it; pings and texts before it are passed over.
    client.text(b"ping")
    client.frame(Opcode.CLOSE, struct.pack("!H", 4403))
    assert client.transport.is_closing()
    assert client.texts() == []
    await asyncio.sleep(0)
    client.connection.close(1000, "again")
    client.transport.lose()
    assert house.changes == ["alice", "alice"]


@pytest.mark.usefixtures("soon")
async def test_a_client_that_never_answers_a_close_is_ended(house: House) -> None:
    client = house.started()
    client.connection.close(4001, "")
    await eventually(lambda: client.transport.aborted)


@pytest.mark.usefixtures("soon")
async def test_a_client_that_answers_is_not_aborted(house: House) -> None:
    client = house.started()
    client.connection.close(4001, "")
    client.frame(Opcode.CLOSE, struct.pack("!H", 4001))
    timer = asyncio.get_running_loop().time() + 0.05
    await eventually(lambda: asyncio.get_running_loop().time() > timer)
    assert client.transport.lost
    assert not client.transport.aborted


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize("sent", [b"\x88\x80\0\0\0\0", b"\x81\x81\0\0\0\0\xff"])
async def test_a_client_that_ends_but_does_not_read_is_ended(house: House, sent: bytes) -> None:
    client = stuck(house)
    await push(house, MUCH)
    client.send(sent)
    assert client.transport.is_closing()
    assert not client.transport.lost
    await eventually(lambda: client.transport.aborted)


@pytest.mark.usefixtures("soon")
async def test_a_client_that_is_refused_but_does_not_close_is_ended(house: House) -> None:
    house.door.draining = True
    client = house.client()
    await eventually(lambda: client.transport.aborted)


async def test_the_end_of_the_stream_is_the_end_of_the_client(house: House) -> None:
    client = house.started()
    assert not client.connection.eof_received()  # type: ignore[func-returns-value]  # asyncio's question
    assert len(house.hub) == 0
    assert client.transport.is_closing()


@pytest.mark.parametrize("started", [True, False])
async def test_a_client_lost_without_a_word_is_forgotten(house: House, started: bool) -> None:
    client = house.started() if started else house.client()
    client.transport.lose()
    assert len(house.hub) == 0
    # Whoever still holds it may start it, write to it, ping it or close it.
    house.writes.done()
    connection = client.connection
    connection.write(b"x")
    connection.ping(1.0)
    connection.close(4001, "")
    await push(house, 10, "alice")
    assert not connection.open


async def test_a_client_that_closes_before_it_is_started_is_not_started(house: House) -> None:
    client = house.client()
    client.frame(Opcode.CLOSE, b"")
    house.writes.done()
    assert [frame.opcode for frame in client.frames()] == [Opcode.CLOSE]
    assert not client.connection.open


async def test_a_client_closed_before_it_is_started_is_told_so(house: House) -> None:
    client = house.client()
    client.connection.close(4001, "leaving")
    house.writes.done()
    assert [frame.opcode for frame in client.frames()] == [Opcode.CLOSE]


# Slow clients.


async def test_a_client_that_reads_slowly_is_kept_up_to_the_limit_and_closed_beyond(
    house: House,
) -> None:
    house.limit(send_buffer=2 * MUCH)
    before = slow_clients()
    client = stuck(house)
    await push(house, MUCH)
    await push(house, MUCH - 1000)
    assert len(house.hub) == 1
    await push(house, 2000)
    assert len(house.hub) == 0
    assert slow_clients() == before + 1
    frames = client.frames()
    assert [len(frame.data) for frame in frames[:-1]] == [MUCH, MUCH - 1000]
    assert Close.parse(frames[-1].data).code == 4008
    # Counted once, whatever comes.
    await push(house, 2000)
    assert slow_clients() == before + 1


async def test_a_client_that_has_caught_up_starts_anew(house: House) -> None:
    house.limit(send_buffer=MUCH + 1000)
    client = stuck(house)
    for _ in range(3):
        await push(house, MUCH)
        assert client.connection._paused
        client.transport.drain()
        assert not client.connection._paused
    assert len(house.hub) == 1
    assert len(client.frames()) == 3


async def test_the_limit_is_in_force_at_once(house: House) -> None:
    client = stuck(house)
    await push(house, MUCH)
    house.limit(send_buffer=MUCH)
    await push(house, 10)
    assert len(house.hub) == 0
    assert Close.parse(client.frames()[-1].data).code == 4008


async def test_a_slow_client_costs_the_others_nothing(house: House) -> None:
    house.limit(send_buffer=MUCH)
    slow, quick = stuck(house), house.started("/websocket/bob")
    for _ in range(3):
        await push(house, MUCH)
    assert len(quick.frames()) == 3
    assert list(house.hub.sockets) == [quick.connection]
    assert slow.connection.open is False


@pytest.mark.parametrize("frame", [(Opcode.PING, b"x" * 125), (Opcode.TEXT, b"ping")])
async def test_a_client_cannot_have_answers_pile_up(
    house: House, frame: tuple[Opcode, bytes]
) -> None:
    house.limit(send_buffer=MUCH)
    before = slow_clients()
    client = stuck(house)
    sent = Frame(*frame).serialize(mask=True) * 100
    while len(house.hub):
        client.send(sent)
        assert client.transport.get_write_buffer_size() < 3 * MUCH
    assert slow_clients() == before + 1
    assert Close.parse(client.frames()[-1].data).code == 4008
    # Nor while it has been told to go.
    for _ in range(50):
        if not client.transport.lost:
            client.send(sent)
            await asyncio.sleep(0)
    assert client.transport.get_write_buffer_size() < 4 * MUCH


@pytest.mark.parametrize("over", [1000, 10 * MUCH])
async def test_who_reads_on_in_time_sees_why_it_was_closed_however_much_waits(
    house: House, over: int
) -> None:
    house.limit(send_buffer=MUCH)
    client = stuck(house)
    # One turn's messages are taken whole.
    await push(house, MUCH + over)
    assert len(house.hub) == 1
    await push(house, 10)
    assert len(house.hub) == 0
    assert not client.transport.aborted
    first, last = client.frames()
    assert len(first.data) == MUCH + over
    assert Close.parse(last.data).code == 4008
    # Answers to what it still sends do not pile up.
    sent = Frame(Opcode.PING, b"x" * 125).serialize(mask=True) * 100
    for _ in range(50):
        if not client.transport.lost:
            client.send(sent)
            await asyncio.sleep(0)
    assert client.transport.aborted
    assert client.transport.get_write_buffer_size() < 3 * MUCH + over


# Slow clients whose oldest messages are dropped.


def dropped() -> float:
    return float(metrics.MESSAGES_DROPPED._value.get())


def numbers(frames: list[Frame]) -> list[bytes]:
    return [bytes(frame.data[:3]) for frame in frames]


async def push_number(house: House, number: int, size: int) -> None:
    content = b"%03d" % number + b"x" * (size - 3)
    house.hub.deliver(Message("id", b'"%s"' % content), None)
    await asyncio.sleep(0)


async def test_the_oldest_messages_are_dropped_for_a_client_that_does_not_read(
    house: House,
) -> None:
    house.limit(send_buffer=10_000, slow_client="drop-oldest")
    before, closed = dropped(), slow_clients()
    client, quick = stuck(house), house.started("/websocket/bob")
    for number in range(30):
        await push_number(house, number, 1000)
        assert client.transport.get_write_buffer_size() <= 1100
    assert len(house.hub) == 2
    assert numbers(quick.frames()) == [b"%03d" % number for number in range(30)]
    # The first is with the transport; of the others as many as there is room for.
    assert dropped() - before == 21
    assert numbers(client.frames()) == [b"000"]
    client.transport.stuck = False
    client.transport.drain()
    assert numbers(client.frames()) == [b"%03d" % number for number in range(22, 30)]
    await push_number(house, 30, 1000)
    assert numbers(client.frames()) == [b"030"]
    assert (dropped() - before, slow_clients() - closed) == (21, 0)


async def test_control_frames_do_not_wait_behind_messages(house: House) -> None:
    house.limit(send_buffer=10_000, slow_client="drop-oldest")
    client = stuck(house)
    for number in range(5):
        await push_number(house, number, 1000)
    client.connection.ping(1.0)
    client.frame(Opcode.PING, b"?")
    client.text(b"ping")
    opcodes = [frame.opcode for frame in client.frames()]
    assert opcodes == [Opcode.TEXT, Opcode.PING, Opcode.PONG]
    client.transport.stuck = False
    client.transport.drain()
    assert client.texts()[-1] == b"pong"
    # Nor do they pile up.
    client.transport.stuck = True
    sent = Frame(Opcode.PING, b"x" * 125).serialize(mask=True) * 20
    while len(house.hub):
        client.send(sent)
        assert client.transport.get_write_buffer_size() < 20_000
    assert Close.parse(client.frames()[-1].data).code == 4008


async def test_who_is_closed_while_messages_wait_gets_them_first(house: House) -> None:
    house.limit(send_buffer=10_000, slow_client="drop-oldest")
    client = stuck(house)
    for number in range(4):
        await push_number(house, number, 1000)
    client.connection.close(4001, "leaving")
    *messages, last = client.frames()
    assert numbers(messages) == [b"000", b"001", b"002", b"003"]
    assert Close.parse(last.data).code == 4001


async def test_what_slow_client_says_holds_for_the_next_message(house: House) -> None:
    house.limit(send_buffer=10_000, slow_client="drop-oldest")
    client = stuck(house)
    for number in range(20):
        await push_number(house, number, 1000)
    client.frames()
    house.limit(send_buffer=10_000)
    await push_number(house, 20, 1000)
    assert len(house.hub) == 0
    # It is told at once; what waited would hold that up.
    [last] = client.frames()
    assert Close.parse(last.data).code == 4008


async def test_a_client_that_can_resume_is_closed_instead(house: House) -> None:
    house.limit(send_buffer=10_000, slow_client="drop-oldest")
    before = dropped()
    client = house.started(subprotocols=["cluster.v1"])
    client.transport.stuck = True
    for number in range(20):
        await push_number(house, number, 1000)
    assert Close.parse(client.frames()[-1].data).code == 4008
    assert dropped() == before

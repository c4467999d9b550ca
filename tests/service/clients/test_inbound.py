"""What clients send, in whichever pieces it comes."""

import asyncio
import itertools

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.frames import Close, CloseCode, Frame, Opcode

from service import metrics
from service.clients.frames import Message
from tests.service.raw_clients import Client, House

TEXT, BINARY, CONT = Opcode.TEXT, Opcode.BINARY, Opcode.CONT
PING, PONG = Opcode.PING, Opcode.PONG


@pytest.fixture
async def house() -> House:
    return House(asyncio.get_running_loop())


def sent(opcode: Opcode, data: bytes = b"", *, fin: bool = True) -> bytes:
    return Frame(opcode, data, fin).serialize(mask=True)


def ignored() -> float:
    return float(metrics.CLIENT_MESSAGES_IGNORED._value.get())


async def test_a_client_has_a_reader_only_while_it_is_amid_something(house: House) -> None:
    client = house.started()
    connection = client.connection
    client.send(sent(TEXT, b"ping") + sent(PING, b"x") + sent(PONG) + sent(BINARY))
    assert connection._reader is None
    assert client.frames() == [Frame(TEXT, b"pong"), Frame(PONG, b"x")]
    long = sent(TEXT, b"x" * 200)
    for data, needed in (
        (long, False),
        (long[:100], True),
        (long[100:], False),
        (sent(TEXT, b"pi", fin=False), True),
        (sent(PING, b"y"), True),
        (sent(CONT, b"ng"), False),
        (sent(TEXT, b"ping")[:3], True),
        (sent(TEXT, b"ping")[:0] + b"k", True),
    ):
        client.send(data)
        assert (connection._reader is not None) == needed
    assert client.frames() == [Frame(PONG, b"y"), Frame(TEXT, b"pong")]


async def test_a_text_within_a_message_in_fragments_ends_the_connection(house: House) -> None:
    client = house.started()
    client.send(sent(TEXT, b"pi", fin=False))
    client.send(sent(TEXT, b"ping"))
    close = client.closed()
    assert close is not None
    assert close.code == CloseCode.PROTOCOL_ERROR
    assert len(house.hub) == 0


@pytest.mark.parametrize("whole", [True, False])
async def test_a_text_that_is_not_utf8_ends_the_connection_behind_the_answers_before_it(
    house: House, whole: bool
) -> None:
    client = house.started()
    data = sent(TEXT, b"ping") + sent(TEXT, b"\xff") + sent(TEXT, b"ping")
    for piece in [data] if whole else [data[:20], data[20:]]:
        client.send(piece)
    answer, close = client.frames()
    assert answer == Frame(TEXT, b"pong")
    assert Close.parse(close.data).code == CloseCode.INVALID_DATA
    assert client.transport.is_closing()
    assert len(house.hub) == 0


async def test_binary_messages_are_ignored_and_counted(house: House) -> None:
    client = house.started()
    before = ignored()
    client.send(sent(BINARY, b"ping"))
    client.send(sent(BINARY, b"\xff", fin=False))
    client.send(sent(CONT, b"ping"))
    assert client.frames() == []
    assert ignored() == before + 2
    assert not client.transport.is_closing()


async def test_before_it_is_let_in_a_client_gets_pongs_at_once_and_the_rest_in_order(
    house: House,
) -> None:
    client = house.client()
    client.send(sent(TEXT, b"ping") + sent(PING, b"x"))
    assert client.frames() == [Frame(PONG, b"x")]
    house.hub.deliver(Message("id", b"1"), None)
    house.writes.done()
    await asyncio.sleep(0)
    assert client.texts() == [b"pong", b"pong", b"1"]


async def test_one_that_was_told_to_go_is_answered_no_more(house: House) -> None:
    client = house.started()
    client.connection.close(4001, "")
    client.send(sent(TEXT, b"ping"))
    assert [frame.opcode for frame in client.frames()] == [Opcode.CLOSE]


FRAMES = st.lists(
    st.one_of(
        st.tuples(st.sampled_from([PING, PONG]), st.binary(max_size=125)),
        st.tuples(st.just(BINARY), st.binary(max_size=300)),
        st.tuples(st.just(TEXT), st.sampled_from([b"ping", b"", b"x" * 130, "ü".encode()])),
    ),
    max_size=10,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(frames=FRAMES, places=st.lists(st.integers(0, 3000), max_size=6), data=st.data())
async def test_the_pieces_in_which_bytes_come_make_no_difference(
    house: House, frames: list[tuple[Opcode, bytes]], places: list[int], data: st.DataObject
) -> None:
    stream = b""
    for opcode, payload in frames:
        cut = data.draw(st.integers(-len(payload), len(payload)))
        if opcode in {TEXT, BINARY} and cut > 0:
            stream += sent(opcode, payload[:cut], fin=False) + sent(CONT, payload[cut:])
        else:
            stream += sent(opcode, payload)
    cuts = sorted({0, len(stream), *(place % (len(stream) + 1) for place in places)})
    client: Client = house.started()
    for start, end in itertools.pairwise(cuts):
        client.send(stream[start:end])
    answers = client.frames()
    pongs = [frame.data for frame in answers if frame.opcode is PONG]
    texts = [frame.data for frame in answers if frame.opcode is TEXT]
    assert pongs == [payload for opcode, payload in frames if opcode is PING]
    assert texts == [b"pong" for frame in frames if frame == (TEXT, b"ping")]
    assert len(answers) == len(pongs) + len(texts)
    assert client.connection._reader is None
    client.connection.close(1000, "")


def limited(limit: str) -> float:
    return float(metrics.LIMITED.labels(limit)._value.get())


@pytest.mark.parametrize("size", [4, 300])
@pytest.mark.parametrize("at_once", [True, False])
async def test_a_client_that_sends_too_fast_is_closed(
    house: House, size: int, at_once: bool
) -> None:
    house.limit(messages_per_second=1, message_burst=10)
    before = limited("messages-per-second")
    client, calm = house.started(), house.started("/websocket/calm")
    frame = sent(TEXT, b"x" * size)
    for _ in range(10):
        client.send(frame)
    assert client.connection.open
    for data in [frame * 20] if at_once else [frame] * 20:
        client.send(data)
    close = client.closed()
    assert close is not None
    assert (close.code, client.connection.open) == (4429, False)
    assert limited("messages-per-second") == before + 1
    calm.text(b"ping")
    assert calm.texts() == [b"pong"]


async def test_the_pace_of_clients_changes_at_once(house: House) -> None:
    client = house.started()
    client.send(sent(PING) * 5000)
    house.limit(messages_per_second=1, message_burst=3)
    # What came before does not count.
    client.send(sent(PING) * 3)
    assert client.connection.open
    house.limit(messages_per_second=0)
    for _ in range(10):
        client.send(sent(PING) * 5000)
        client.transport.drain()
    assert client.connection.open
    house.limit(messages_per_second=1, message_burst=3)
    for _ in range(4):
        client.send(sent(PONG))
    assert not client.connection.open


async def test_a_message_that_is_too_long_is_counted(house: House) -> None:
    house.limit(max_message=200)
    before = limited("max-message")
    client = house.started()
    client.send(sent(TEXT, b"x" * 150, fin=False) + sent(CONT, b"x" * 51))
    close = client.closed()
    assert close is not None
    assert close.code == CloseCode.MESSAGE_TOO_BIG
    assert limited("max-message") == before + 1

"""What an accepted client may send: never a fault, and what the websockets library makes of it."""

import asyncio
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.frames import Close, Frame, Opcode
from websockets.protocol import State
from websockets.server import ServerProtocol

from tests.e2e.conformance_cases import frame
from tests.fuzz.splits import PLACES, pieces
from tests.service.raw_clients import Client, House

MAX_MESSAGE = 300
NOT_TEXT = 1007


@dataclass
class Answers:
    """What a server says: how many `pong` texts, which pongs, which close code."""

    texts: int = 0
    pongs: list[bytes] = field(default_factory=list)
    code: int | None = None


def by_library(data: bytes) -> Answers:
    """Give what the library says, with `ping` answered and texts held to UTF-8 as the node does."""
    protocol = ServerProtocol(state=State.OPEN, max_size=MAX_MESSAGE)
    protocol.receive_data(data)
    found, opcode, message = Answers(), Opcode.TEXT, b""
    for event in protocol.events_received():
        assert isinstance(event, Frame)
        if event.opcode is Opcode.PING:
            found.pongs.append(bytes(event.data))
        if event.opcode in {Opcode.TEXT, Opcode.BINARY}:
            opcode, message = event.opcode, b""
        if event.opcode in {Opcode.TEXT, Opcode.BINARY, Opcode.CONT}:
            message += event.data
            if event.fin and opcode is Opcode.TEXT:
                try:
                    found.texts += message.decode() == "ping"
                except UnicodeDecodeError:
                    found.code = NOT_TEXT
                    return found
    if protocol.close_sent is not None:
        found.code = protocol.close_sent.code
    return found


def broken_behind(data: bytes) -> bool:
    """Tell whether the library has a fault, or the client a close, to tell of as well."""
    protocol = ServerProtocol(state=State.OPEN, max_size=MAX_MESSAGE)
    protocol.receive_data(data)
    return protocol.close_sent is not None


def said(client: Client) -> Answers:
    """Give what the node has said, read byte by byte so that no parser repairs it."""
    data, found = client.transport.sent, Answers()
    data = data[data.index(b"\r\n\r\n") + 4 :]
    assert data.startswith(b"\x81\x04pong")
    place = 6
    while place < len(data):
        assert found.code is None, "something behind the close"
        head, size = data[place], data[place + 1]
        assert size < 126
        payload = data[place + 2 : place + 2 + size]
        place += 2 + size
        if head == 0x81:
            assert payload == b"pong"
            found.texts += 1
        elif head == 0x8A:
            found.pongs.append(payload)
        else:
            assert head == 0x88
            found.code = Close.parse(payload).code if payload else 1005
    assert place == len(data)
    return found


@pytest.fixture
async def house() -> House:
    return House(asyncio.get_running_loop(), max_message=MAX_MESSAGE)


def given_to(house: House, data: bytes, places: list[int]) -> Client:
    client: Client = house.started()
    for piece in pieces(data, places):
        client.send(piece)
    return client


fixed = settings(
    max_examples=max(300, settings().max_examples),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

payloads = st.sampled_from([b"", b"ping", b"pi", b"ng", "€".encode(), b"\xff", b"\x03\xe8"]) | (
    st.binary(max_size=130) | st.binary(min_size=290, max_size=310)
)
odd_frames = st.builds(
    frame,
    st.integers(0, 15),
    payloads,
    fin=st.booleans(),
    rsv=st.sampled_from([0, 0, 0, 0, 1, 2, 4]),
    masked=st.sampled_from([True, True, True, True, True, False]),
    form=st.sampled_from([None, None, None, 64]),
    length=st.sampled_from([None] * 8 + [2**40, 2**63, 2**64 - 1]).filter(lambda n: n is None),
)
likely_frames = st.builds(
    frame,
    st.sampled_from([0, 0, 1, 1, 2, 9, 10]),
    payloads.filter(lambda payload: len(payload) < 126),
    fin=st.sampled_from([True, True, False]),
    masked=st.sampled_from([True] * 15 + [False]),
)
close_frames = st.builds(frame, st.just(8), payloads.filter(lambda payload: len(payload) < 126))
streams = st.lists(likely_frames | likely_frames | odd_frames | close_frames, max_size=12).map(
    b"".join
)


def check(house: House, data: bytes, places: list[int]) -> None:
    client = given_to(house, data, places)
    expected, found = by_library(data), said(client)
    if NOT_TEXT in {expected.code, found.code}:
        # What is behind the bad text may have been read, or not, when it is refused.
        assert found.code is not None
        assert found.code == NOT_TEXT or broken_behind(data)
        assert found.texts <= expected.texts
    else:
        assert found == expected
    assert len(house.hub) == (1 if found.code is None else 0)
    assert (found.code is None) == (not client.transport.is_closing())
    client.connection.close(1000, "")


@fixed
@given(data=streams, places=PLACES)
async def test_frames_right_and_wrong_in_any_pieces(
    house: House, data: bytes, places: list[int]
) -> None:
    check(house, data, places)


@fixed
@given(data=st.binary(max_size=600), places=PLACES)
async def test_any_bytes_in_any_pieces(house: House, data: bytes, places: list[int]) -> None:
    check(house, data, places)


@fixed
@given(data=streams, place=st.integers(0, 2**20), other=st.integers(0, 255), places=PLACES)
async def test_frames_with_one_byte_changed(
    house: House, data: bytes, place: int, other: int, places: list[int]
) -> None:
    if data:
        place %= len(data)
        data = data[:place] + bytes((other,)) + data[place + 1 :]
    check(house, data, places)

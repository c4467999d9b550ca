"""The Reader: frames of a client put together, and whether it is still needed."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.server import ServerProtocol

from service.clients.reader import Reader

TEXT, BINARY, CONT = Opcode.TEXT, Opcode.BINARY, Opcode.CONT
PING, PONG = Opcode.PING, Opcode.PONG


def reader() -> Reader:
    return Reader(ServerProtocol(state=State.OPEN, max_size=2**20))


def messages(reader: Reader, data: bytes) -> list[tuple[Opcode, bytes]]:
    found = [reader.take(frame) for frame in reader.read(data) if isinstance(frame, Frame)]
    return [message for message in found if message is not None]


def sent(opcode: Opcode, data: bytes, *, fin: bool = True) -> bytes:
    return Frame(opcode, data, fin).serialize(mask=True)


@pytest.mark.parametrize(
    "parts", [[b"pi", b"ng"], [b"p", b"i", b"n", b"g"], [b"", b"ping"], [b"ping", b""]]
)
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_fragments_are_put_together(parts: list[bytes], opcode: Opcode) -> None:
    client = reader()
    first, *middle, last = parts
    assert messages(client, sent(opcode, first, fin=False)) == []
    for part in middle:
        assert messages(client, sent(CONT, part, fin=False)) == []
        assert messages(client, sent(PING, b"amid")) == []
        assert not client.between_messages
    assert messages(client, sent(CONT, last)) == [(opcode, b"ping")]
    assert client.between_messages
    # And the next message starts anew.
    assert messages(client, sent(TEXT, b"x")) == [(TEXT, b"x")]


def test_empty_fragments_take_no_room() -> None:
    client = reader()
    messages(client, sent(TEXT, b"", fin=False))
    for _ in range(1000):
        messages(client, sent(CONT, b"", fin=False))
    # They do not count against the size limit, so they must not add up.
    assert len(client._fragments) == 1
    assert messages(client, sent(CONT, b"ping")) == [(TEXT, b"ping")]


@pytest.mark.parametrize("length", [0, 1, 125, 126, 127, 65_535, 65_536, 70_000])
def test_it_is_needed_until_the_last_byte_of_a_frame(length: int) -> None:
    client = reader()
    data = sent(TEXT, b"x" * length)
    for place in (1, 2, 5, len(data) - 1):
        if place < len(data):
            messages(client, data[:place])
            assert not client.between_messages
            messages(client, data[place:])
        assert client.between_messages
    messages(client, data * 3)
    assert client.between_messages


def test_a_length_in_a_longer_form_than_it_needs_keeps_it() -> None:
    client = reader()
    # 126 stands for the two bytes that follow; websockets reads that, RFC 6455 forbids it.
    assert messages(client, b"\x81\xfe\x00\x01\0\0\0\0x") == [(TEXT, b"x")]
    assert not client.between_messages
    assert messages(client, sent(TEXT, b"y")) == [(TEXT, b"y")]
    assert not client.between_messages


FRAMES = st.tuples(st.sampled_from([TEXT, BINARY, PING, PONG]), st.binary(max_size=125))


@given(st.lists(FRAMES, max_size=8), st.lists(st.integers(0, 1000), max_size=8))
def test_wherever_it_is_not_needed_a_new_one_reads_on_as_well(
    frames: list[tuple[Opcode, bytes]], places: list[int]
) -> None:
    data = b"".join(sent(opcode, payload) for opcode, payload in frames)
    cuts = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    client, found = reader(), []
    for start, end in itertools.pairwise(cuts):
        if client.between_messages:
            client = reader()
        found += messages(client, data[start:end])
    assert found == [frame for frame in frames if frame[0] in {TEXT, BINARY}]
    assert client.between_messages

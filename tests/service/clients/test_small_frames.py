"""Short frames, against the parser of the websockets library."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.server import ServerProtocol

from service.clients.small_frames import read_small_frames

SMALL = st.tuples(
    st.sampled_from([Opcode.TEXT, Opcode.BINARY, Opcode.PING, Opcode.PONG]),
    st.binary(max_size=125),
)


def by_library(data: bytes) -> list[tuple[int, bytes]] | None:
    """Give the frames, None where something is left over or against the rules."""
    protocol = ServerProtocol(state=State.OPEN)
    protocol.receive_data(data)
    if protocol.state is not State.OPEN:
        return None
    frames = [frame for frame in protocol.events_received() if isinstance(frame, Frame)]
    size = sum(len(frame.serialize(mask=True)) for frame in frames)
    return [(frame.opcode, bytes(frame.data)) for frame in frames] if size == len(data) else None


@given(st.lists(SMALL, max_size=5))
def test_any_number_of_them_is_read(frames: list[tuple[Opcode, bytes]]) -> None:
    data = b"".join(Frame(opcode, payload).serialize(mask=True) for opcode, payload in frames)
    assert read_small_frames(data) == by_library(data) == frames
    # A part of one is not.
    for place in range(1, len(data)):
        found = read_small_frames(data[:place])
        assert found is None or found == by_library(data[:place])


@pytest.mark.parametrize(
    "data",
    [
        Frame(Opcode.TEXT, b"x" * 126).serialize(mask=True),
        Frame(Opcode.TEXT, b"x", fin=False).serialize(mask=True),
        Frame(Opcode.CONT, b"x").serialize(mask=True),
        Frame(Opcode.CLOSE, b"").serialize(mask=True),
        Frame(Opcode.TEXT, b"ping").serialize(mask=False),
        # Reserved bits, reserved opcodes, a control frame in fragments.
        *(bytes((head, 0x80)) + b"mask" for head in (0xC1, 0xA1, 0x91, 0x83, 0x8B, 0x09, 0x0A)),
        b"\x81\xfe\x00\x01maskx",
        b"\x81\xff" + bytes(7) + b"\x01maskx",
        b"\x81",
    ],
)
def test_what_is_longer_or_otherwise_is_left_to_the_library(data: bytes) -> None:
    assert read_small_frames(data) is None
    small = Frame(Opcode.PONG, b"").serialize(mask=True)
    assert read_small_frames(small + data) is None
    assert read_small_frames(small) == [(Opcode.PONG, b"")]


@given(st.binary(max_size=40))
@example(b"\x81\x80abcd\x8a\x81abcd\x00")
def test_nothing_is_taken_that_the_library_would_refuse(data: bytes) -> None:
    found = read_small_frames(data)
    assert found is None or found == by_library(data)


@given(st.lists(st.sampled_from(sorted(b"\x81\x82\x89\x8a\x88\x80\x83\x01\x00\xfe")), max_size=30))
def test_nothing_is_taken_that_the_library_would_refuse_of_what_looks_alike(
    data: list[int],
) -> None:
    found = read_small_frames(bytes(data))
    assert found is None or found == by_library(bytes(data))

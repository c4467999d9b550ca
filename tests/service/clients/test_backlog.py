"""What waits for a slow client: whole frames, in their order, the oldest dropped first."""

import random

import pytest
from websockets.frames import Frame, Opcode

from service.clients.backlog import Backlog, frame_end


def frame(number: int, size: int) -> bytes:
    return Frame(Opcode.TEXT, b"%06d" % number + b"x" * size).serialize(mask=False)


SIZES = (0, 100, 119, 120, 121, 5000, 65_529, 65_530, 70_000)
"""With six digits in front: lengths of one, two and eight bytes, and their bounds."""


@pytest.mark.parametrize("size", SIZES)
def test_where_a_frame_ends(size: int) -> None:
    first, second = frame(1, size), frame(2, size)
    data = first + second
    assert frame_end(data, 0) == 0
    for at in (1, 2, len(first) - 1, len(first)):
        assert frame_end(data, at) == len(first)
    assert frame_end(data, len(first) + 1) == len(data)
    assert frame_end(memoryview(data), len(data)) == len(data)


def read(data: bytes) -> list[int]:
    """Give the numbers of the frames; they must be whole."""
    numbers, at = [], 0
    while at < len(data):
        end = frame_end(data, at + 1, at)
        assert end <= len(data)
        head = {126: 4, 127: 10}.get(data[at + 1], 2)
        numbers.append(int(data[at + head : at + head + 6]))
        at = end
    return numbers


def test_frames_are_taken_whole_and_in_order() -> None:
    backlog = Backlog()
    frames = [frame(number, size) for number, size in enumerate(SIZES)]
    backlog.add(b"".join(frames[:4]))
    backlog.add(b"")
    backlog.add(memoryview(b"".join(frames[4:])))
    assert backlog.size == sum(map(len, frames))
    out = b""
    while backlog.size:
        out += backlog.take(200)
    assert out == b"".join(frames)


def test_the_oldest_are_dropped_and_no_more_than_needed() -> None:
    rng = random.Random(1)  # noqa: S311 - no secret
    for _ in range(300):
        backlog, number, held = Backlog(), 0, []
        for _ in range(rng.randrange(1, 8)):
            frames = [frame(number + n, rng.choice(SIZES)) for n in range(rng.randrange(1, 5))]
            number += len(frames)
            held += frames
            backlog.add(b"".join(frames))
        limit = rng.randrange(200_000)
        dropped = backlog.drop_oldest(limit)
        kept = held[dropped:]
        assert backlog.size == sum(map(len, kept)) <= limit
        assert not dropped or backlog.size + len(held[dropped - 1]) > limit
        out = b"".join(backlog.take(1) for _ in kept)
        assert out == b"".join(kept)
        assert read(out) == list(range(dropped, number))


def test_one_that_is_larger_than_all_that_may_wait_is_dropped() -> None:
    backlog = Backlog()
    backlog.add(frame(1, 5000))
    assert backlog.drop_oldest(4096) == 1
    assert backlog.size == 0

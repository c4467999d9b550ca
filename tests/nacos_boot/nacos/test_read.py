"""Reading by the stream, and by another way where that says nothing."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

from nacos_boot.nacos.error import NacosError, NacosForbiddenError
from nacos_boot.nacos.read import read_either_way

PATIENCE = 0.05


class Way:
    """One way to read: after `pause` seconds it gives or raises what it was made with."""

    def __init__(self, outcome: str | NacosError | None, pause: float = 0.0) -> None:
        self._outcome = outcome
        self._pause = pause
        self.asked = 0
        self.ended = 0

    async def __call__(self) -> str | None:
        self.asked += 1
        try:
            await asyncio.sleep(self._pause)
        finally:
            self.ended += 1
        if isinstance(self._outcome, NacosError):
            raise self._outcome
        return self._outcome


class Renewal:
    def __init__(self) -> None:
        self.times = 0

    async def __call__(self) -> None:
        self.times += 1


async def read(
    stream: Way, other: Way, renew: Callable[[], Awaitable[None]] | None = None
) -> str | None:
    try:
        return await read_either_way(stream(), other, PATIENCE, renew or Renewal())
    finally:
        assert stream.asked == stream.ended


@pytest.mark.parametrize("content", ["a: 1", None])
async def test_the_stream_alone_is_asked_while_it_answers(content: str | None) -> None:
    other = Way("old")
    assert await read(Way(content), other) == content
    assert other.asked == 0


async def test_a_stream_that_says_nothing_is_not_waited_for() -> None:
    started = time.monotonic()
    assert await read(Way("late", pause=30), Way("a: 1")) == "a: 1"
    assert time.monotonic() - started < 5


async def test_a_stream_that_fails_is_made_up_for_at_once() -> None:
    assert await read(Way(NacosError("not connected")), Way(None)) is None


async def test_a_stream_that_is_slow_still_counts_where_the_other_way_fails() -> None:
    assert await read(Way("slow", pause=3 * PATIENCE), Way(NacosError("refused"))) == "slow"


async def test_the_streams_error_is_told_where_both_fail() -> None:
    with pytest.raises(NacosError, match="the stream"):
        await read(Way(NacosError("the stream")), Way(NacosError("the other")))


async def test_only_where_both_ways_are_forbidden_it_is_so() -> None:
    forbidden = NacosForbiddenError("forbidden")
    renewal = Renewal()
    with pytest.raises(NacosForbiddenError):
        await read(Way(forbidden), Way(NacosForbiddenError("forbidden, too")), renewal)
    assert renewal.times == 0
    assert await read(Way(forbidden), Way("a: 1"), renewal) == "a: 1"
    assert renewal.times == 1


async def test_nothing_runs_on_after_a_cancellation() -> None:
    stream, other = Way("late", pause=30), Way("later", pause=30)
    task = asyncio.create_task(read(stream, other))
    await asyncio.sleep(2 * PATIENCE)
    assert (stream.asked, other.asked) == (1, 1)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()
    assert (stream.ended, other.ended) == (1, 1)

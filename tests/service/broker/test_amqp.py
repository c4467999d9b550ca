"""Declarations, and calls of the AMQP client that end in time."""

import asyncio

import pytest
from aio_pika.abc import AbstractChannel

from service.broker.amqp import DEAD, DIRECT, FANOUT, bounded, declare_exchanges, numbers_of
from tests.waiting import eventually


async def test_declaring_twice_is_no_fault(channel: AbstractChannel) -> None:
    for _ in range(2):
        await declare_exchanges(channel)
    for name in (FANOUT, DIRECT, DEAD):
        await channel.get_exchange(name)


async def test_the_numbers_of_a_channel(channel: AbstractChannel) -> None:
    number, frame_max = await numbers_of(channel)
    assert number == channel.number
    assert frame_max >= 4096  # AMQP's least


async def test_a_bounded_call_gives_its_result_or_its_fault() -> None:
    async def call(result: object) -> object:
        await asyncio.sleep(0)
        if isinstance(result, BaseException):
            raise result
        return result

    assert await bounded(call(5), 1) == 5
    with pytest.raises(OSError, match="gone"):
        await bounded(call(OSError("gone")), 1)
    with pytest.raises(ConnectionError, match="the connection broke"):
        await bounded(call(asyncio.CancelledError()), 1)


async def test_a_bounded_call_ends_with_its_time_and_with_its_caller() -> None:
    ended: list[str] = []

    async def for_ever(name: str) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(name)

    with pytest.raises(TimeoutError):
        await bounded(for_ever("late"), 0.01)
    await eventually(lambda: ended == ["late"])
    caller = asyncio.create_task(bounded(for_ever("cancelled"), 30))
    await asyncio.sleep(0)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    await eventually(lambda: ended == ["late", "cancelled"])

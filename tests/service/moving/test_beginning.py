"""A start amid a move."""

import asyncio
from datetime import timedelta

import pytest

from service.moving.beginning import begin_together
from tests.waiting import eventually


async def test_a_normal_start_waits_for_nothing(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    beginning = begin_together({"Redis": lambda: True}, lambda: timedelta(seconds=30))
    with pytest.raises(StopIteration):
        beginning.send(None)
    assert not caplog.records


async def test_a_start_waits_for_every_kind_and_says_for_which(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    may = {"RabbitMQ": False, "Redis": False}
    checks = {kind: lambda kind=kind: may[kind] for kind in may}
    beginning = asyncio.create_task(begin_together(checks, lambda: timedelta(seconds=30)))
    await eventually(lambda: "RabbitMQ and Redis" in caplog.text)
    may["Redis"] = True
    await eventually(lambda: caplog.messages[-1].endswith("the same RabbitMQ"))
    assert not beginning.done()
    may["RabbitMQ"] = True
    await asyncio.wait_for(beginning, 3)
    assert len(caplog.records) == 2


async def test_a_start_waits_no_longer_than_the_limit_in_force(
    caplog: pytest.LogCaptureFixture,
) -> None:
    limit = timedelta(seconds=30)
    beginning = asyncio.create_task(begin_together({"Redis": lambda: False}, lambda: limit))
    await asyncio.sleep(0.05)
    limit = timedelta(seconds=0.1)
    await asyncio.wait_for(beginning, 3)
    assert caplog.messages[-1].endswith("another Redis; starting all the same")

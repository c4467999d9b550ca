import asyncio

import pytest

from nacos_boot.background import Background
from tests.waiting import eventually


async def test_tasks_end_together() -> None:
    background = Background()
    ended: list[str] = []

    async def work(name: str) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(name)

    tasks = [background.spawn(name, work(name)) for name in ("one", "two")]
    await asyncio.sleep(0)
    await background.close()
    assert sorted(ended) == ["one", "two"]
    assert all(task.cancelled() for task in tasks)


async def test_a_task_that_fails_is_told_and_the_others_run_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    background = Background()
    running = background.spawn("sound", asyncio.sleep(3600))

    async def fail() -> None:
        raise RuntimeError("broken task")

    background.spawn("frail", fail())
    await eventually(lambda: "the task 'frail' failed" in caplog.text)
    assert "broken task" in caplog.text
    assert not running.done()
    await background.close()

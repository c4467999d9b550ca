import asyncio
from datetime import timedelta

import pytest

from nacos_boot.start.startup import StartError, retried


class Clock:
    """The loop's clock, moved by the pauses; nothing really waits."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.pauses: list[float] = []
        self.now = 0.0
        monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: self.now)
        monkeypatch.setattr("nacos_boot.start.startup.asyncio.sleep", self.sleep)

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


class Attempts:
    def __init__(self, *results: StartError | str) -> None:
        self.results = list(results)
        self.calls = 0

    async def __call__(self) -> str:
        self.calls += 1
        result = self.results.pop(0) if len(self.results) > 1 else self.results[0]
        if isinstance(result, StartError):
            raise result
        return result


WINDOW = timedelta(seconds=20)


async def test_it_tries_until_it_succeeds(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock(monkeypatch)
    attempts = Attempts(*(StartError("not yet") for _ in range(6)), "done")
    assert await retried("Nacos", WINDOW, attempts) == "done"
    assert clock.pauses == [0.2, 0.4, 0.8, 1.6, 3.0, 3.0]
    assert caplog.text.count("waiting for Nacos, for up to 20 s: not yet") == 1


async def test_the_last_error_is_raised_when_the_window_is_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock(monkeypatch)
    attempts = Attempts(StartError("first"), StartError("last"))
    with pytest.raises(StartError, match="last"):
        await retried("Nacos", WINDOW, attempts)
    assert clock.now <= 20
    assert attempts.calls == len(clock.pauses) + 1


async def test_a_final_error_is_raised_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    attempts = Attempts(StartError("wrong password", final=True), "done")
    with pytest.raises(StartError, match="wrong password"):
        await retried("Nacos", WINDOW, attempts)
    assert clock.pauses == []


async def test_another_error_is_a_bug_and_not_retried() -> None:
    async def broken() -> None:
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        await retried("Nacos", WINDOW, broken)

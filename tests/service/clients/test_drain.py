"""Clients are sent away over a window."""

import asyncio
import re
from collections import Counter
from datetime import timedelta
from itertools import pairwise
from types import SimpleNamespace

import pytest

from service.clients import drain
from service.clients.drain import send_away
from tests.service.fake_sockets import FakeSocket


class Pauses:
    """Stands for sleeping, and notes how many were still there at each pause."""

    def __init__(self, sockets: list[FakeSocket]) -> None:
        self.sockets = sockets
        self.total = 0.0
        self.left: list[int] = []

    async def sleep(self, seconds: float) -> None:
        self.total += seconds
        self.left.append(sum(not socket.closed for socket in self.sockets))


def crowd(size: int) -> list[FakeSocket]:
    return [FakeSocket("a") for _ in range(size)]


@pytest.mark.parametrize(
    ("size", "window"), [(1000, 5.0), (7, 1.0), (1, 5.0), (101, 2.0), (10, 10)]
)
async def test_they_go_evenly_within_the_window(
    size: int, window: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    sockets = crowd(size)
    pauses = Pauses(sockets)
    monkeypatch.setattr(drain, "asyncio", SimpleNamespace(sleep=pauses.sleep))
    await send_away(sockets, timedelta(seconds=window), timedelta(0))
    assert [socket.closed for socket in sockets] == [
        [(4001, "this node is leaving; return in 0.0 s")]
    ] * size
    # The last ones wait for nearly all of the window, even where they are few.
    assert window * (1 - 1 / min(size, window / 0.05)) == pytest.approx(pauses.total)
    # No step sends away more than an even share, rounded up.
    steps = [before - after for before, after in pairwise([size, *pauses.left, 0])]
    assert max(steps) <= -(-size // (window / 0.05))


async def test_each_is_told_when_to_return_so_that_they_come_evenly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 0.0
    returns = []

    class Watched(FakeSocket):
        def close(self, code: int, reason: str) -> None:
            super().close(code, reason)
            told = re.fullmatch(r"this node is leaving; return in (\d+\.\d) s", reason)
            assert told
            returns.append(now + float(told[1]))

    async def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    monkeypatch.setattr(drain, "asyncio", SimpleNamespace(sleep=sleep))
    sockets = [Watched("a") for _ in range(1000)]
    await send_away(sockets, timedelta(seconds=2), timedelta(seconds=10))
    assert now < 2
    # A hundred a second, for ten seconds.
    by_second = Counter(int(moment) for moment in returns)
    assert len(by_second) == 10
    assert all(90 <= count <= 110 for count in by_second.values())


async def test_without_a_window_all_go_at_once() -> None:
    sockets = crowd(50)
    task = asyncio.create_task(send_away(sockets, timedelta(0), timedelta(0)))
    await asyncio.sleep(0)
    assert all(socket.closed for socket in sockets)
    await task


async def test_nobody_to_send_away_takes_no_time() -> None:
    async with asyncio.timeout(0.5):
        await send_away([], timedelta(minutes=1), timedelta(minutes=1))


async def test_clients_may_come_off_the_list_meanwhile() -> None:
    here = dict.fromkeys(crowd(4))
    task = asyncio.create_task(send_away(here.keys(), timedelta(milliseconds=100), timedelta(0)))
    await asyncio.sleep(0)
    here.clear()
    await task

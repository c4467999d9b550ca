"""The wheel of expiring tokens: who is closed when, and what it costs."""

import asyncio
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service import metrics
from service.auth import token_expiry
from service.auth.token_expiry import ExpiryWheel, close_expired
from tests.service.fake_sockets import FakeSocket
from tests.waiting import eventually

NOW = 1_700_000_000.0
EXPIRED = [(4401, "the token has expired")]


def socket(wheel: ExpiryWheel, life: float, now: float = NOW) -> FakeSocket:
    found = FakeSocket("a")
    wheel.add(found, now + life, now)
    return found


def turn(wheel: ExpiryWheel, now: float) -> int:
    count = 1
    while wheel.turn(now):
        count += 1
    return count


def test_each_is_closed_in_its_second_and_counted() -> None:
    wheel = ExpiryWheel()
    before = metrics.TOKENS_EXPIRED._value.get()
    early, late = socket(wheel, 10), socket(wheel, 20.5)
    turn(wheel, NOW + 9)
    assert not early.closed
    turn(wheel, NOW + 10)
    assert early.closed == EXPIRED
    turn(wheel, NOW + 20)
    assert not late.closed
    turn(wheel, NOW + 21)
    assert late.closed == EXPIRED
    assert metrics.TOKENS_EXPIRED._value.get() == before + 2
    assert len(wheel) == 0


def test_who_has_left_is_forgotten() -> None:
    wheel = ExpiryWheel()
    gone = socket(wheel, 10)
    wheel.remove(gone)
    wheel.remove(gone)
    assert len(wheel) == 0
    turn(wheel, NOW + 3600)
    assert not gone.closed
    assert not wheel._slots


def test_many_are_closed_in_slices() -> None:
    wheel = ExpiryWheel()
    clients = [socket(wheel, 10) for _ in range(1200)]
    assert turn(wheel, NOW + 11) == 3
    assert all(client.closed == EXPIRED for client in clients)


def test_a_life_of_years_takes_no_slot_for_years() -> None:
    wheel = ExpiryWheel()
    clients = [socket(wheel, 3600 + 1000 * number) for number in range(5000)]
    assert len(wheel._slots) == 1
    turn(wheel, NOW + 3600)
    assert [client.closed for client in clients[:2]] == [EXPIRED, []]
    assert len(wheel) == 4999


@given(lives=st.lists(st.floats(1, 20_000), max_size=30), step=st.integers(1, 4000))
def test_nobody_goes_early_and_nobody_stays(lives: list[float], step: int) -> None:
    wheel = ExpiryWheel()
    clients = [(socket(wheel, life), NOW + life) for life in lives]
    now = NOW
    while now < NOW + 20_000 + step:
        now += step
        turn(wheel, now)
        for client, expires in clients:
            assert bool(client.closed) <= (expires <= now)
            assert client.closed or expires > now - 1
    assert len(wheel) == 0


async def test_the_wheel_turns_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_expiry, "_TICK", 0.01)
    wheel = ExpiryWheel()
    client = socket(wheel, 10)
    now = NOW
    running = asyncio.create_task(close_expired(wheel, lambda: now))
    try:
        await asyncio.sleep(0.05)
        assert not client.closed
        now += 11
        await eventually(lambda: client.closed == EXPIRED)
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running

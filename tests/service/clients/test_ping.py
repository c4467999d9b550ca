"""The wheel of pings: who is pinged and closed when, and at what cost."""

import asyncio
from collections.abc import Iterable
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service import metrics
from service.clients import ping
from service.clients.hub import Hub
from service.clients.ping import PingWheel, ping_clients
from service.settings import PingSection
from tests.service.fake_sockets import FakeSocket
from tests.waiting import eventually

NOW = 1000.0


def times(interval: float, timeout: float = 20) -> PingSection:
    return PingSection(interval=timedelta(seconds=interval), timeout=timedelta(seconds=timeout))


SETTINGS = times(25)


def socket(*, alive: float = 0, pinged: float | None = None) -> FakeSocket:
    """Give a client that was heard of, and perhaps pinged, so many seconds ago."""
    found = FakeSocket("a")
    found.alive_at = NOW - alive
    found.ping_sent_at = 0.0 if pinged is None else NOW - pinged
    return found


def wheel_of(clients: Iterable[FakeSocket]) -> PingWheel:
    wheel = PingWheel()
    for client in clients:
        wheel.add(client)
    return wheel


def turn(wheel: PingWheel, now: float, settings: PingSection = SETTINGS) -> int:
    """Turn until nothing is due any more; gives the number of turns."""
    count = 1
    while wheel.turn(now, settings):
        count += 1
    return count


@pytest.mark.parametrize(
    ("alive", "pinged", "result"),
    [
        (0, None, (0, 0)),
        (24.9, None, (0, 0)),
        (25, None, (1, 0)),
        (500, None, (1, 0)),
        # Waiting for the answer: neither pinged again nor closed before its time.
        (30, 5, (0, 0)),
        (44.9, 19.9, (0, 0)),
        (45, 20, (0, 1)),
        (500, 475, (0, 1)),
    ],
)
def test_who_is_quiet_is_pinged_and_who_leaves_it_unanswered_is_closed(
    alive: float, pinged: float | None, result: tuple[int, int]
) -> None:
    client = socket(alive=alive, pinged=pinged)
    before = metrics.UNANSWERED_PINGS._value.get()
    turn(wheel_of([client]), NOW)
    assert client.pinged == [NOW] * result[0]
    assert client.closed == [(1001, "ping timeout")] * result[1]
    assert metrics.UNANSWERED_PINGS._value.get() == before + result[1]


@pytest.mark.parametrize("answers_after", [0.1, 1, 19])
def test_a_client_is_pinged_once_until_it_answers_and_again_an_interval_later(
    answers_after: float,
) -> None:
    client = socket()
    wheel = wheel_of([client])
    for second in range(26):
        turn(wheel, NOW + second)
    assert client.pinged == [NOW + 25]
    answered = NOW + 25 + answers_after
    for tenth in range(1000):
        now = NOW + 25 + tenth / 10
        if client.ping_sent_at and now >= answered:
            client.alive_at, client.ping_sent_at = now, 0.0
        turn(wheel, now)
        if len(client.pinged) == 2:
            break
    assert answered + 25 <= client.pinged[1] <= answered + 26
    assert client.closed == []


def test_a_client_that_never_answers_is_closed_after_the_timeout() -> None:
    client = socket()
    wheel = wheel_of([client])
    for second in range(45):
        turn(wheel, NOW + second)
    assert (client.pinged, client.closed) == ([NOW + 25], [])
    turn(wheel, NOW + 45)
    assert client.closed == [(1001, "ping timeout")]


def test_without_an_interval_nobody_is_pinged_but_pings_sent_are_still_waited_for() -> None:
    quiet, pinged = socket(alive=500), socket(alive=500, pinged=20)
    wheel = wheel_of([quiet, pinged])
    turn(wheel, NOW, times(0))
    assert (quiet.pinged, quiet.closed) == ([], [])
    assert pinged.closed == [(1001, "ping timeout")]


@pytest.mark.parametrize(
    ("before", "after", "pinged", "closed"),
    [
        # Nobody was to be pinged; the interval is shorter now; the timeout is.
        (times(0), times(25), True, False),
        (times(3600), times(10), True, False),
        (times(25, 3600), times(25, 4), False, True),
        (times(12), times(0), False, False),
    ],
)
def test_new_times_are_in_force_at_once(
    before: PingSection, after: PingSection, pinged: bool, closed: bool
) -> None:
    client = socket(alive=5, pinged=None if pinged or not closed else 1)
    wheel = wheel_of([client])
    turn(wheel, NOW, before)
    turn(wheel, NOW + 5, before)
    assert (client.pinged, client.closed) == ([], [])
    later = NOW + 5 if closed else NOW + 20
    turn(wheel, later, after)
    assert bool(client.pinged) == pinged
    assert bool(client.closed) == closed


def test_clients_that_leave_are_let_go_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ping, "_SLICE", 2)
    hub = Hub(None, lambda _: None)  # type: ignore[arg-type]  # nothing is pushed here

    class Leaving(FakeSocket):
        def close(self, code: int, reason: str) -> None:
            super().close(code, reason)
            hub.remove(self)

    clients = [Leaving("a") for _ in range(5)]
    for client in clients:
        hub.add(client)
        hub.opened(client)
        client.alive_at, client.ping_sent_at = NOW - 100, NOW - 50
    waiting = FakeSocket("a", is_open=False)
    hub.add(waiting)
    # One that leaves between two turns that belong together.
    assert hub.pings.turn(NOW, SETTINGS)
    gone = next(client for client in clients if not client.closed)
    gone.close(1000, "")
    turn(hub.pings, NOW)
    assert [len(client.closed) for client in clients] == [1] * 5
    assert waiting.closed == waiting.pinged == []
    hub.remove(waiting)
    assert len(hub) == 0


def test_what_is_not_due_is_not_looked_at_and_what_is_in_bounded_turns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks = 0

    class Watched(FakeSocket):
        @property
        def alive_at(self) -> float:
            nonlocal looks
            looks += 1
            return self._alive_at

        @alive_at.setter
        def alive_at(self, now: float) -> None:
            self._alive_at = now

    clients = [Watched("a") for _ in range(1000)]
    for number, client in enumerate(clients):
        client.alive_at = NOW - number % 25
    wheel = wheel_of(clients)
    monkeypatch.setattr(ping, "_SLICE", 100)
    assert turn(wheel, NOW) == 10
    looks = 0
    turn(wheel, NOW + 0.5)
    assert looks == 0
    turn(wheel, NOW + 1)
    assert sum(len(client.pinged) for client in clients) == 40
    assert looks <= 3 * 40


@settings(max_examples=50)
@given(
    interval=st.integers(1, 40),
    timeout=st.integers(1, 40),
    heard=st.lists(st.integers(1, 200), max_size=10, unique=True),
)
def test_the_wheel_does_as_one_that_looks_at_everyone_each_second(
    interval: int, timeout: int, heard: list[int]
) -> None:
    settings = times(interval, timeout)
    client = socket()
    wheel = wheel_of([client])
    alive_at, ping_sent_at, pings = NOW, 0.0, list[float]()
    for second in range(200):
        now = NOW + second
        if second in heard:
            client.alive_at = alive_at = now
            client.ping_sent_at = ping_sent_at = 0.0
        turn(wheel, now, settings)
        if ping_sent_at and now - ping_sent_at >= timeout:
            assert client.closed
            return
        if not ping_sent_at and now - alive_at >= interval:
            pings.append(now)
            ping_sent_at = now
        assert client.pinged == pings
        assert not client.closed


async def test_the_clock_of_the_loop_turns_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ping, "_TICK", 0.01)
    loop = asyncio.get_running_loop()
    client = FakeSocket("a")
    client.alive_at = loop.time() - 30
    current = times(3600)
    task = asyncio.create_task(ping_clients(wheel_of([client]), lambda: current))
    await asyncio.sleep(0.05)
    assert client.pinged == []
    current = SETTINGS
    await eventually(lambda: len(client.pinged) == 1)
    assert abs(client.pinged[0] - loop.time()) < 1
    task.cancel()

"""One turn of the wheel of pings."""

from datetime import timedelta

import pytest

from service.ping import turn
from service.settings import PingSection
from tests.service.fake_sockets import FakeSocket

SETTINGS = PingSection(interval=timedelta(seconds=25), timeout=timedelta(seconds=20))
NOW = 1000.0


def socket(*, alive: float, pinged: float | None = None, is_open: bool = True) -> FakeSocket:
    """Give a client that was heard of, and perhaps pinged, so many seconds ago."""
    found = FakeSocket("a", is_open=is_open)
    found.alive_at = NOW - alive
    found.ping_sent_at = 0.0 if pinged is None else NOW - pinged
    return found


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
    assert turn([client], NOW, SETTINGS) == result
    assert client.pinged == [NOW] * result[0]
    assert client.closed == [(1001, "ping timeout")] * result[1]


def test_a_client_is_pinged_once_until_it_answers() -> None:
    client = socket(alive=25)
    assert turn([client], NOW, SETTINGS) == (1, 0)
    assert turn([client], NOW + 1, SETTINGS) == (0, 0)
    client.alive_at, client.ping_sent_at = NOW + 2, 0.0
    assert turn([client], NOW + 3, SETTINGS) == (0, 0)
    assert turn([client], NOW + 27, SETTINGS) == (1, 0)


def test_a_client_that_is_still_being_let_in_is_left_alone() -> None:
    client = socket(alive=500, pinged=400, is_open=False)
    assert turn([client], NOW, SETTINGS) == (0, 0)


def test_without_an_interval_nobody_is_pinged_but_pings_sent_are_still_waited_for() -> None:
    off = PingSection(interval=timedelta(0), timeout=timedelta(seconds=20))
    assert turn([socket(alive=500)], NOW, off) == (0, 0)
    assert turn([socket(alive=500, pinged=20)], NOW, off) == (0, 1)


def test_clients_that_leave_while_the_wheel_turns_do_no_harm() -> None:
    here: dict[FakeSocket, None] = {}

    class Leaving(FakeSocket):
        def close(self, code: int, reason: str) -> None:
            super().close(code, reason)
            del here[self]

    for _ in range(3):
        client = Leaving("a")
        client.alive_at, client.ping_sent_at = NOW - 100, NOW - 50
        here[client] = None
    assert turn(here.keys(), NOW, SETTINGS) == (0, 3)
    assert here == {}

from pathlib import Path

from devtools.waiting import every, tail, wait_for


class FakeTime:
    def __init__(self) -> None:
        self.now = 100.0

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_waiting_ends_as_soon_as_the_condition_holds() -> None:
    time = FakeTime()
    held = wait_for(lambda: time.now >= 103, 10, interval=0.5, clock=time.clock, sleep=time.sleep)
    assert held
    assert time.now == 103


def test_waiting_ends_at_the_limit_and_looks_once_more_then() -> None:
    time, looks = FakeTime(), []

    def condition() -> bool:
        looks.append(time.now)
        return False

    assert not wait_for(condition, 2, interval=0.75, clock=time.clock, sleep=time.sleep)
    assert looks == [100, 100.75, 101.5, 102]


def test_progress_is_shown_once_in_a_while() -> None:
    time = FakeTime()
    shown: list[float] = []
    wait_for(
        lambda: False,
        35,
        interval=1,
        each=every(10, shown.append),
        clock=time.clock,
        sleep=time.sleep,
    )
    assert shown == [10, 20, 30]


def test_the_tail_of_a_log_begins_where_asked(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    assert "does not exist" in tail(log)
    log.write_text("old\n" * 40 + "new 1\n\nnew 2\n")
    assert tail(log, since=160) == "new 1\nnew 2"
    assert tail(log, lines=1) == "new 2"
    assert "is empty" in tail(log, since=log.stat().st_size)

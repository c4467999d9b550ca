import time
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from nacos_boot.settings.cron import CronError, SpringCron

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
START = datetime(2026, 11, 23, 12, 0, 30, tzinfo=UTC)  # a Monday


def fires(expression: str, count: int, start: datetime = START) -> list[datetime]:
    trigger = SpringCron(expression).trigger
    found: list[datetime] = []
    previous, now = None, start
    while len(found) < count:
        fired = trigger.get_next_fire_time(previous, now)
        assert fired is not None, f"{expression} never fires after {now}"
        found.append(fired)
        previous, now = fired, fired
    return found


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("*/10 * * * * *", ["23 12:00:30", "23 12:00:40", "23 12:00:50", "23 12:01:00"]),
        ("5,50 * * * * *", ["23 12:00:50", "23 12:01:05"]),
        ("10-12 * * * * *", ["23 12:01:10", "23 12:01:11", "23 12:01:12", "23 12:02:10"]),
        ("40/8 * * * * *", ["23 12:00:40", "23 12:00:48", "23 12:00:56", "23 12:01:40"]),
        ("0-20/10 * * * * *", ["23 12:01:00", "23 12:01:10", "23 12:01:20", "23 12:02:00"]),
        ("0 */30 * * * *", ["23 12:30:00", "23 13:00:00"]),
        ("0 0 6,19 * * ?", ["23 19:00:00", "24 06:00:00"]),
        ("0 0 9-17 * * MON-FRI", ["23 13:00:00", "23 14:00:00"]),
        ("0 0 0 * * 0", ["29 00:00:00"]),
        ("0 0 0 * * 7", ["29 00:00:00"]),
        ("0 0 0 * * SUN", ["29 00:00:00"]),
        ("0 0 0 * * 1", ["30 00:00:00"]),
        ("0 0 0 * * mon", ["30 00:00:00"]),
        ("0 0 0 * * MON,WED", ["25 00:00:00", "30 00:00:00"]),
        ("0 0 0 * * 3", ["25 00:00:00"]),
        ("0 0 0 * * SAT-SUN", ["28 00:00:00", "29 00:00:00"]),
        ("0 0 0 * * SUN-TUE", ["24 00:00:00", "29 00:00:00", "30 00:00:00"]),
        ("0 0 0 * * 7-2", ["24 00:00:00", "29 00:00:00", "30 00:00:00"]),
        ("0 0 0 * * */2", ["25 00:00:00", "27 00:00:00", "29 00:00:00", "30 00:00:00"]),
        ("0 0 0 * * 0/2", ["24 00:00:00", "26 00:00:00", "28 00:00:00", "29 00:00:00"]),
        ("0 0 0 ? NOV WED", ["25 00:00:00"]),
        ("0 0 0 24 nov ?", ["24 00:00:00"]),
        ("@hourly", ["23 13:00:00", "23 14:00:00"]),
        ("@daily", ["24 00:00:00"]),
        ("@midnight", ["24 00:00:00"]),
        (" @Weekly ", ["29 00:00:00"]),
    ],
)
def test_when_it_fires(expression: str, expected: list[str]) -> None:
    found = [f"{fired:%d %H:%M:%S}" for fired in fires(expression, len(expected))]
    assert found == expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("@monthly", "2026-12-01"),
        ("@yearly", "2027-01-01"),
        ("@annually", "2027-01-01"),
        ("0 0 0 29 2 ?", "2028-02-29"),
        ("0 0 0 1 JUL *", "2027-07-01"),
        # Both days must match, as in Spring: a Friday the 13th.
        ("0 0 0 13 * FRI", "2027-08-13"),
    ],
)
def test_on_which_day_it_fires(expression: str, expected: str) -> None:
    [fired] = fires(expression, 1)
    assert f"{fired:%Y-%m-%d %H:%M:%S}" == f"{expected} 00:00:00"


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("", "has 0 fields"),
        ("*/10 * * * *", "has 5 fields"),
        ("0 0 0 * * * 2026", "has 7 fields"),
        ("@reboot", "has 1 fields"),
        ("60 * * * * *", "60 in the second field '60' is not between 0 and 59"),
        ("* * 24 * * *", "24 in the hour field '24' is not between 0 and 23"),
        ("* * * 0 * *", "0 in the day of month field '0' is not between 1 and 31"),
        ("* * * * 13 *", "13 in the month field '13' is not between 1 and 12"),
        ("* * * * * 8", "8 in the day of week field '8' is not between 0 and 7"),
        ("? * * * * *", "'?' is only for days, not for the second field"),
        ("* * * * ? *", "'?' is only for days, not for the month field"),
        ("*/0 * * * * *", "the step of '*/0' in the second field '*/0' must be above 0"),
        ("30-10 * * * * *", "the range '30-10' in the second field '30-10' runs backwards"),
        ("* * * * * FRI-MON", "the range 'FRI-MON' in the day of week field"),
        ("* * * L * *", "'L' in the day of month field 'L' is not supported"),
        ("* * * 15W * *", "'15W' in the day of month field '15W' is not supported"),
        ("* * * * * 5L", "'5L' in the day of week field '5L' is not supported"),
        ("* * * * * MON#2", "'MON#2' in the day of week field 'MON#2' is not supported"),
        ("* * * * * 5#2", "'5#2' in the day of week field '5#2' is not supported"),
        ("a * * * * *", "'a' in the second field 'a' is no value"),
        ("1, * * * * *", "'' in the second field '1,' is no value"),
        ("-1 * * * * *", "'-1' in the second field '-1' is no value"),
        ("*-5 * * * * *", "'*-5' in the second field '*-5' is no value"),
        ("MON * * * * *", "'MON' in the second field 'MON' is no value"),
        ("²  * * * * *", "is no value"),
    ],
)
def test_what_cannot_be_used(expression: str, words: str) -> None:
    with pytest.raises(CronError) as caught:
        SpringCron(expression)
    assert words in str(caught.value)
    assert "expected Spring's six fields, such as '*/10 * * * * *'" in str(caught.value)


GAPS = [
    ("* * * * * *", SECOND),
    ("*/10 * * * * *", 10 * SECOND),
    ("*/25 * * * * *", 25 * SECOND),
    ("0,30 * * * * *", 30 * SECOND),
    ("0,5 * * * * *", 55 * SECOND),
    ("10-12 * * * * *", 58 * SECOND),
    ("1-5/2 * * * * *", 56 * SECOND),
    ("30 * * * * *", MINUTE),
    ("0 */5 * * * *", 5 * MINUTE),
    ("0 0-30 * * * *", 30 * MINUTE),
    ("*/10 0-30 * * * *", 29 * MINUTE + 10 * SECOND),
    ("0 0 * * * *", HOUR),
    ("*/10 * 8-18 * * *", 13 * HOUR + 10 * SECOND),
    ("0 0-30 0-11 * * *", 12 * HOUR + 30 * MINUTE),
    ("0 0 6,19 * * *", 13 * HOUR),
    ("@daily", DAY),
    ("*/10 * * * * MON-FRI", 2 * DAY + 10 * SECOND),
    ("0 0 9-17 * * MON-FRI", 2 * DAY + 16 * HOUR),
    ("@weekly", 7 * DAY),
    ("@monthly", 31 * DAY),
    ("0 0 0 31 * *", 61 * DAY),
    ("@yearly", 366 * DAY),
    ("0 0 0 29 2 ?", 1461 * DAY),
]


@pytest.mark.parametrize(("expression", "gap"), GAPS)
def test_the_longest_gap(expression: str, gap: timedelta) -> None:
    cron = SpringCron(expression)
    assert cron.longest_gap(gap) == gap
    assert cron.longest_gap(gap + 1000 * DAY) == gap
    assert cron.longest_gap(gap - SECOND) is None


@pytest.mark.parametrize(("expression", "gap"), [pair for pair in GAPS if pair[1] <= 7 * DAY])
def test_the_longest_gap_is_the_one_between_its_firings(expression: str, gap: timedelta) -> None:
    # The scheduler's own word for it, over a day, or over a fortnight where it fires more rarely.
    start = datetime(2026, 11, 22, 23, 59, 59, tzinfo=UTC)
    end = start + (2 * DAY if gap <= MINUTE else 16 * DAY)
    trigger = SpringCron(expression).trigger
    found = [trigger.get_next_fire_time(None, start)]
    while found[-1] < end and len(found) < 1000:
        found.append(trigger.get_next_fire_time(found[-1], found[-1]))
    assert max(after - before for before, after in pairwise(found)) <= gap


@pytest.mark.parametrize("expression", ["0 0 0 30 2 *", "0 0 0 31 4,6 ?"])
def test_one_that_never_fires_has_no_gap(expression: str) -> None:
    assert SpringCron(expression).longest_gap(100_000 * DAY) is None


@pytest.mark.parametrize("expression", ["* * * * * *", "0 0 0 29 2 MON", "*/7 */7 */7 */7 */7 ?"])
def test_it_is_cheap_enough_to_check_in_a_running_program(expression: str) -> None:
    def cost() -> float:
        started = time.perf_counter()
        SpringCron(expression).longest_gap(15 * SECOND)
        return time.perf_counter() - started

    # The best of three: another process may have the CPU.
    assert min(cost() for _ in range(3)) < 0.05

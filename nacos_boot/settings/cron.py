"""Spring's cron expressions on APScheduler.

Source: Spring Framework, `CronExpression`: six fields (second, minute, hour, day of month, month,
day of week), weekdays 0 and 7 are Sunday, `?` means any, all fields must match.
"""

import re
from dataclasses import dataclass
from datetime import UTC, date, timedelta
from itertools import pairwise
from typing import Any

from apscheduler.triggers.cron import CronTrigger

_MACROS = {
    "@yearly": "0 0 0 1 1 *",
    "@annually": "0 0 0 1 1 *",
    "@monthly": "0 0 0 1 * *",
    "@weekly": "0 0 0 * * 0",
    "@daily": "0 0 0 * * *",
    "@midnight": "0 0 0 * * *",
    "@hourly": "0 0 * * * *",
}
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_WEEKDAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
_SUNDAY = 7
_EXAMPLE = (
    "expected Spring's six fields, such as '*/10 * * * * *' (second minute hour day month weekday)"
)
_PART = re.compile(r"(?P<first>\*|\w+)(?:-(?P<last>\w+))?(?:/(?P<step>\d+))?", re.ASCII)
# The calendar repeats itself after 28 years, from 1901 to 2099.
_CYCLE = range(date(2024, 1, 1).toordinal(), date(2052, 1, 1).toordinal())


class CronError(ValueError):
    """The expression cannot be used; the message says why and what was expected."""


@dataclass(frozen=True, slots=True)
class _Field:
    name: str  # APScheduler's
    title: str
    lowest: int
    highest: int
    words: tuple[str, ...] = ()  # for the lowest value and those above it


_FIELDS = (
    _Field("second", "second", 0, 59),
    _Field("minute", "minute", 0, 59),
    _Field("hour", "hour", 0, 23),
    _Field("day", "day of month", 1, 31),
    _Field("month", "month", 1, 12, _MONTHS),
    _Field("day_of_week", "day of week", 1, _SUNDAY, _WEEKDAYS),
)


class SpringCron:
    """A parsed expression: a trigger for APScheduler, and its longest gap. Times are in UTC."""

    def __init__(self, expression: str) -> None:
        self.expression = expression
        texts = _MACROS.get(expression.strip().lower(), expression).split()
        if len(texts) != len(_FIELDS):
            raise CronError(f"the cron expression has {len(texts)} fields; {_EXAMPLE}")
        values = [_values(text, field) for text, field in zip(texts, _FIELDS, strict=True)]
        self._seconds, self._minutes, self._hours, self._days, self._months, weekdays = values
        self._weekdays = sorted({day or _SUNDAY for day in weekdays})
        self.trigger: Any = CronTrigger(
            second=_listed(self._seconds),
            minute=_listed(self._minutes),
            hour=_listed(self._hours),
            day=_listed(self._days),
            month=_listed(self._months),
            # APScheduler counts weekdays from Monday; names mean the same to both.
            day_of_week=",".join(_WEEKDAYS[day - 1].lower() for day in self._weekdays),
            timezone=UTC,
        )

    def longest_gap(self, limit: timedelta) -> timedelta | None:
        """Give the longest time between two firings, or None where it is above `limit`.

        The calendar is taken to be that of the years 1901 to 2099.
        """
        days = self._longest_step_between_days()
        if days is None:
            return None
        overnight = timedelta(days=days) - self._time_of_day(-1) + self._time_of_day(0)
        gap = max(self._longest_within_a_day(), overnight)
        return gap if gap <= limit else None

    def _time_of_day(self, index: int) -> timedelta:
        return timedelta(
            hours=self._hours[index], minutes=self._minutes[index], seconds=self._seconds[index]
        )

    def _longest_within_a_day(self) -> timedelta:
        # The step to the next minute (or hour) that fires leads from the last second of one to
        # the first second of the other.
        seconds = self._seconds[0] - self._seconds[-1]
        minutes = 60 * (self._minutes[0] - self._minutes[-1]) + seconds
        return timedelta(
            seconds=max(
                _longest_step(self._seconds),
                60 * step + seconds if (step := _longest_step(self._minutes)) else 0,
                3600 * step + minutes if (step := _longest_step(self._hours)) else 0,
            )
        )

    def _longest_step_between_days(self) -> int | None:
        """Give the most days from one on which it fires to the next; None where there is none."""
        fires = [day for day in map(date.fromordinal, _CYCLE) if self._fires_on(day)]
        if not fires:
            return None
        steps = [(after - before).days for before, after in pairwise(fires)]
        return max([*steps, len(_CYCLE) - (fires[-1] - fires[0]).days])

    def _fires_on(self, day: date) -> bool:
        return (
            day.isoweekday() in self._weekdays
            and day.month in self._months
            and day.day in self._days
        )


def _values(text: str, field: _Field) -> list[int]:
    """List the values that one field of the expression names, sorted."""
    if text == "?":
        if not field.title.startswith("day"):
            raise CronError(f"'?' is only for days, not for the {field.title} field; {_EXAMPLE}")
        text = "*"
    values: set[int] = set()
    for part in text.split(","):
        values.update(_range(part, text, field))
    return sorted(values)


def _range(part: str, text: str, field: _Field) -> range:
    where = f"in the {field.title} field '{text}'"
    match = _PART.fullmatch(part)
    if match is None or (match["first"] == "*" and match["last"]):
        raise _unknown(part, where)
    step = int(match["step"] or 1)
    if step == 0:
        raise CronError(f"the step of '{part}' {where} must be above 0; {_EXAMPLE}")
    if match["first"] == "*":
        return range(field.lowest, field.highest + 1, step)
    first = _number(match["first"], where, field)
    if match["last"]:
        last = _number(match["last"], where, field)
        if field.name == "day_of_week" and first == _SUNDAY:
            first = 0  # Sunday opens a range as 0 and closes it as 7
    else:
        last = field.highest if match["step"] else first
    if last < first:
        raise CronError(f"the range '{part}' {where} runs backwards; {_EXAMPLE}")
    return range(first, last + 1, step)


def _number(text: str, where: str, field: _Field) -> int:
    if text.upper() in field.words:
        return field.words.index(text.upper()) + field.lowest
    if not text.isdigit():
        raise _unknown(text, where)
    number = int(text)
    lowest = 0 if field.name == "day_of_week" else field.lowest
    if not lowest <= number <= field.highest:
        raise CronError(f"{number} {where} is not between {lowest} and {field.highest}; {_EXAMPLE}")
    return number


def _unknown(text: str, where: str) -> CronError:
    # Spring's L, W and # have no counterpart in APScheduler.
    fault = "is not supported" if set("#LW") & set(text.upper()) else "is no value"
    return CronError(f"'{text}' {where} {fault}; {_EXAMPLE}")


def _longest_step(values: list[int]) -> int:
    return max((after - before for before, after in pairwise(values)), default=0)


def _listed(values: list[int]) -> str:
    return ",".join(str(value) for value in values)

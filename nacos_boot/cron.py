"""Spring's cron expressions on APScheduler.

Source: Spring Framework, `CronExpression`: six fields (second, minute, hour, day of month, month,
day of week), weekdays 0 and 7 are Sunday, `?` means any.
"""

import functools
import re
from datetime import UTC, datetime, timedelta
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
_NAMES = ("second", "minute", "hour", "day", "month", "day_of_week")
_TITLES = ("second", "minute", "hour", "day of month", "month", "day of week")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat", "sun")
_EXAMPLE = (
    "expected Spring's six fields, such as '*/10 * * * * *' (second minute hour day month weekday)"
)


class CronError(ValueError):
    """The expression cannot be used; the message says why and what was expected."""


class SpringCron:
    """A parsed expression: a trigger for APScheduler, and its longest gap."""

    def __init__(self, expression: str) -> None:
        self.expression = expression
        fields = _MACROS.get(expression.strip().lower(), expression).split()
        if len(fields) != len(_NAMES):
            raise CronError(f"the cron expression has {len(fields)} fields; {_EXAMPLE}")
        translated = {
            name: _translate(text, title)
            for name, title, text in zip(_NAMES, _TITLES, fields, strict=True)
        }
        try:
            self.trigger: Any = CronTrigger(**translated, timezone=UTC)
        except ValueError as error:
            raise CronError(f"{error}; {_EXAMPLE}") from error

    def longest_gap(self, limit: timedelta) -> timedelta | None:
        """Give the longest time between two firings, or None where it is above `limit`.

        It looks at every second of a minute, every minute of an hour, and at the last minute of
        every hour of a week and of every day of a leap year, in UTC.
        """
        longest = timedelta(0)
        for minute in _SAMPLES:
            fired = self.trigger.get_next_fire_time(None, minute)
            if fired is None or fired - minute > limit:
                return None
            while fired < minute + _MINUTE:
                following = self.trigger.get_next_fire_time(fired, fired)
                if following is None or following - fired > limit:
                    return None
                longest = max(longest, following - fired)
                # Seconds look alike in every minute: one minute is walked through, of the others
                # only the step out of it is new.
                if minute is not _SAMPLES[0] and following < minute + _MINUTE:
                    following = max(following, minute + self._last_second())
                fired = following
        return longest

    def _last_second(self) -> timedelta:
        return timedelta(seconds=max(self._seconds))

    @functools.cached_property
    def _seconds(self) -> list[int]:
        start = self.trigger.get_next_fire_time(None, _SAMPLES[0]).replace(second=0)
        seconds, fired = [], self.trigger.get_next_fire_time(None, start)
        while fired < start + _MINUTE:
            seconds.append(fired.second)
            fired = self.trigger.get_next_fire_time(fired, fired)
        return seconds


_MINUTE = timedelta(minutes=1)
_START = datetime(2024, 1, 1, tzinfo=UTC)
_SAMPLES = (
    *(_START + timedelta(minutes=minute) for minute in range(60)),
    *(_START + timedelta(hours=hour, minutes=59) for hour in range(24 * 7)),
    *(_START + timedelta(days=day, hours=23, minutes=59) for day in range(366)),
)


def _translate(text: str, title: str) -> str:
    if unsupported := re.search(r"[#LW](?![a-z])", text):
        raise CronError(
            f"'{unsupported[0]}' in the {title} field '{text}' is not supported; {_EXAMPLE}"
        )
    if text == "?":
        if not title.startswith("day"):
            raise CronError(f"'?' is only for days, not for the {title} field; {_EXAMPLE}")
        return "*"
    if title == "day of week":
        return ",".join(_weekdays(part) for part in text.lower().split(","))
    return text.lower()


def _weekdays(part: str) -> str:
    # APScheduler counts weekdays from Monday; names mean the same to both.
    span, slash, step = part.partition("/")
    if span == "*":
        names = list(_WEEKDAYS[:7])
    else:
        first, dash, last = span.partition("-")
        begin = _weekday_number(first)
        end = _weekday_number(last) if dash else begin
        if slash and not dash:
            end = 6
        if end == 0 and dash and begin > 0:
            end = 7
        if end < begin:
            raise CronError(f"the weekday range '{part}' runs backwards; {_EXAMPLE}")
        names = [_WEEKDAYS[number] for number in range(begin, end + 1)]
    if not slash:
        return ",".join(names)
    if not step.isdigit() or int(step) == 0:
        raise CronError(f"the step in the weekday field '{part}' is no number above 0; {_EXAMPLE}")
    return ",".join(names[:: int(step)])


def _weekday_number(text: str) -> int:
    if text in _WEEKDAYS:
        return _WEEKDAYS.index(text)
    if text.isdigit() and int(text) < len(_WEEKDAYS):
        return int(text)
    raise CronError(f"'{text}' is no weekday (0-7 or SUN-SAT); {_EXAMPLE}")

"""How much may come at once and how much over time: token buckets. Pure; the clock is given.

A bucket is one number, the instant at which it is full again: it lies ahead by as long as it takes
to refill what was taken. So a bucket that is full needs no memory, and nothing has to be refilled.
"""

from dataclasses import dataclass
from typing import Self

_ROUNDING = 1e-6  # seconds; sums of fractions are off by less


@dataclass(frozen=True, slots=True)
class Pace:
    """The form of a bucket: `seconds` until one token is refilled, for a `burst` of tokens."""

    seconds: float
    burst: int

    @classmethod
    def of(cls, per_second: int, burst: int) -> Self | None:
        """Give the pace of a limit; None where 0 says that there is none."""
        return cls(1 / per_second, burst) if per_second else None

    def wait(self, full_at: float, now: float) -> float:
        """Tell in how many seconds there is a token; 0 where there is one now."""
        short = full_at - now - (self.burst - 1) * self.seconds
        return short if short > _ROUNDING else 0.0

    def taken(self, full_at: float, now: float, tokens: int = 1) -> float:
        """Give when the bucket will be full, with tokens taken now, whether they are there or not.

        Who takes more than there are has to wait for all of them to be refilled.
        """
        return max(full_at, now) + tokens * self.seconds


class Bucket:
    """One bucket; its pace may change, or be None for no limit. A new pace begins with it full."""

    __slots__ = ("_full_at", "pace")

    def __init__(self, pace: Pace | None = None) -> None:
        self.pace = pace
        self._full_at = 0.0

    def change(self, pace: Pace | None) -> None:
        """Go by a pace from now on."""
        if pace != self.pace:
            self.pace = pace
            self._full_at = 0.0

    def take(self, now: float) -> bool:
        """Take a token, if there is one."""
        if self.pace is None:
            return True
        if self.pace.wait(self._full_at, now):
            return False
        self._full_at = self.pace.taken(self._full_at, now)
        return True


class Meter:
    """One pace for buckets that others keep: each is the number that `take` gave last, first 0.

    A new pace finds all of them full, since it puts the clock forward by more than any is ahead.
    """

    __slots__ = ("_ahead", "_most_ahead", "_seconds", "pace")

    _LEAP = 1e6  # seconds

    def __init__(self, pace: Pace | None = None) -> None:
        self.pace: Pace | None = None
        self._ahead = self._seconds = self._most_ahead = 0.0
        self.change(pace)

    def change(self, pace: Pace | None) -> None:
        """Go by a pace from now on."""
        if pace != self.pace:
            self.pace = pace
            self._ahead += self._LEAP
            if pace is not None:
                self._seconds = pace.seconds
                self._most_ahead = (pace.burst - 1) * pace.seconds + _ROUNDING

    def take(self, bucket: float, now: float, tokens: int) -> float | None:
        """Take tokens out of a bucket; None where it has not even one."""
        if self.pace is None:
            return bucket
        # As `Pace` does, without its calls: a third of what reading a short frame costs.
        now += self._ahead
        if bucket - now > self._most_ahead:
            return None
        begin = bucket if bucket > now else now  # noqa: FURB136 - max() takes twice the time
        return begin + tokens * self._seconds


class Buckets:
    """One bucket for each name; those that are full again are forgotten.

    The pace may change, or be None for no limit; a new one begins with every bucket full.
    """

    _FEW = 1024

    def __init__(self, pace: Pace | None = None) -> None:
        self.pace = pace
        self._full_at: dict[str, float] = {}
        self._look_at = self._FEW

    def change(self, pace: Pace | None) -> None:
        """Go by a pace from now on."""
        if pace != self.pace:
            self.pace = pace
            self._full_at.clear()

    def __len__(self) -> int:
        """Give the number of buckets that are remembered."""
        return len(self._full_at)

    def wait(self, name: str, now: float) -> float:
        """Tell in how many seconds there is a token for a name; 0 where there is one now."""
        if self.pace is None:
            return 0.0
        return self.pace.wait(self._full_at.get(name, 0.0), now)

    def take(self, name: str, now: float, tokens: int = 1) -> None:
        """Take tokens, whether they are there or not."""
        if self.pace is None:
            return
        self._full_at[name] = self.pace.taken(self._full_at.get(name, 0.0), now, tokens)
        if len(self._full_at) >= self._look_at:
            # As often as their number doubles, so that it costs little for each.
            self._full_at = {name: at for name, at in self._full_at.items() if at > now}
            self._look_at = max(self._FEW, 2 * len(self._full_at))

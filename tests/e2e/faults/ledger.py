"""The ledger: what was pushed, who was there, what arrived, and hence what was lost. Pure.

Times are seconds on one monotonic clock, the harness's, which runs clients and callers alike.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Fate = Literal["delivered", "away", "in flight", "lost", "forgotten"]


@dataclass(slots=True)
class Push:
    """One push as its caller knows it; `targets` is None for everyone.

    `accepted_at` is None until a 202 came, and stays so where none came.
    """

    number: int
    targets: tuple[int, ...] | None
    sent_at: float
    accepted_at: float | None = None
    mode: str = ""


@dataclass(slots=True)
class Stay:
    """One socket of a user: open from the server's `pong` until the client saw its end."""

    opened_at: float
    ended_at: float | None = None

    def covers(self, at: float) -> bool:
        """Tell whether it was open at a moment."""
        return self.opened_at <= at and (self.ended_at is None or at < self.ended_at)


@dataclass(slots=True)
class Account:
    """What one client has seen. `remembers` where the server keeps a history for it.

    `got` counts, by number, how often a push came (repeats of one id are dropped before, and
    counted in `dropped`); `known_from` is when it held its first token, `resets` when it was told
    that what it missed is not known.
    """

    stays: list[Stay] = field(default_factory=list)
    got: dict[int, int] = field(default_factory=dict)
    remembers: bool = False
    known_from: float | None = None
    resets: list[float] = field(default_factory=list)
    dropped: int = 0

    def stay_at(self, at: float) -> Stay | None:
        """Give the socket that was open at a moment."""
        return next((stay for stay in reversed(self.stays) if stay.covers(at)), None)


@dataclass(slots=True)
class Tally:
    """The sums of a row, over all pushes that were accepted and all their targets.

    `delivered` came. Of the rest, `away` had no socket when it was sent; `in_flight` had one that
    ended later, before the push came; `forgotten` were told so by a `reset`; `lost` is what no
    promise excuses, with `lost_by_mode` and some `samples` (push, user).
    """

    accepted: int = 0
    refused: int = 0
    due: int = 0
    delivered: int = 0
    away: int = 0
    in_flight: int = 0
    forgotten: int = 0
    lost: int = 0
    repeated: int = 0
    dropped: int = 0
    lost_by_mode: dict[str, int] = field(default_factory=dict)
    samples: list[tuple[int, int]] = field(default_factory=list)


def fate(push: Push, account: Account) -> Fate:
    """Say what became of a push for one of its targets."""
    if push.number in account.got:
        return "delivered"
    if account.remembers and account.known_from is not None and account.known_from <= push.sent_at:
        # It keeps a token: whatever was accepted since is due, wherever the client was.
        told = any(reset >= push.sent_at for reset in account.resets)
        return "forgotten" if told else "lost"
    stay = account.stay_at(push.sent_at)
    if stay is None:
        return "away"
    return "lost" if stay.ended_at is None else "in flight"


def missing(pushes: Iterable[Push], accounts: Sequence[Account]) -> bool:
    """Tell whether something is still due that may yet come."""
    return any(
        fate(push, accounts[user]) == "lost"
        for push in pushes
        if push.accepted_at is not None
        for user in _targets(push, len(accounts))
    )


def tally(pushes: Sequence[Push], accounts: Sequence[Account]) -> Tally:
    """Add everything up."""
    sums = Tally()
    for push in pushes:
        if push.accepted_at is None:
            sums.refused += 1
            continue
        sums.accepted += 1
        for user in _targets(push, len(accounts)):
            _enter(sums, push, user, accounts[user])
    sums.repeated = sum(
        times - 1 for account in accounts for times in account.got.values() if times > 1
    )
    sums.dropped = sum(account.dropped for account in accounts)
    return sums


def _targets(push: Push, users: int) -> Iterable[int]:
    return range(users) if push.targets is None else push.targets


def _enter(sums: Tally, push: Push, user: int, account: Account) -> None:
    sums.due += 1
    match fate(push, account):
        case "delivered":
            sums.delivered += 1
        case "away":
            sums.away += 1
        case "in flight":
            sums.in_flight += 1
        case "forgotten":
            sums.forgotten += 1
        case "lost":
            sums.lost += 1
            sums.lost_by_mode[push.mode] = sums.lost_by_mode.get(push.mode, 0) + 1
            if len(sums.samples) < 5:
                sums.samples.append((push.number, user))


def busiest(moments: Iterable[float], span: float = 1.0) -> int:
    """Count the most moments that lie within one span of seconds."""
    ordered = sorted(moments)
    most = first = 0
    for last, moment in enumerate(ordered):
        while moment - ordered[first] >= span:
            first += 1
        most = max(most, last - first + 1)
    return most


def longest_pause(
    tries: Iterable[tuple[float, bool]], begin: float, end: float, span: float = 0.25
) -> float:
    """Give the seconds of the longest stretch in which most pushes were not accepted.

    `tries` are the moments at which pushes were sent, and whether they were accepted.
    """
    spans: dict[int, list[bool]] = {}
    for moment, accepted in tries:
        if begin <= moment < end:
            spans.setdefault(int((moment - begin) // span), []).append(accepted)
    longest = lasting = 0
    for number in range(int((end - begin) // span) + 1):
        # A span without a push says nothing, and prolongs what was.
        outcomes = spans.get(number)
        if outcomes is not None:
            lasting = lasting + 1 if sum(outcomes) * 2 < len(outcomes) else 0
        elif lasting:
            lasting += 1
        longest = max(longest, lasting)
    return longest * span


def flows_from(tries: Iterable[tuple[float, float, bool]], begin: float) -> float | None:
    """Tell when the first of the pushes was accepted after which none failed for a second.

    `tries` are the moments at which pushes were sent and answered, and whether they were accepted.
    """
    later = sorted(item for item in tries if item[0] >= begin)
    for place, (sent_at, answered_at, accepted) in enumerate(later):
        if accepted and all(
            following[2] for following in later[place:] if following[0] <= sent_at + 1
        ):
            return answered_at
    return None


def slow_until(
    samples: Mapping[float, float | None], limit: float, begin: float, span: float = 1.0
) -> float | None:
    """Tell when the last span ended in which the slowest hundredth took longer than `limit`.

    `samples` are durations by the moment at which they began, None for what failed; only those from
    `begin` on count. None where no span was slow.
    """
    spans: dict[int, list[float]] = {}
    for moment, seconds in samples.items():
        if moment >= begin:
            duration = float("inf") if seconds is None else seconds
            spans.setdefault(int((moment - begin) // span), []).append(duration)
    slow = [number for number, durations in spans.items() if percentile(durations, 99) > limit]
    return begin + (max(slow) + 1) * span if slow else None


def percentile(sample: Sequence[float], percent: float) -> float:
    """Give a percentile by nearest rank; 0 for an empty sample."""
    ordered = sorted(sample)
    return ordered[max(0, -(-len(ordered) * int(percent) // 100) - 1)] if ordered else 0.0

"""All come back at once: how long it takes when a node, a gateway or more is lost.

Clients pass three queues, one behind the other: a gateway's handshake, a node's, and the write to
Redis that precedes the first `pong`. Who waits longer than the patience of a handshake gives up
and returns later, so that what was done for him is done again.
"""

from collections import deque
from dataclasses import dataclass

_STEP = 0.05
_NEARLY = 0.99
_LONGEST = 3600.0


@dataclass(frozen=True, slots=True)
class Stage:
    """A queue; `rate` is how many clients it serves each second."""

    name: str
    rate: float


@dataclass(frozen=True, slots=True)
class Storm:
    """`clients` come back, at moments spread evenly over `spread` seconds; so they do again."""

    clients: float
    spread: float
    stages: tuple[Stage, ...]
    patience: float = 10.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """Seconds until 99 % are back, and until all are; None where that takes over an hour.

    `tries` is handshakes begun for each client.
    """

    nearly: float | None
    all: float | None
    tries: float
    narrowest: str


def blow(storm: Storm) -> Outcome:
    """Run a storm in steps of 50 ms."""
    queues: list[deque[tuple[float, float]]] = [deque() for _ in storm.stages]
    slots = max(1, round(storm.spread / _STEP))
    coming: deque[float] = deque([storm.clients / slots] * slots)
    back = begun = now = 0.0
    nearly: float | None = None
    while now < _LONGEST:
        now += _STEP
        arrived = coming.popleft() if coming else 0.0
        begun += arrived
        if arrived:
            queues[0].append((now, arrived))
        given_up = 0.0
        for place, stage in enumerate(storm.stages):
            served, lost = _serve(queues[place], stage.rate * _STEP, now - storm.patience)
            given_up += lost
            if place + 1 < len(queues):
                queues[place + 1].extend(served)
            else:
                back += sum(count for _, count in served)
        _return_later(coming, given_up, slots)
        if nearly is None and back >= storm.clients * _NEARLY:
            nearly = now
        if back >= storm.clients - 0.5:
            break
    narrowest = min(storm.stages, key=lambda stage: stage.rate).name
    done = back >= storm.clients - 0.5
    return Outcome(nearly, now if done else None, begun / storm.clients, narrowest)


def _serve(
    queue: deque[tuple[float, float]], room: float, too_early: float
) -> tuple[list[tuple[float, float]], float]:
    """Serve the first in the queue, by when they began; who began too early has gone."""
    served: list[tuple[float, float]] = []
    given_up = 0.0
    while queue and room > 0:
        began, count = queue.popleft()
        if began < too_early:
            given_up += count
            continue
        taken = min(count, room)
        room -= taken
        served.append((began, taken))
        if taken < count:
            queue.appendleft((began, count - taken))
    return served, given_up


def _return_later(coming: deque[float], clients: float, slots: int) -> None:
    if not clients:
        return
    coming.extend([0.0] * (slots - len(coming)))
    for slot in range(slots):
        coming[slot] += clients / slots

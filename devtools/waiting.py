"""Waiting for a condition with a limit, and showing why it did not come."""

import time
from collections.abc import Callable
from pathlib import Path

Progress = Callable[[str], None]

TAIL_LINES = 25


class StartError(Exception):
    """Something that had to start did not; the text says what and shows its log's end."""


def silent(_line: str) -> None:
    """Show nothing."""


def wait_for(
    condition: Callable[[], bool],
    limit: float,
    *,
    interval: float = 0.1,
    each: Callable[[float], None] | None = None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> bool:
    """Ask `condition` every `interval` seconds until it holds or `limit` seconds are over.

    `each` is called after every failed look with the seconds waited so far. Returns whether
    the condition held; exceptions of `condition` and `each` pass through.
    """
    began = clock()
    while True:
        if condition():
            return True
        waited = clock() - began
        if waited >= limit:
            return False
        if each is not None:
            each(waited)
        sleep(min(interval, limit - waited))


def every(seconds: float, act: Callable[[float], None]) -> Callable[[float], None]:
    """Turn `act` into a callback for `wait_for` that acts only once per `seconds`."""
    due = seconds

    def tick(waited: float) -> None:
        nonlocal due
        if waited >= due:
            due = waited + seconds
            act(waited)

    return tick


def tail(log: Path, *, since: int = 0, lines: int = TAIL_LINES) -> str:
    """Give the last `lines` lines of `log` from byte `since` on; a note when there are none."""
    try:
        with log.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(since, size - 32_768))
            text = file.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return f"({log} does not exist)"
    kept = [line for line in text.splitlines() if line.strip()][-lines:]
    return "\n".join(kept) if kept else f"({log} is empty)"

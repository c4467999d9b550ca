"""Start-up that fails with one sentence, and a retry window for servers that start with us."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar

log = logging.getLogger(__name__)

T = TypeVar("T")

_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 3.0


class StartError(Exception):
    """The program cannot start. The message is one sentence for whoever runs it.

    With `final`, trying again cannot help (a wrong password, a bad setting).
    """

    def __init__(self, message: str, *, final: bool = False) -> None:
        super().__init__(message)
        self.final = final


async def retried(what: str, window: timedelta, attempt: Callable[[], Awaitable[T]]) -> T:
    """Call `attempt` until it succeeds or the window is over; pauses grow from 0.2 s to 3 s.

    Raises the last StartError: at once when it is final, else when the window is over. Each attempt
    must end by itself.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + window.total_seconds()
    pause = _FIRST_PAUSE
    told = False
    while True:
        try:
            return await attempt()
        except StartError as error:
            if error.final or loop.time() + pause >= deadline:
                raise
            if not told:
                log.warning(
                    "waiting for %s, for up to %g s: %s", what, window.total_seconds(), error
                )
                told = True
        await asyncio.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE)

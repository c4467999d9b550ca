"""Run a program: logs, event loop, signals, and an end that says why."""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable

import uvloop

from nacos_boot.logs import set_up_logs
from nacos_boot.startup import StartError

log = logging.getLogger(__name__)

_KILLED_BY_SIGNAL = 128


class Stop:
    """The wish to end: SIGTERM or SIGINT. A second signal ends the process at once."""

    def __init__(self) -> None:
        self._requested = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._received, number)

    async def wait(self) -> None:
        """Wait for the first signal."""
        await self._requested.wait()

    @property
    def requested(self) -> bool:
        """Whether a signal has come."""
        return self._requested.is_set()

    def _received(self, number: int) -> None:
        name = signal.Signals(number).name
        if self._requested.is_set():
            log.warning("%s again: ending at once", name)
            logging.shutdown()
            os._exit(_KILLED_BY_SIGNAL + number)
        log.info("%s: shutting down", name)
        self._requested.set()


def run_program(main: Callable[[Stop], Awaitable[None]]) -> int:
    """Run `main(stop)` on uvloop and give the exit code.

    A StartError becomes one sentence on standard error and the code 1.
    """
    set_up_logs()

    async def wrapped() -> None:
        stop = Stop()
        running = asyncio.ensure_future(main(stop))
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        await running

    try:
        uvloop.run(wrapped())
    except StartError as error:
        sys.stderr.write(f"cannot start: {error}\n")
        return 1
    return 0

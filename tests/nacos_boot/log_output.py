"""The log of a program, in a test: its lines in memory, everything put back afterwards."""

import io
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from nacos_boot.logs.levels import LogLevels
from nacos_boot.logs.masking import _KnownSecrets
from nacos_boot.logs.setup import set_up_logs

_KNOWN = ("apscheduler", "uvicorn", "quart", "asyncio", "demo", "demo.db", "py.warnings")


class Output:
    """What was written to standard error."""

    def __init__(self, stream: io.TextIOWrapper, raw: io.BytesIO) -> None:
        self._stream = stream
        self._raw = raw

    @property
    def text(self) -> str:
        self._stream.flush()
        return self._raw.getvalue().decode()

    @property
    def objects(self) -> list[Any]:
        """Each line as JSON; a line that isn't raises."""
        return [json.loads(line) for line in self.text.splitlines()]


@contextmanager
def logging_set_up(**environ: str) -> Iterator[Output]:
    """Set the log up as a program does that starts in this environment."""
    root = logging.getLogger()
    before = {name: logging.getLogger(name).level for name in _KNOWN}
    handlers, level = root.handlers[:], root.level
    raw = io.BytesIO()
    # As Python opens standard error where the locale knows ASCII only.
    stream = io.TextIOWrapper(raw, encoding="ascii", errors="backslashreplace")
    # With force=True, basicConfig closes the handlers that it finds.
    root.handlers[:] = []
    try:
        with (
            mock.patch("sys.stderr", stream),
            mock.patch("nacos_boot.logs.setup.LOG_LEVELS", LogLevels()),
            mock.patch("nacos_boot.logs.masking._known", _KnownSecrets()),
        ):
            set_up_logs(environ)
            yield Output(stream, raw)
    finally:
        logging.captureWarnings(False)
        root.handlers[:] = handlers
        root.setLevel(level)
        for name, known in before.items():
            logging.getLogger(name).setLevel(known)

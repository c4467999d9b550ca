"""The program's log: where it goes, in which form, and with which levels.

The standard library does all of it: a library for structured logs would be one more dependency,
and the lines of the libraries in use come through `logging` in any case.
"""

import logging
import os
import sys
from collections.abc import Mapping
from typing import TextIO

from nacos_boot.logs.levels import LOG_LEVELS
from nacos_boot.logs.lines import LAYOUTS, JsonFormatter, Service, TextFormatter
from nacos_boot.logs.masking import is_secret_name, know_secrets
from nacos_boot.settings.spring import LoggingSection

FORMAT_VARIABLE = "LOGGING_STRUCTURED_FORMAT_CONSOLE"
"""The environment's form of `logging.structured.format.console`, read before any document."""

# They tell of every job run and every request.
_QUIET = ("apscheduler", "uvicorn", "quart", "asyncio")


class _Console(logging.StreamHandler[TextIO]):
    """Standard error. Its formatter can be exchanged while the program runs."""

    def __init__(self) -> None:
        super().__init__(sys.stderr)
        self.form = ""
        self.service = Service()
        self.reform()

    def reform(self) -> None:
        layout = LAYOUTS.get(self.form)
        self.setFormatter(JsonFormatter(layout, self.service) if layout else TextFormatter())

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's own name
        """Write nothing: Python's own report of a line that can't be written quotes it unmasked."""


def set_up_logs(environ: Mapping[str, str] = os.environ) -> None:
    """Send every log record to standard error, in one format, with secrets masked.

    Text, or what the environment says; `apply_logging` follows the settings, once they are known.
    """
    know_secrets(text for name, text in environ.items() if is_secret_name(name))
    console = _Console()
    logging.basicConfig(handlers=[console], level=logging.INFO, force=True)
    logging.captureWarnings(True)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    form = environ.get(FORMAT_VARIABLE, "").strip().lower()
    console.form = form if form in LAYOUTS else ""
    console.reform()


def is_structured() -> bool:
    """Tell whether the log is JSON now, so that nothing else may be written between its lines."""
    return any(console.form for console in _consoles())


def apply_logging(new: LoggingSection, service: Service | None = None) -> None:
    """Have the log follow the settings: format, levels and groups.

    `service` is told in JSON lines; None: as before.
    """
    for console in _consoles():
        console.form = new.structured.format.console
        console.service = service or console.service
        console.reform()
    LOG_LEVELS.use(new.level, new.group)


def _consoles() -> list[_Console]:
    return [handler for handler in logging.getLogger().handlers if isinstance(handler, _Console)]

"""Log lines for people: one format, levels by Spring's `logging.level.*`, no secrets."""

import logging
import re
import sys
from collections.abc import Mapping

_FORMAT = "%(asctime)s %(levelname)-7s %(name)s : %(message)s"
_SPRING_LEVELS = {
    "TRACE": logging.DEBUG,
    "DEBUG": logging.DEBUG,
    "INFO": logging.INFO,
    "WARN": logging.WARNING,
    "WARNING": logging.WARNING,
    "ERROR": logging.ERROR,
    "FATAL": logging.CRITICAL,
    "OFF": logging.CRITICAL + 10,
}
# They tell of every job run and every request.
_QUIET = ("apscheduler", "uvicorn", "quart", "asyncio")
_START_LEVELS = {"root": logging.INFO, **dict.fromkeys(_QUIET, logging.WARNING)}
_SECRET = re.compile(
    r"((?:access[_-]?token|password|secret|authorization|api[_-]?key)['\"]?\s*[:=]\s*['\"]?"
    r"(?:(?:Bearer|Basic)\s+)?)[^\s'\",&;}]+",
    re.IGNORECASE,
)
_BEARER = re.compile(r"(\bbearer[. ])[\w.~+/=-]{12,}", re.IGNORECASE)


def masked(text: str) -> str:
    """Give the text with the values of passwords, tokens and keys replaced."""
    return _BEARER.sub(r"\1******", _SECRET.sub(r"\1******", text))


class _MaskingFormatter(logging.Formatter):
    """Masks the finished line, so that arguments and tracebacks are covered, too."""

    def format(self, record: logging.LogRecord) -> str:
        return masked(super().format(record))


def set_up_logs() -> None:
    """Send every log record to standard error, in one format, with secrets masked."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_MaskingFormatter(_FORMAT))
    logging.basicConfig(handlers=[handler], force=True)
    for name, level in _START_LEVELS.items():
        _logger(name).setLevel(level)


def spring_level(name: str) -> int:
    """Give the level for Spring's name. Raises ValueError with the names that exist."""
    try:
        return _SPRING_LEVELS[name.strip().upper()]
    except KeyError:
        raise ValueError(f"expected one of {', '.join(_SPRING_LEVELS)}") from None


def apply_levels(old: Mapping[str, str], new: Mapping[str, str]) -> None:
    """Set the levels of `logging.level.*`; a logger that is no longer named is as at the start."""
    for name in old.keys() - new.keys():
        _logger(name).setLevel(_START_LEVELS.get(name, logging.NOTSET))
    for name, level in new.items():
        _logger(name).setLevel(spring_level(level))


def _logger(name: str) -> logging.Logger:
    return logging.getLogger("" if name == "root" else name)

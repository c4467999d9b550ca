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
_SECRET = re.compile(
    r"((?:access[_-]?token|password|authorization)['\"]?\s*[:=]\s*['\"]?(?:Bearer\s+)?)[^\s'\",&}]+",
    re.IGNORECASE,
)


class _MaskSecrets(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        masked = _SECRET.sub(r"\1******", text)
        if masked != text:
            record.msg, record.args = masked, None
        return True


def set_up_logs() -> None:
    """Send every log record to standard error, in one format, with secrets masked."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter(_FORMAT))
    handler.addFilter(_MaskSecrets())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    # They tell of every job run and every request.
    for noisy in ("apscheduler", "uvicorn", "quart", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def spring_level(name: str) -> int:
    """Give the level for Spring's name. Raises ValueError with the names that exist."""
    try:
        return _SPRING_LEVELS[name.strip().upper()]
    except KeyError:
        raise ValueError(f"expected one of {', '.join(_SPRING_LEVELS)}") from None


def apply_levels(old: Mapping[str, str], new: Mapping[str, str]) -> None:
    """Set the levels of `logging.level.*`; a logger that is no longer named inherits again."""
    for name in old.keys() - new.keys():
        logging.getLogger("" if name == "root" else name).setLevel(
            logging.INFO if name == "root" else logging.NOTSET
        )
    for name, level in new.items():
        logging.getLogger("" if name == "root" else name).setLevel(spring_level(level))

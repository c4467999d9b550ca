"""Log levels by Spring's names: from the settings, and set by hand above them.

Source: Spring Boot reference, "Logging: Log Levels" and "Log Groups"; actuator, "Loggers".
"""

import logging
from collections.abc import Mapping, Sequence

TRACE = 5
"""Below DEBUG, where uvicorn has it, too; Python itself has no such level."""

_OFF = logging.CRITICAL + 10
LEVELS = {
    "OFF": _OFF,
    "FATAL": logging.CRITICAL,
    "ERROR": logging.ERROR,
    "WARN": logging.WARNING,
    "INFO": logging.INFO,
    "DEBUG": logging.DEBUG,
    "TRACE": TRACE,
}
"""Spring's names, from the least said to the most."""

ROOT = "ROOT"
PREDEFINED_GROUPS: Mapping[str, Sequence[str]] = {"web": ("uvicorn", "quart")}


def spring_level(name: str) -> int:
    """Give the level for Spring's name. Raises ValueError with the names that exist."""
    level = name.strip().upper()
    try:
        return LEVELS["WARN" if level == "WARNING" else level]
    except KeyError:
        raise ValueError(f"expected one of {', '.join(reversed(LEVELS))}") from None


def level_name(level: int) -> str:
    """Give Spring's name for a level; one between two is called by the lower."""
    return next((name for name, known in LEVELS.items() if level >= known), "TRACE")


class LogLevels:
    """The levels of the loggers of this process.

    What is set by hand holds until the logger's entry in the settings changes, or it is taken
    back. A logger that neither names has the level it had before.
    """

    def __init__(self) -> None:
        self._before: dict[str, int] = {}
        self._from_settings: dict[str, int] = {}
        self._groups: Mapping[str, Sequence[str]] = PREDEFINED_GROUPS
        self._by_hand: dict[str, str] = {}

    @property
    def groups(self) -> Mapping[str, Sequence[str]]:
        """The names of the loggers of each group."""
        return self._groups

    def group_level(self, group: str) -> str | None:
        """Give the level that was last set for a whole group, by hand or in the settings."""
        return self._by_hand.get(group)

    def use(self, levels: Mapping[str, str], groups: Mapping[str, Sequence[str]]) -> None:
        """Take over `logging.level.*` and `logging.group.*`: what differs from the last time."""
        self._groups = {**PREDEFINED_GROUPS, **groups}
        wanted: dict[str, int] = {}
        for name, level in levels.items():
            for member in self._groups.get(name, ()):
                wanted[_uniform(member)] = spring_level(level)
        for name, level in levels.items():
            if name not in self._groups:
                wanted[_uniform(name)] = spring_level(level)
        known, self._from_settings = self._from_settings, wanted
        for name in known.keys() | wanted.keys():
            if known.get(name) != wanted.get(name):
                self._set(name, wanted.get(name))
        self._by_hand = {name: levels[name] for name in self._groups if name in levels}

    def set(self, name: str, level: str | None) -> None:
        """Set the level of a logger or a group by hand; None gives it back to the settings.

        Raises ValueError with the names of levels that exist.
        """
        number = None if level is None else spring_level(level)
        if name in self._groups:
            if level is None:
                self._by_hand.pop(name, None)
            else:
                self._by_hand[name] = level_name(spring_level(level))
        for member in self._groups.get(name, (name,)):
            logger = _uniform(member)
            self._set(logger, self._from_settings.get(logger) if number is None else number)

    def _set(self, name: str, level: int | None) -> None:
        logger = logging.getLogger("" if name == ROOT else name)
        if level is None:
            logger.setLevel(self._before.pop(name, logger.level))
        else:
            self._before.setdefault(name, logger.level)
            logger.setLevel(level)


def _uniform(name: str) -> str:
    return ROOT if name.upper() == ROOT else name


LOG_LEVELS = LogLevels()
"""Those of this process: Python's loggers are one tree for all of it."""

"""Settings that change while the program runs: swapped whole, and told to whoever asked."""

import logging
from collections.abc import Callable
from typing import Generic, TypeVar

from pydantic import BaseModel

log = logging.getLogger(__name__)

T = TypeVar("T", bound=BaseModel)


class LiveSettings(Generic[T]):
    """The settings in force.

    Read `current` at the moment of use; subscribe only where a change must cause something (a job
    to be rescheduled, a timer to be restarted).
    """

    def __init__(self, initial: T) -> None:
        self._current = initial
        self._subscribers: list[Callable[[T, T], None]] = []

    @property
    def current(self) -> T:
        """The last settings that passed every check; never a mixture of two versions.

        That goes for those that need a restart, too: a program reads them once, at its start. Where
        such a setting has changed since, `ConfigState.pending` names it.
        """
        return self._current

    def subscribe(self, callback: Callable[[T, T], None]) -> None:
        """Have `callback(old, new)` called after each swap. It must not block."""
        self._subscribers.append(callback)

    def swap(self, new: T) -> None:
        """Put new settings in force and tell the subscribers.

        A subscriber that raises is logged; the others are told all the same, since the settings
        are in force already.
        """
        old, self._current = self._current, new
        for callback in self._subscribers:
            try:
                callback(old, new)
            except Exception:
                log.exception("a component could not take over the new settings")

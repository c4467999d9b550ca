"""Decide about a change of the documents before anything of it is in force. Pure but for the log.

It may run beside the event loop: a document of a megabyte takes tenths of a second.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from pydantic import BaseModel

from nacos_boot.config.state import FaultKind
from nacos_boot.settings.bind import Problem, SettingsError
from nacos_boot.settings.changes import KeyChange, changed_keys, changes, without_effect
from nacos_boot.settings.configuration import Configuration, assemble
from nacos_boot.settings.secret_keys import secrets_of
from nacos_boot.start.bootstrap import Bootstrap

log = logging.getLogger(__name__)

T = TypeVar("T", bound=BaseModel)

MAX_CHANGES = 200
"""Keys of one edit that are told with their values; of more, only how many."""

# What `assemble` writes as the value of a document that must not be blank.
_BLANK = {"(deleted)": FaultKind.DELETED, "(empty)": FaultKind.EMPTY}


@dataclass(frozen=True, slots=True)
class Good(Generic[T]):
    """Documents that may be put in force in place of `before`, and what is to be told of it.

    `changed` are the first of the keys that differ, `more` is the number of the others;
    `without_effect` are edited keys with the source that pins them.
    """

    before: Configuration[T]
    after: Configuration[T]
    changed: tuple[KeyChange, ...]
    more: int
    without_effect: tuple[tuple[str, str], ...]
    secrets: frozenset[str]


@dataclass(frozen=True, slots=True)
class Bad(Generic[T]):
    """Documents that cannot be put in force in place of `before`, and why."""

    before: Configuration[T]
    kind: FaultKind
    message: str
    problems: tuple[Problem, ...] = ()


def secrets_in(configuration: Configuration[T]) -> frozenset[str]:
    """Give all texts in a configuration that are secrets."""
    parts = (configuration.bound.merged, configuration.framework.merged)
    return frozenset().union(*map(secrets_of, parts))


def decide(
    model: type[T], bootstrap: Bootstrap, contents: Mapping[str, str], before: Configuration[T]
) -> Good[T] | Bad[T]:
    """Make settings of the documents, and find all that is to be told. Never raises."""
    try:
        after = assemble(model, bootstrap, contents, replaces=before)
        keys = changed_keys(before.bound.merged, after.bound.merged)
        shown = keys[:MAX_CHANGES]
        return Good(
            before,
            after,
            changes(before.bound.merged, after.bound.merged, shown),
            len(keys) - len(shown),
            tuple(
                (key, after.bound.merged.origin_of(key))
                for key in without_effect(before.bound, after.bound)
            ),
            secrets_in(after),
        )
    except SettingsError as error:
        kinds = {_BLANK.get(problem.value, FaultKind.INVALID) for problem in error.problems}
        kind = kinds.pop() if len(kinds) == 1 else FaultKind.INVALID
        return Bad(before, kind, str(error), error.problems)
    except Exception as error:
        # A check of the program's own settings has a bug; it must not stop the program.
        log.exception("the settings could not be checked")
        message = f"a check of the settings failed: {error!r}"
        return Bad(before, FaultKind.INVALID, message)

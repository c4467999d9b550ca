"""Find the settings that were changed and wait for a restart. Pure: no I/O."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from nacos_boot.settings.bind import Bound
from nacos_boot.settings.changes import shown
from nacos_boot.settings.relaxed import key_of
from nacos_boot.settings.setting import effect_of


@dataclass(frozen=True, slots=True)
class Pending:
    """A setting whose new value waits for a restart; the values are for people, secrets masked.

    `source` names where the new value comes from.
    """

    key: str
    in_use: str
    waiting: str
    source: str

    def __str__(self) -> str:
        return f"{self.key}: {self.in_use} -> {self.waiting} ({self.source})"


def pending_restarts(started: BaseModel, now: Bound[Any]) -> list[Pending]:
    """Compare the settings that the program started with and those of the documents now.

    Only what a restart is needed for; a value edited back to the one in use is not among them.
    """
    return [
        Pending(key, shown(key, old), shown(key, new), now.merged.origin_of(key))
        for key, old, new in _differences(started, now.settings, "", restart=False)
    ]


def _differences(
    old: BaseModel, new: BaseModel, prefix: str, *, restart: bool
) -> Iterator[tuple[str, Any, Any]]:
    for name, field in type(new).model_fields.items():
        key = f"{prefix}{key_of(name, field)}"
        needed = restart or not effect_of(field).live
        before, after = getattr(old, name), getattr(new, name)
        if isinstance(before, BaseModel) and type(before) is type(after):
            yield from _differences(before, after, f"{key}.", restart=needed)
        elif needed and before != after:
            yield key, before, after

"""Declare a setting: its default, meaning and unit, and what a change of it does."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import Field
from pydantic.fields import FieldInfo


@dataclass(frozen=True, slots=True)
class Effect:
    """What a change does: applied while the program runs (`live`), or at its next start.

    `when` says from which moment on, where that isn't at once.
    """

    live: bool
    when: str = ""

    def __str__(self) -> str:
        if not self.live:
            return "needs a restart"
        return f"live: {self.when}" if self.when else "live"


def setting(
    default: Any,
    meaning: str,
    *,
    unit: str = "",
    live: bool = True,
    when: str = "",
    **constraints: Any,
) -> Any:
    """Declare one setting of a section; `constraints` are pydantic's (`ge`, `pattern`, …).

    `meaning` is a sentence for people; `unit` is for numbers (durations carry their own). The
    reference, the schema and the report of pending restarts go by `live` and `when`.
    """
    extra: dict[str, Any] = {"x-live": live}
    if when:
        extra["x-when"] = when
    if unit:
        extra["x-unit"] = unit
    return Field(default=default, description=meaning, json_schema_extra=extra, **constraints)


def effect_of(field: FieldInfo) -> Effect:
    """Give what a change of a field does; a field declared without `setting` is live."""
    extra = _extra(field)
    return Effect(bool(extra.get("x-live", True)), str(extra.get("x-when", "")))


def unit_of(field: FieldInfo) -> str:
    """Give the unit of a number, empty where it has none."""
    return str(_extra(field).get("x-unit", ""))


def _extra(field: FieldInfo) -> Mapping[str, Any]:
    extra = field.json_schema_extra
    return extra if isinstance(extra, Mapping) else {}

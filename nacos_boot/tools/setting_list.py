"""List every setting of a program: key, default, meaning, unit, and what a change of it does."""

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from nacos_boot.settings.relaxed import item_of, key_of, plain_type, section_of
from nacos_boot.settings.setting import Effect, effect_of, unit_of
from nacos_boot.settings.written import as_written

REQUIRED: Any = PydanticUndefined
"""The default of a setting that must be given."""

ITEM = "[]"
"""Stands in a path for each item of a list."""


@dataclass(frozen=True, slots=True)
class Described:
    """One setting. `allowed` says which values it takes beyond its type, where that is limited.

    A setting of each item of a list has ITEM in its path.
    """

    path: tuple[str, ...]
    default: Any
    meaning: str
    unit: str
    effect: Effect
    allowed: str

    @property
    def key(self) -> str:
        """The dotted key; `[]` follows the name of a list whose items are described."""
        return ".".join(self.path).replace(f".{ITEM}", ITEM)


def settings_of(model: type[BaseModel]) -> list[Described]:
    """List the settings of a model in the order of its declarations."""
    return list(_walk(model, _instance(model), ()))


def nearest_key(key: str, models: Sequence[type[BaseModel]]) -> str | None:
    """Give the setting whose key looks most like this one, if any does."""
    known = [one.key for model in models for one in settings_of(model)]
    return next(iter(difflib.get_close_matches(key, known, n=1, cutoff=0.8)), None)


def _walk(
    model: type[BaseModel],
    defaults: BaseModel | None,
    prefix: tuple[str, ...],
    above: tuple[type[BaseModel], ...] = (),
) -> Iterator[Described]:
    within = (*above, model)
    for name, field in model.model_fields.items():
        path = (*prefix, key_of(name, field))
        default = _default(field) if defaults is None else getattr(defaults, name)
        section = section_of(field.annotation)
        if section is not None and default is not None:
            values = default if isinstance(default, BaseModel) else None
            yield from _walk(section, values, path, within)
            continue
        yield Described(
            path,
            default,
            field.description or "",
            unit_of(field),
            effect_of(field),
            _allowed(field),
        )
        item = section_of(item_of(field.annotation))
        # A section within itself would never end.
        if item is not None and item not in within:
            yield from _walk(item, None, (*path, ITEM), within)


def _instance(model: type[BaseModel]) -> BaseModel | None:
    try:
        return model()
    except ValidationError:
        # Something in it must be given, so there are defaults of its parts only.
        return None


def _default(field: FieldInfo) -> Any:
    if field.is_required():
        return REQUIRED
    return field.get_default(call_default_factory=True, validated_data={})


def _allowed(field: FieldInfo) -> str:
    if choices := _choices(field.annotation):
        return f"one of {', '.join(choices)}"
    limits: dict[str, Any] = {}
    for rule in field.metadata:
        for name in ("ge", "gt", "le", "lt", "min_length"):
            if (limit := getattr(rule, name, None)) is not None:
                limits[name] = as_written(limit)
    if "ge" in limits and "le" in limits:
        return f"{limits['ge']} to {limits['le']}"
    words = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
    if limits.get("min_length", 0) > 0:
        return "not empty"
    return ", ".join(f"{word} {limits[name]}" for name, word in words.items() if name in limits)


def _choices(annotation: Any) -> list[str]:
    plain = plain_type(annotation)
    if get_origin(plain) is Literal:
        return [str(value) or "empty" for value in get_args(plain)]
    if isinstance(plain, type) and issubclass(plain, Enum):
        return [str(member.value) for member in plain]
    return []

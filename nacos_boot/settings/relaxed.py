"""Relaxed binding: one setting in several spellings.

`shop.max-items` may be written `shop.maxItems` or `shop.max_items`; `environment.py` has what it is
called in the environment.

Source: Spring Boot reference, "Relaxed Binding".
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel

from nacos_boot.documents.keys import KeyPath, join_key, split_key, unquoted
from nacos_boot.settings.sources import PropertySource, dotted, leaves, put

_IN_PLAIN_MAP = object()


@lru_cache(maxsize=10_000)
def uniform(name: str) -> str:
    """Give the form in which two spellings of one name are equal: lower case, no separators."""
    return name.replace("-", "").replace("_", "").lower()


def spelled(source: PropertySource, model: type[BaseModel]) -> PropertySource:
    """Give a source whose keys are spelled as the model does, with their lines."""
    lines: dict[str, int] = {}
    spelling = _Spelling(model)
    for key, line in source.lines.items():
        lines[spelling.of(key)] = line
    return PropertySource(source.name, canonical(source.tree, model), lines)


def canonical(tree: Mapping[str, Any], model: type[BaseModel]) -> dict[str, Any]:
    """Spell the keys of a tree as the model does; keys the model doesn't know stay as they are.

    A section without any keys (YAML gives it no value) is an empty one. Of two spellings of one
    key in the same tree the last one counts.
    """
    result: dict[str, Any] = {}
    for key, value in tree.items():
        alias, annotation = _spellings(model).get(uniform(key), (key, None))
        child = _spelled(value, annotation)
        present = result.get(alias)
        if isinstance(present, dict) and isinstance(child, dict):
            for path, leaf in leaves(child):
                put(present, path, leaf)
        else:
            result[alias] = child
    return result


def key_of(name: str, field: Any) -> str:
    """Give the YAML key of a model's field."""
    return str(field.alias or name)


def section_of(annotation: Any) -> type[BaseModel] | None:
    """Give the section that a field holds, by itself or as one that may be absent."""
    plain = plain_type(annotation)
    if isinstance(plain, type) and issubclass(plain, BaseModel):
        return plain
    return None


def plain_type(annotation: Any) -> Any:
    """Give the type that a field holds where it holds anything, without its rules."""
    if get_origin(annotation) is Annotated:
        return plain_type(get_args(annotation)[0])
    arguments = get_args(annotation)
    if type(None) in arguments:
        found = [item for item in arguments if item is not type(None)]
        return plain_type(found[0]) if len(found) == 1 else annotation
    return annotation


def item_of(annotation: Any) -> Any:
    """Give the type of a list's items, None where it isn't a list."""
    plain = plain_type(annotation)
    if get_origin(plain) not in {list, tuple, set, frozenset}:
        return None
    return next(iter(get_args(plain)), str)


def value_of_map(annotation: Any) -> Any:
    """Give the type of a map's values, None where it isn't a map."""
    plain = plain_type(annotation)
    return get_args(plain)[1] if get_origin(plain) is dict else None


def is_plain_map(annotation: Any) -> bool:
    """Tell whether a field is a map of single values, whose names may have dots."""
    value = value_of_map(annotation)
    return not (
        value is None or value is Any or section_of(value) or value_of_map(value) is not None
    )


@lru_cache(maxsize=1000)
def _spellings(model: type[BaseModel]) -> Mapping[str, tuple[str, Any]]:
    return {
        uniform(key_of(name, field)): (key_of(name, field), field.annotation)
        for name, field in model.model_fields.items()
    }


def _spelled(value: Any, annotation: Any) -> Any:
    if isinstance(value, list):
        item = item_of(annotation)
        return [_spelled(each, item) for each in value] if section_of(item) else value
    section = section_of(annotation)
    if section is not None:
        if value is None:
            return {}
        return canonical(value, section) if isinstance(value, Mapping) else value
    if isinstance(value, Mapping) and value:
        if is_plain_map(annotation):
            result: dict[str, Any] = {}
            for name, leaf in dotted(value).items():
                put(result, [name], leaf)
            return result
        if (inner := section_of(value_of_map(annotation))) is not None:
            return {name: _spelled(child, inner) for name, child in value.items()}
    return value


class _Spelling:
    """Respells dotted keys; what it found of a section serves all the keys in it."""

    def __init__(self, model: type[BaseModel]) -> None:
        self._known: dict[str, tuple[str, Any]] = {"": ("", model)}

    def of(self, key: str) -> str:
        head, bracket, rest = key.partition("[")
        if not bracket:
            return self._found(key)[0]
        if not head.endswith("."):
            spelling, annotation = self._found(head)
            if section_of(item_of(annotation)) is None and not is_plain_map(annotation):
                # Nothing in this list is the model's to spell.
                return f"{spelling}[{rest}"
        path: KeyPath = ()
        annotation = self._known[""][1]
        for step in split_key(key):
            name, annotation = _step(step, annotation)
            path = (*path, *name)
        return join_key(path)

    def _found(self, key: str) -> tuple[str, Any]:
        found = self._known.get(key)
        if found is None:
            section, _, name = key.rpartition(".")
            above, annotation = self._found(section)
            spelling, below = _step(name, annotation)
            found = (f"{above}.{spelling[0]}" if above else str(spelling[0]), below)
            self._known[key] = found
        return found


def _step(step: str | int, annotation: Any) -> tuple[KeyPath, Any]:
    if annotation is None:
        return (step,), None
    if isinstance(step, int):
        return (step,), item_of(annotation)
    if annotation is _IN_PLAIN_MAP:
        return tuple(unquoted(step).split(".")), annotation
    section = section_of(annotation)
    if section is not None:
        spelling, below = _spellings(section).get(uniform(step), (step, None))
        return (spelling,), below
    if is_plain_map(annotation):
        return _step(step, _IN_PLAIN_MAP)
    return (step,), value_of_map(annotation)

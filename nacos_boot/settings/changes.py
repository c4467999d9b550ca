"""Tell what a new configuration changes: keys, old and new values, secrets masked."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, SecretStr

from nacos_boot.logs.masking import MASK, is_secret_name, masked
from nacos_boot.settings.bind import Bound, display
from nacos_boot.settings.relaxed import key_of
from nacos_boot.settings.sources import MergedTree, leaves
from nacos_boot.settings.text import text_of
from nacos_boot.settings.written import as_written

_ABSENT = object()
_SCALAR = (str, int, float)


@dataclass(frozen=True, slots=True)
class KeyChange:
    """A key whose value differs; the values are for people, secrets masked.

    `source` names the document that gives the new value, or gave the old one where there is none.
    """

    key: str
    old: str
    new: str
    source: str

    def __str__(self) -> str:
        return f"{self.key}: {self.old} -> {self.new} ({self.source})"


def changed_keys(before: MergedTree, after: MergedTree) -> list[str]:
    """List the dotted keys whose values differ, in their order."""
    old, new = _flat(before.tree), _flat(after.tree)
    return [key for key in sorted({*old, *new}) if _differs(key, old, new)]


def changes(before: MergedTree, after: MergedTree, keys: Iterable[str]) -> tuple[KeyChange, ...]:
    """Tell the old and the new values of keys that differ."""
    old, new = _flat(before.tree), _flat(after.tree)
    return tuple(
        KeyChange(
            key,
            _shown(key, old),
            _shown(key, new),
            (after if key in new else before).origin_of(key),
        )
        for key in keys
    )


def without_effect(before: Bound[Any], after: Bound[Any]) -> list[str]:
    """List keys that were edited in the documents while a higher source pins them."""
    known = {source.name: _flat(source.tree) for source in before.sources}
    edited: set[str] = set()
    for source in after.sources:
        old, new = known.get(source.name, {}), _flat(source.tree)
        edited.update(key for key in {*old, *new} if _differs(key, old, new))
    return sorted(key for key in edited if after.merged.origins.get(key) in after.pinning)


def pinned(bound: Bound[Any], documents: Collection[str]) -> dict[str, str]:
    """Give the keys that a higher source pins to another value than the documents', with its name.

    `documents` are the names of those that count.
    """
    in_force = _flat(bound.merged.tree)
    found: dict[str, str] = {}
    for source in (source for source in bound.sources if source.name in documents):
        for key, value in _flat(source.tree).items():
            origin = bound.merged.origins.get(key)
            if origin in bound.pinning and str(in_force.get(key)) != str(value):
                found[key] = origin
    return dict(sorted(found.items()))


def shown(key: str, value: Any) -> str:
    """Write a value for people, with whatever is a secret in it masked."""
    return masked(display(key, _veiled(key, value)))


def _veiled(key: str, value: Any) -> Any:
    if value is None:
        return None
    if is_secret_name(key) or isinstance(value, SecretStr):
        return MASK
    if isinstance(value, BaseModel):
        fields = type(value).model_fields.items()
        value = {key_of(name, field): getattr(value, name) for name, field in fields}
    if isinstance(value, Mapping):
        return {name: _veiled(str(name), item) for name, item in value.items()}
    if isinstance(value, Sequence | AbstractSet) and not isinstance(value, str):
        return [_veiled(key, item) for item in value]
    return as_written(value)


def _flat(tree: Mapping[str, Any]) -> dict[str, Any]:
    return {".".join(path): value for path, value in leaves(tree)}


def _differs(key: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    before, after = old.get(key, _ABSENT), new.get(key, _ABSENT)
    if isinstance(before, _SCALAR) and isinstance(after, _SCALAR):
        # A placeholder's 8080 is text, a document's is a number: to a setting they are the same.
        return text_of(before) != text_of(after)
    return bool(before != after)


def _shown(key: str, values: Mapping[str, Any]) -> str:
    return shown(key, values[key]) if key in values else "(unset)"

"""Tell what a new configuration changes: keys, old and new values, secrets masked."""

from collections.abc import Mapping
from typing import Any

from nacos_boot.settings import Bound, display
from nacos_boot.sources import MergedTree, leaves

_ABSENT = object()


def changed_keys(before: MergedTree, after: MergedTree) -> list[str]:
    """List the dotted keys whose values differ, sorted."""
    old, new = _flat(before.tree), _flat(after.tree)
    return sorted(key for key in {*old, *new} if _differs(key, old, new))


def describe(before: MergedTree, after: MergedTree) -> str:
    """Write the differences as `key: old -> new`, comma-separated."""
    old, new = _flat(before.tree), _flat(after.tree)
    return (
        ", ".join(
            f"{key}: {_shown(key, old)} -> {_shown(key, new)}"
            for key in changed_keys(before, after)
        )
        or "no value differs"
    )


def without_effect(before: Bound[Any], after: Bound[Any]) -> list[str]:
    """List keys that were edited in the documents while a higher source pins them."""
    known = {source.name: _flat(source.tree) for source in before.sources}
    edited: set[str] = set()
    for source in after.sources:
        old, new = known.get(source.name, {}), _flat(source.tree)
        edited.update(key for key in {*old, *new} if _differs(key, old, new))
    return sorted(key for key in edited if after.merged.origins.get(key) in after.pinning)


def _flat(tree: Mapping[str, Any]) -> dict[str, Any]:
    return {".".join(path): value for path, value in leaves(tree)}


def _differs(key: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    return bool(old.get(key, _ABSENT) != new.get(key, _ABSENT))


def _shown(key: str, values: Mapping[str, Any]) -> str:
    return display(key, values[key]) if key in values else "(unset)"

"""Tell what a new configuration changes: keys, old and new values, secrets masked."""

from collections.abc import Mapping, Sequence
from typing import Any

from nacos_boot.settings import display
from nacos_boot.sources import MergedTree, PropertySource, leaves

_ABSENT = object()


def changed_keys(before: MergedTree, after: MergedTree) -> list[str]:
    """List the dotted keys whose values differ, sorted."""
    old, new = _flat(before.tree), _flat(after.tree)
    return sorted(key for key in {*old, *new} if old.get(key, _ABSENT) != new.get(key, _ABSENT))


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


def without_effect(
    old: Sequence[PropertySource], new: Sequence[PropertySource], merged: MergedTree
) -> list[str]:
    """List keys that were edited in the documents while a higher source pins them."""
    documents = {source.name for source in new}
    before = {source.name: _flat(source.tree) for source in old}
    pinned = set()
    for source in new:
        known = before.get(source.name, {})
        for key, value in _flat(source.tree).items():
            edited = known.get(key, _ABSENT) != value
            if edited and merged.origin_of(key) not in documents:
                pinned.add(key)
    return sorted(pinned)


def _flat(tree: Mapping[str, Any]) -> dict[str, Any]:
    return {".".join(path): value for path, value in leaves(tree)}


def _shown(key: str, values: Mapping[str, Any]) -> str:
    return display(key, values[key]) if key in values else "(unset)"

"""Merge several property sources into one tree, and remember where each value came from."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class PropertySource:
    """A named tree of settings: a Nacos document, a local file, the environment."""

    name: str
    tree: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class MergedTree:
    """The tree in force, and for each of its leaves (dotted path) the source that gave it."""

    tree: dict[str, Any]
    origins: Mapping[str, str]

    def origin_of(self, path: str) -> str:
        """Name the source of a leaf, or of everything below a section, comma-separated."""
        if path in self.origins:
            return self.origins[path]
        below = {
            name
            for leaf, name in self.origins.items()
            if leaf.startswith(f"{path}.") or path.startswith(f"{leaf}.") or not path
        }
        return ", ".join(sorted(below)) or "the defaults"


def merge(sources: Sequence[PropertySource]) -> MergedTree:
    """Merge sources given from the lowest to the highest precedence.

    Mappings merge key by key; a list or a value replaces what stood there, as in Spring.
    """
    tree: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for source in sources:
        for path, value in leaves(source.tree):
            _drop_below(origins, path)
            put(tree, path, value)
            origins[".".join(path)] = source.name
    return MergedTree(tree, origins)


def leaves(
    tree: Mapping[str, Any], prefix: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield each leaf as (path, value); an empty mapping is a leaf, so that it isn't lost."""
    for key, value in tree.items():
        path = (*prefix, key)
        if isinstance(value, Mapping) and value:
            yield from leaves(value, path)
        else:
            yield path, value


def put(tree: dict[str, Any], path: Iterable[str], value: Any) -> None:
    """Set the value at a path, turning what is in the way into mappings."""
    *parents, last = path
    place = tree
    for name in parents:
        child = place.get(name)
        if not isinstance(child, dict):
            child = place[name] = {}
        place = child
    if isinstance(value, Mapping) and not value and isinstance(place.get(last), dict):
        return  # an empty section adds nothing to a filled one
    place[last] = value


def _drop_below(origins: dict[str, str], path: tuple[str, ...]) -> None:
    dotted = ".".join(path)
    for gone in [leaf for leaf in origins if leaf.startswith(f"{dotted}.")]:
        del origins[gone]
    for depth in range(1, len(path)):
        origins.pop(".".join(path[:depth]), None)

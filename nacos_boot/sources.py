"""Merge several property sources into one tree, and remember where each value came from."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

_ABSENT = object()


@dataclass(frozen=True, slots=True)
class PropertySource:
    """A named tree of settings: a Nacos document, a local file, the environment.

    `lines` gives the line of each leaf (dotted path, counted from 1) where the source has lines.
    """

    name: str
    tree: Mapping[str, Any]
    lines: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MergedTree:
    """The tree in force, and for each of its leaves (dotted path) the source that gave it.

    `lines` gives the leaf's line in that source, where it has lines.
    """

    tree: dict[str, Any]
    origins: Mapping[str, str]
    lines: Mapping[str, int] = field(default_factory=dict)

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

    Mappings merge key by key; a list or a value replaces what stood under the same key, as in
    Spring.
    """
    tree: dict[str, Any] = {}
    origins: dict[str, str] = {}
    lines: dict[str, int] = {}
    for source in sources:
        for path, value in leaves(source.tree):
            key = ".".join(path)
            put(tree, path, value)
            origins[key] = source.name
            lines.pop(key, None)
            if key in source.lines:
                lines[key] = source.lines[key]
    return MergedTree(tree, origins, lines)


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
    """Set the value at a path; a name with dots stands for several.

    A key may have a value and keys below it (loggers do): to Spring these are separate keys, so
    both stay, and those below stand beside the value under their dotted names.
    """
    *parents, last = ".".join(path).split(".")
    place = tree
    for depth, name in enumerate(parents):
        child = place.setdefault(name, {})
        if not isinstance(child, dict):
            last = ".".join((*parents[depth:], last))
            break
        place = child
    present = place.get(last, _ABSENT)
    if isinstance(value, Mapping) and not value:
        # An empty section adds nothing to what is there.
        place.setdefault(last, {})
        return
    place[last] = value
    if isinstance(present, dict):
        for below, leaf in leaves(present):
            if leaf != {}:
                place[".".join((last, *below))] = leaf

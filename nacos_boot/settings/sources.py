"""Merge several property sources into one tree, and remember where each value came from."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nacos_boot.documents.keys import split_key, unquoted, without_index

_ABSENT = object()


@dataclass(frozen=True, slots=True)
class PropertySource:
    """A named tree of settings: a Nacos document, a local file, the environment.

    `lines` gives the line (counted from 1) of each leaf, section and list item, by its dotted key
    (`a.b[0].c`), where the source has lines.
    """

    name: str
    tree: Mapping[str, Any]
    lines: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MergedTree:
    """The tree in force, and for each of its leaves (dotted path) the source that gave it.

    `lines` gives the line in that source of the leaf and of what a list holds (`a[0].b`), and of a
    section the line in the strongest source that has it, where these have lines.
    """

    tree: dict[str, Any]
    origins: Mapping[str, str]
    lines: Mapping[str, int] = field(default_factory=dict)
    _of_sections: dict[str, set[str]] = field(default_factory=dict, compare=False, repr=False)

    def origin_of(self, path: str) -> str:
        """Name the source of a leaf, or of everything below a section, comma-separated."""
        if path in self.origins:
            return self.origins[path]
        if (outermost := without_index(path)) != path:
            return self.origin_of(outermost)
        below = self._sections().get(path, set())
        while not below and path:
            path = path.rpartition(".")[0]
            below = {self.origins[path]} if path in self.origins else below
        return ", ".join(sorted(below)) or "the defaults"

    def _sections(self) -> Mapping[str, set[str]]:
        # Made when it is first asked for: a good configuration has no need of it.
        if not self._of_sections:
            for leaf, name in self.origins.items():
                section = leaf
                while section:
                    section = section.rpartition(".")[0]
                    self._of_sections.setdefault(section, set()).add(name)
        return self._of_sections

    def line_of(self, path: str) -> int | None:
        """Give the line of a key in the source that `origin_of` names, where that is just one.

        Of an item without a line of its own it is that of what it lies in.
        """
        if path not in self.origins and ", " in self.origin_of(path):
            return None
        while path not in self.lines and "[" in path:
            path = path[: max(path.rindex("["), path.rfind("."))]
        return self.lines.get(path)


def merge(sources: Sequence[PropertySource]) -> MergedTree:
    """Merge sources given from the lowest to the highest precedence.

    Mappings merge key by key; a list or a value replaces what stood under the same key, as in
    Spring.
    """
    tree: dict[str, Any] = {}
    givers: dict[str, PropertySource] = {}
    lines: dict[str, int] = {}
    for source in sources:
        for path, value in leaves(source.tree):
            key = ".".join(path)
            put(tree, path, value)
            givers[key] = source
    for source in sources:
        # A section is none of the leaves, and all that have it tell their lines of it.
        lines |= {
            key: line
            for key, line in source.lines.items()
            if givers.get(without_index(key), source) is source
        }
    return MergedTree(tree, {key: source.name for key, source in givers.items()}, lines)


def leaves(
    tree: Mapping[str, Any], prefix: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield each leaf as (path, value); an empty dict is a leaf, so that it isn't lost."""
    for key, value in tree.items():
        path = (*prefix, key)
        if isinstance(value, dict) and value:
            yield from leaves(value, path)
        else:
            yield path, value


def put(tree: dict[str, Any], path: Iterable[str], value: Any) -> None:
    """Set the value at a path; a name with dots stands for several, unless they are in brackets.

    A key may have a value and keys below it (loggers do): to Spring these are separate keys, so
    both stay, and those below stand beside the value under their dotted names.
    """
    *parents, last = _names(path)
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


def dotted(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Give the leaves of a map by their whole names: nested, dotted or in brackets alike."""
    return {
        ".".join(unquoted(name) for name in path): leaf for path, leaf in leaves(tree) if leaf != {}
    }


def flat(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Give each value by its full key; those of lists are `key[0]`, as in Spring."""
    found: dict[str, Any] = {}
    for path, value in leaves(tree):
        found.update(_items(".".join(path), value))
    return found


def _items(key: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, list | tuple) and value:
        for index, item in enumerate(value):
            yield from _items(f"{key}[{index}]", item)
    elif isinstance(value, Mapping) and value:
        for name, item in value.items():
            yield from _items(f"{key}.{name}", item)
    else:
        yield key, "" if value is None or isinstance(value, list | tuple | Mapping) else value


def _names(path: Iterable[str]) -> Sequence[str]:
    joined = ".".join(path)
    if "[" not in joined:
        return joined.split(".")
    return [str(step) for step in split_key(joined)]

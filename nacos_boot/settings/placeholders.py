r"""Resolve `${NAME:default}` in settings, as Spring does, nested and against the merged tree.

A backslash keeps one as it stands: `\${NAME}` becomes `${NAME}`; `\:` in a name is a colon.

Source: Spring Framework reference, "PropertySource Abstraction", placeholders (6.2).
"""

from collections.abc import Callable, Mapping
from typing import Any

from nacos_boot.documents.keys import split_key
from nacos_boot.settings.relaxed import uniform
from nacos_boot.settings.text import text_of

MAX_DEPTH = 32
"""Levels of placeholders within placeholders, or of values that refer to further values."""

MAX_REPLACEMENTS = 10_000
"""Placeholders that are replaced in one tree: doubling references end here."""

MAX_LENGTH = 1_000_000
"""Characters that all the replacements in one tree may have together."""


_ABSENT = object()


class PlaceholderError(ValueError):
    """A placeholder has no value, refers to itself, or isn't closed; `key` is where it stands."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(f"{key}: {message}")
        self.key = key
        self.message = message


Unset = Callable[[str, str], str]
"""Gives what stands for a placeholder without a value, of its key and the name it asks for."""


def resolve(
    tree: Mapping[str, Any], environ: Mapping[str, str], unset: Unset | None = None
) -> dict[str, Any]:
    """Give the tree with every placeholder replaced.

    A name is looked up in the environment as it is written, then as a dotted key of the tree in
    whatever spelling, then in the environment in its relaxed form (`server.port` as `SERVER_PORT`).
    A key that has no value (`name:`) is an empty text, as in Spring. A name that is nowhere is an
    error, unless `unset` gives a value. Raises PlaceholderError.
    """
    resolver = _Resolver(_lookup_in(tree, environ), unset)
    return {key: resolver.walk(value, key) for key, value in tree.items()}


def expand(text: str, key: str, tree: Mapping[str, Any], environ: Mapping[str, str]) -> str:
    """Give one text, which stands at a key outside the tree, with its placeholders replaced.

    Raises PlaceholderError.
    """
    return str(_Resolver(_lookup_in(tree, environ), None).walk(text, key))


def _lookup_in(tree: Mapping[str, Any], environ: Mapping[str, str]) -> Callable[[str], Any]:
    spellings: dict[int, dict[str, str]] = {}

    def below(place: Any, step: str | int) -> Any:
        if isinstance(step, int):
            return place[step] if isinstance(place, list) and step < len(place) else _ABSENT
        if not isinstance(place, Mapping):
            return _ABSENT
        if step in place:
            return place[step]
        if id(place) not in spellings:
            spellings[id(place)] = {uniform(key): key for key in place}
        written = spellings[id(place)].get(uniform(step))
        return _ABSENT if written is None else place[written]

    def lookup(name: str) -> Any:
        if name in environ:
            return environ[name]
        place: Any = tree
        for step in split_key(name):
            place = below(place, step)
            if place is _ABSENT:
                return environ.get(name.replace(".", "_").replace("-", "").upper())
        return "" if place is None else place

    return lookup


class _Resolver:
    """Expands the values of one tree; what it may spend on that is limited for all together."""

    def __init__(self, lookup: Callable[[str], Any], unset: Unset | None) -> None:
        self._lookup = lookup
        self._unset = unset
        self._replacements = 0
        self._length = 0

    def walk(self, value: Any, key: str) -> Any:
        if isinstance(value, Mapping):
            return {name: self.walk(child, f"{key}.{name}") for name, child in value.items()}
        if isinstance(value, list):
            return [self.walk(child, f"{key}[{index}]") for index, child in enumerate(value)]
        if isinstance(value, str) and "${" in value:
            return self._expand(value, key, (), 0)
        return value

    def _expand(self, text: str, key: str, trail: tuple[str, ...], depth: int) -> str:
        if depth > MAX_DEPTH:
            raise PlaceholderError(key, f"placeholders are nested more than {MAX_DEPTH} deep")
        parts: list[str] = []
        position = 0
        while (start := text.find("${", position)) >= 0:
            if text[position:start].endswith("\\"):
                parts += (text[position : start - 1], "${")
                position = start + 2
                continue
            end = _closing(text, start + 2)
            if end is None:
                raise PlaceholderError(key, "a placeholder '${' is not closed by '}'")
            parts += (text[position:start], self._value(text[start + 2 : end], key, trail, depth))
            position = end + 1
        return "".join((*parts, text[position:]))

    def _value(self, inner: str, key: str, trail: tuple[str, ...], depth: int) -> str:
        raw_name, default = _split_default(inner)
        name = self._expand(raw_name, key, trail, depth + 1).strip()
        if name in trail:
            chain = " -> ".join((*trail, name))[:200]
            raise PlaceholderError(key, f"the placeholder refers to itself ({chain})")
        found = self._lookup(name)
        if found is not None and not isinstance(found, Mapping | list):
            value = self._expand(text_of(found), key, (*trail, name), depth + 1)
        elif default is not None:
            value = self._expand(default, key, trail, depth + 1)
        elif self._unset is not None:
            value = self._unset(key, name)
        else:
            written = raw_name.strip()[:100]
            if written.startswith("random."):
                raise PlaceholderError(
                    key, f"'${{{written}}}' is not honoured here; expected a value, or a variable"
                )
            raise PlaceholderError(
                key,
                f"the placeholder '${{{written}}}' has no value: set {written} in the environment,"
                f" or give a default as in '${{{written}:value}}'",
            )
        self._replacements += 1
        self._length += len(value)
        if self._replacements > MAX_REPLACEMENTS or self._length > MAX_LENGTH:
            raise PlaceholderError(
                key,
                f"the placeholders grow to more than {MAX_REPLACEMENTS} replacements"
                f" or {MAX_LENGTH} characters",
            )
        return value


def _closing(text: str, start: int) -> int | None:
    depth = 0
    for position in range(start, len(text)):
        if text[position] == "{":
            depth += 1
        elif text[position] == "}":
            if depth == 0:
                return position
            depth -= 1
    return None


def _split_default(inner: str) -> tuple[str, str | None]:
    depth = 0
    for position, character in enumerate(inner):
        if character == "{":
            depth += 1
        elif character == "}":
            depth -= 1
        elif character == ":" and depth == 0 and inner[position - 1 : position] != "\\":
            return inner[:position].replace("\\:", ":"), inner[position + 1 :]
    return inner.replace("\\:", ":"), None

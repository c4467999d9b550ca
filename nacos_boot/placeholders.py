"""Resolve `${NAME:default}` in settings, as Spring does, nested and against the merged tree."""

from collections.abc import Callable, Mapping
from typing import Any

MAX_DEPTH = 32
MAX_LENGTH = 1_000_000


class PlaceholderError(ValueError):
    """A placeholder has no value, refers to itself, or isn't closed; `key` is where it stands."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(f"{key}: {message}")
        self.key = key


def resolve(tree: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, Any]:
    """Give the tree with every placeholder replaced.

    A name is looked up in the environment as it is written, then as a dotted key of the tree, then
    in the environment in its relaxed form (`server.port` as `SERVER_PORT`). Raises
    PlaceholderError.
    """

    def lookup(name: str) -> Any:
        if name in environ:
            return environ[name]
        place: Any = tree
        for part in name.split("."):
            if not isinstance(place, Mapping) or part not in place:
                return environ.get(name.replace(".", "_").replace("-", "").upper())
            place = place[part]
        return place

    return {key: _walk(value, key, lookup) for key, value in tree.items()}


def _walk(value: Any, key: str, lookup: Callable[[str], Any]) -> Any:
    if isinstance(value, Mapping):
        return {name: _walk(child, f"{key}.{name}", lookup) for name, child in value.items()}
    if isinstance(value, list):
        return [_walk(child, f"{key}[{index}]", lookup) for index, child in enumerate(value)]
    if isinstance(value, str) and "${" in value:
        return _expand(value, key, lookup, ())
    return value


def _expand(text: str, key: str, lookup: Callable[[str], Any], trail: tuple[str, ...]) -> str:
    if len(trail) > MAX_DEPTH:
        raise PlaceholderError(key, "placeholders are nested too deeply")
    start = text.find("${")
    if start < 0:
        return text
    end = _closing(text, start + 2)
    if end is None:
        raise PlaceholderError(key, f"the placeholder in '{text}' is not closed by '}}'")
    inner = text[start + 2 : end]
    name, default = _split_default(inner)
    name = _expand(name, key, lookup, trail).strip()
    if name in trail:
        chain = " -> ".join((*trail, name))
        raise PlaceholderError(key, f"the placeholder refers to itself ({chain})")
    found = lookup(name)
    if found is None or isinstance(found, Mapping | list):
        if default is None:
            raise PlaceholderError(
                key,
                f"the placeholder '${{{name}}}' has no value: set {name} in the environment,"
                f" or give a default as in '${{{name}:value}}'",
            )
        replacement = _expand(default, key, lookup, trail)
    else:
        replacement = _expand(_as_text(found), key, lookup, (*trail, name))
    expanded = text[:start] + replacement + _expand(text[end + 1 :], key, lookup, trail)
    if len(expanded) > MAX_LENGTH:
        raise PlaceholderError(key, "the expanded value is too long")
    return expanded


def _closing(text: str, start: int) -> int | None:
    depth = 0
    position = start
    while position < len(text):
        if text.startswith("${", position):
            depth += 1
            position += 2
            continue
        if text[position] == "}":
            if depth == 0:
                return position
            depth -= 1
        position += 1
    return None


def _split_default(inner: str) -> tuple[str, str | None]:
    depth = 0
    for position, character in enumerate(inner):
        if inner.startswith("${", position):
            depth += 1
        elif character == "}":
            depth -= 1
        elif character == ":" and depth == 0:
            return inner[:position], inner[position + 1 :]
    return inner, None


def _as_text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)

"""Keys as Spring writes them: `a.b[0].c`, and `"[x.y]"` for a name that holds dots itself.

Source: Spring Boot reference, "Type-safe Configuration Properties" (lists, binding maps).
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from nacos_boot.documents.error import MAX_DEPTH, MAX_KEY, DocumentError

KeyPath = tuple[str | int, ...]
"""A key taken apart: names, and the indexes of list items. A name with dots keeps its brackets."""

_STEP = re.compile(r"\[(?P<index>\d{1,9})\]|\[(?P<quoted>[^\[\]]+)\]|(?P<name>[^.\[\]]+)")
_INDEX = re.compile(r"\[\d{1,9}\]")
_ABSENT = object()


def split_key(key: str) -> KeyPath:
    """Take a key apart at its dots and brackets; brackets that do not pair belong to a name."""
    if "[" not in key:
        return tuple(key.split("."))
    steps: list[str | int] = []
    position = 0
    while position < len(key):
        if steps and key[position] == ".":
            position += 1
        match = _STEP.match(key, position)
        if match is None:
            return tuple(key.split("."))
        if match["index"]:
            steps.append(int(match["index"]))
        else:
            steps.append(match["name"] or unquoted(match[0], strictly=True))
        position = match.end()
    return tuple(steps)


def unquoted(name: str, *, strictly: bool = False) -> str:
    """Take the brackets of a name away; `strictly` only those that nothing makes necessary."""
    if not (name.startswith("[") and name.endswith("]")) or (strictly and "." in name):
        return name
    return name[1:-1]


def join_key(path: Iterable[str | int]) -> str:
    """Write a key path as one dotted key."""
    key = ""
    for step in path:
        key = extended(key, step)
    return key


def extended(key: str, step: str | int) -> str:
    """Write the key of what lies one step below a key."""
    if isinstance(step, int):
        return f"{key}[{step}]"
    return f"{key}.{step}" if key else step


def without_index(key: str) -> str:
    """Give the key of the outermost list that a key lies in, or the key itself."""
    return _INDEX.split(key, maxsplit=1)[0] if "[" in key else key


def descended(path: KeyPath, key: str, name: str, line: int) -> tuple[KeyPath, str]:
    """Give the path and the key of a name (it may have dots) that stands below a key.

    Raises DocumentError where the key grows too long.
    """
    steps = split_key(name)
    for step in steps:
        key = extended(key, step)
    if len(key) > MAX_KEY:
        raise DocumentError(f"the key '{key[:100]}…' has more than {MAX_KEY} characters", line=line)
    return (*path, *steps), key


Entry = tuple[KeyPath, Any, int | None]
"""One value of a document: where it belongs, what it is, and its line."""


class _Branch(dict[str | int, Any]):
    """What grows: names or indexes and what is below them, apart from a value that is a dict."""


def grow(
    entries: Sequence[Entry], lines: Mapping[str, int] | None = None
) -> tuple[dict[str, Any], dict[str, int]]:
    """Make the nested tree of a document's values, and the line of each key, section and item.

    `lines` are those that are known beforehand. A value may have keys below it (loggers do): they
    stand beside it under their dotted names. Raises DocumentError where a key is given twice, is
    too long or too deep, or where a list lacks an item.
    """
    root = _Branch()
    found = dict(lines or {})
    seen: dict[str, int | None] = {}
    for path, value, line in entries:
        key = _checked(path, line, found)
        if key in seen:
            first = f" (first in line {seen[key]})" if seen[key] else ""
            raise DocumentError(f"the key '{key}' is given twice{first}", line=line, key=key)
        seen[key] = line
        _set(root, path, value, line)
    return _finished(root, "", found), found


def _checked(path: KeyPath, line: int | None, lines: dict[str, int]) -> str:
    key = ""
    for step in path:
        key = extended(key, step)
        if len(key) > MAX_KEY:
            raise DocumentError(
                f"the key '{key[:100]}…' has more than {MAX_KEY} characters", line=line
            )
        if line is not None:
            lines.setdefault(key, line)
    if len(path) > MAX_DEPTH:
        raise DocumentError(f"the key '{key[:100]}…' has more than {MAX_DEPTH} names", line=line)
    if isinstance(path[0], int):
        raise DocumentError(f"the key '{key}' begins with an index", line=line, key=key)
    return key


def _set(root: _Branch, path: KeyPath, value: Any, line: int | None) -> None:
    place = root
    for depth, step in enumerate(path[:-1]):
        child = place.get(step, _ABSENT)
        if child is _ABSENT or child is None or child in ({}, []):
            child = place[step] = _Branch()
        elif not isinstance(child, _Branch):
            _beside(place, path[depth:], value, line)
            return
        place = child
    last = path[-1]
    present = place.get(last, _ABSENT)
    if not isinstance(present, _Branch):
        place[last] = value
    elif value is not None and value != {}:
        place[last] = value
        for below, leaf in _leaves(present):
            _beside(place, (last, *below), leaf, line)


def _beside(place: _Branch, path: KeyPath, value: Any, line: int | None) -> None:
    if any(isinstance(step, int) for step in path):
        key = join_key(path)
        raise DocumentError(
            f"the key '{key}' is an item of what has a value of its own", line=line, key=key
        )
    place[".".join(map(str, path))] = value


def _leaves(branch: _Branch, prefix: KeyPath = ()) -> list[tuple[KeyPath, Any]]:
    found: list[tuple[KeyPath, Any]] = []
    for step, value in branch.items():
        path = (*prefix, step)
        found += _leaves(value, path) if isinstance(value, _Branch) else [(path, value)]
    return found


def _finished(value: Any, key: str, lines: Mapping[str, int]) -> Any:
    if not isinstance(value, _Branch):
        return value
    indexes = [step for step in value if isinstance(step, int)]
    if not indexes:
        return {
            str(name): _finished(child, extended(key, name), lines) for name, child in value.items()
        }
    for expected, index in enumerate(sorted(indexes)):
        if index != expected:
            where = f"{key}[{index}]"
            raise DocumentError(
                f"the list '{key}' has an item [{index}] but no item [{expected}]",
                line=lines.get(where),
                key=where,
            )
    if len(indexes) < len(value):
        raise DocumentError(
            f"the key '{key}' is a list and has names below it", line=lines.get(key), key=key
        )
    return [_finished(value[index], f"{key}[{index}]", lines) for index in sorted(indexes)]

"""Read YAML as Spring does (YAML 1.1), with the line of every key, and within limits.

Source: Spring Boot, OriginTrackedYamlLoader; YAML 1.1 type repository.
"""

import re
from collections.abc import Iterator
from typing import Any

import yaml

from nacos_boot.documents.error import (
    MAX_DEPTH,
    MAX_DOCUMENT_BYTES,
    MAX_KEY,
    MAX_NUMBER,
    MAX_VALUES,
    DocumentError,
)
from nacos_boot.documents.keys import Entry, KeyPath, descended, extended, grow

_NO_RESOLVERS = {"tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:value"}
_MAP, _SEQUENCE, _MERGE = (f"tag:yaml.org,2002:{kind}" for kind in ("map", "seq", "merge"))
_NUMBERS = {f"tag:yaml.org,2002:{kind}" for kind in ("int", "float")}
# PyYAML wants a dot and a signed exponent in a number; SnakeYAML, which Spring uses, does not.
_EXPONENT = re.compile(r"[-+]?(?:\d[\d_]*(?:\.[\d_]*)?|\.\d[\d_]*)[eE][-+]?\d+$", re.ASCII)


class _Loader(yaml.CSafeLoader):
    """YAML 1.1 as Spring reads it: a date stays text, and `1e3` is a number."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - PyYAML's own class attribute, not ours to type
        first: [(tag, pattern) for tag, pattern in resolvers if tag not in _NO_RESOLVERS]
        for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
    }


_Loader.add_implicit_resolver("tag:yaml.org,2002:float", _EXPONENT, "-+.0123456789")


def read_yaml(text: str) -> Iterator[tuple[dict[str, Any], dict[str, int], int]]:
    """Give each document of the text: its tree, the lines of its keys, and its own first line.

    A dotted key (`shop.cart.limit: 5`) means the same as the nested form, as in Spring. A key is
    the text that stands there, whatever YAML would make of it. Raises DocumentError.
    """
    try:
        _check_extent(text)
        loader = _Loader(text)
        try:
            while loader.check_node():
                root = loader.get_node()
                if root is not None:
                    yield _Reading(loader).document(root)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        raise _explained(error, text) from error
    except yaml.YAMLError as error:
        raise DocumentError(f"not valid YAML: {' '.join(str(error).split())}") from error


class _Extent:
    """How much would be built, told before it is: an alias counts as much as its anchor."""

    def __init__(self) -> None:
        self._values = 0
        self._characters = 0
        self._sizes: dict[str, tuple[int, int]] = {}
        self._open: list[tuple[str | None, int, int]] = []

    def add(self, event: yaml.Event) -> None:
        if isinstance(event, yaml.CollectionStartEvent):
            self._open.append((event.anchor, self._values, self._characters))
            self._values += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, values, characters = self._open.pop()
            if anchor:
                self._sizes[anchor] = (self._values - values, self._characters - characters)
        elif isinstance(event, yaml.AliasEvent):
            values, characters = self._sizes.get(event.anchor or "", (1, 0))
            self._values += values
            self._characters += characters
        elif isinstance(event, yaml.ScalarEvent):
            if event.anchor:
                self._sizes[event.anchor] = (1, len(event.value))
            self._values += 1
            self._characters += len(event.value)

    def fault(self, event: yaml.Event) -> str:
        """Say what is too much, or that an alias lies in its own anchor; empty if all is well."""
        if isinstance(event, yaml.AliasEvent) and any(
            anchor == event.anchor for anchor, _, _ in self._open
        ):
            return f"the alias '*{event.anchor}' contains itself"
        if self._values > MAX_VALUES:
            return f"more than {MAX_VALUES} values, aliases written out"
        if self._characters > MAX_DOCUMENT_BYTES:
            return f"more than {MAX_DOCUMENT_BYTES} characters, aliases written out"
        if len(self._open) > MAX_DEPTH:
            return f"nested more than {MAX_DEPTH} levels deep"
        return ""


def _check_extent(text: str) -> None:
    extent = _Extent()
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        extent.add(event)
        if fault := extent.fault(event):
            line = event.start_mark.line + 1 if event.start_mark else None
            raise DocumentError(fault, line=line)


class _Reading:
    """Walks the nodes of one document."""

    def __init__(self, loader: _Loader) -> None:
        self._loader = loader
        self._entries: list[Entry] = []
        self._lines: dict[str, int] = {}

    def document(self, root: yaml.Node) -> tuple[dict[str, Any], dict[str, int], int]:
        first = _line(root)
        if isinstance(root, yaml.ScalarNode) and self._value(root, "", first) is None:
            return {}, {}, first
        if not isinstance(root, yaml.MappingNode):
            raise DocumentError("expected a mapping of keys to values at the top", line=first)
        _check_keys(root)
        self._walk(root, (), "", first)
        return (*grow(self._entries, self._lines), first)

    def _walk(self, node: yaml.Node, path: KeyPath, key: str, line: int) -> None:
        if path:
            self._lines.setdefault(key, line)
        if isinstance(node, yaml.MappingNode) and node.tag == _MAP:
            self._loader.flatten_mapping(node)
            # After a merge the later entry of a name is the mapping's own.
            children = {name.value: (name, child) for name, child in node.value}
            for name, (name_node, child) in children.items():
                at = _line(name_node)
                below, below_key = descended(path, key, name, at)
                self._walk(child, below, below_key, at)
            if not children and path:
                self._entries.append((path, {}, line))
        elif isinstance(node, yaml.SequenceNode) and node.tag == _SEQUENCE:
            for index, child in enumerate(node.value):
                self._walk(child, (*path, index), extended(key, index), _line(child))
            if not node.value:
                self._entries.append((path, [], line))
        else:
            self._entries.append((path, self._value(node, key, line), line))

    def _value(self, node: yaml.Node, key: str, line: int) -> Any:
        if node.tag in _NUMBERS and len(node.value) > MAX_NUMBER:
            raise DocumentError(
                f"the value of '{key}' is a number of more than {MAX_NUMBER} characters;"
                " quote it where it is meant as text",
                line=line,
                key=key,
            )
        try:
            value = self._loader.construct_object(node, deep=True)
        except yaml.YAMLError:
            raise
        except (ValueError, LookupError, AttributeError, TypeError, OverflowError) as error:
            # What PyYAML's constructors raise for a value that does not fit its tag.
            raise DocumentError(
                f"the value of '{key}' cannot be read: {error}", line=line, key=key
            ) from error
        if value is None or isinstance(value, str | int | float):
            return value
        raise DocumentError(
            f"the value of '{key}' has the tag {node.tag}; expected text, a number, a list or keys",
            line=line,
            key=key,
        )


def _check_keys(root: yaml.Node) -> None:
    waiting: list[tuple[yaml.Node, str]] = [(root, "")]
    checked: set[int] = set()
    while waiting:
        node, above = waiting.pop()
        if isinstance(node, yaml.ScalarNode) or id(node) in checked:
            continue
        checked.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            waiting += [(child, above) for child in node.value]
            continue
        lines: dict[str, int] = {}
        for key_node, value_node in node.value:
            line = _line(key_node)
            if not isinstance(key_node, yaml.ScalarNode):
                raise DocumentError("expected a name as the key", line=line)
            key = key_node.value
            waiting.append((value_node, extended(above, key)[:MAX_KEY]))
            if key in lines and key_node.tag != _MERGE:
                raise DocumentError(
                    f"the key '{key[:100]}' stands twice (first in line {lines[key]})",
                    line=line,
                    key=extended(above, key[:100]),
                )
            lines[key] = line


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _explained(error: yaml.MarkedYAMLError, text: str) -> DocumentError:
    message = ", ".join(part for part in (error.context, error.problem) if part)
    if error.problem_mark is None:
        return DocumentError(message or "not valid YAML")
    index = error.problem_mark.line
    lines = text.splitlines()
    at_fault = lines[index] if index < len(lines) else ""
    if "\t" in at_fault[: len(at_fault) - len(at_fault.lstrip())]:
        message = "a tab indents this line; YAML wants spaces"
    return DocumentError(message, line=index + 1)

"""Read a YAML document of settings, and tell what is wrong with it instead of guessing."""

from collections.abc import Hashable
from typing import Any

import yaml

from nacos_boot.sources import leaves, put

MAX_DOCUMENT_BYTES = 1_000_000
"""Nacos itself stores up to 10 MiB; a settings document of over a megabyte is a mistake."""

MAX_VALUES = 10_000
"""Values, lists and mappings that one document may hold, counted with its aliases written out."""

MAX_DEPTH = 50
"""Levels of nesting, by indentation, brackets or dots."""

_NO_RESOLVERS = {"tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:value"}


class DocumentError(ValueError):
    """A document cannot be read; the message names the line and what was expected.

    `line` counts from 1 and is None where the fault has no place.
    """

    def __init__(self, message: str, *, line: int | None = None) -> None:
        super().__init__(f"line {line}: {message}" if line else message)
        self.line = line


class _Loader(yaml.CSafeLoader):
    """YAML 1.1 as Spring reads it: a date stays text, and a key is the text that stands there."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - PyYAML's own class attribute, not ours to type
        first: [(tag, pattern) for tag, pattern in resolvers if tag not in _NO_RESOLVERS]
        for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        self.flatten_mapping(node)
        return {
            key_node.value: self.construct_object(value_node, deep=deep)
            for key_node, value_node in node.value
        }


def parse_yaml(text: str) -> dict[str, Any]:
    """Read one YAML document into a nested dict whose keys are single names.

    A dotted key (`shop.cart.limit: 5`) means the same as the nested form, as in Spring.
    An empty document gives an empty dict. Raises DocumentError.
    """
    tree = _load(text)
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise DocumentError("expected a mapping of keys to values at the top", line=1)
    result: dict[str, Any] = {}
    seen: set[str] = set()
    for path, value in leaves(tree):
        key = ".".join(path)
        if key in seen:
            raise DocumentError(f"the key '{key}' is given twice, nested and dotted")
        if key.count(".") >= MAX_DEPTH:
            raise DocumentError(f"the key '{key[:100]}…' has more than {MAX_DEPTH} names")
        seen.add(key)
        put(result, path, value)
    return result


def _load(text: str) -> Any:
    try:
        _check_bytes(text)
        _check_extent(text)
        loader = _Loader(text)
        try:
            root = loader.get_single_node()
            if root is None:
                return None
            _check_keys(root)
            return loader.construct_document(root)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        raise _explained(error, text) from error
    except yaml.YAMLError as error:
        raise DocumentError(f"not valid YAML: {' '.join(str(error).split())}") from error
    except DocumentError:
        raise
    except (ValueError, LookupError, AttributeError, TypeError) as error:
        # What PyYAML's constructors raise for a value that does not fit its tag.
        raise DocumentError(f"a value cannot be read: {error}") from error


def _check_bytes(text: str) -> None:
    if len(text.encode()) > MAX_DOCUMENT_BYTES:
        raise DocumentError(f"larger than {MAX_DOCUMENT_BYTES} bytes")


def _check_extent(text: str) -> None:
    """Measure what would be built before it is: an alias counts as much as its anchor."""
    sizes: dict[str, int] = {}
    open_nodes: list[tuple[str | None, int]] = []
    total = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        line = event.start_mark.line + 1 if event.start_mark else None
        if isinstance(event, yaml.CollectionStartEvent):
            open_nodes.append((event.anchor, total))
            total += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = open_nodes.pop()
            if anchor:
                sizes[anchor] = total - before
        elif isinstance(event, yaml.AliasEvent):
            if any(anchor == event.anchor for anchor, _ in open_nodes):
                raise DocumentError(f"the alias '*{event.anchor}' contains itself", line=line)
            total += sizes.get(event.anchor or "", 1)
        elif isinstance(event, yaml.ScalarEvent):
            total += 1
        if total > MAX_VALUES:
            raise DocumentError(f"more than {MAX_VALUES} values, aliases written out", line=line)
        if len(open_nodes) > MAX_DEPTH:
            raise DocumentError(f"nested more than {MAX_DEPTH} levels deep", line=line)


def _check_keys(root: yaml.Node) -> None:
    waiting, checked = [root], set()
    while waiting:
        node = waiting.pop()
        if isinstance(node, yaml.ScalarNode) or id(node) in checked:
            continue
        checked.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            waiting += node.value
            continue
        lines: dict[str, int] = {}
        for key_node, value_node in node.value:
            waiting.append(value_node)
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                raise DocumentError("expected a name as the key", line=line)
            key = key_node.value
            if key in lines and key_node.tag != "tag:yaml.org,2002:merge":
                raise DocumentError(
                    f"the key '{key}' stands twice (first in line {lines[key]})", line=line
                )
            lines[key] = line


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

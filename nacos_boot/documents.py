"""Read a YAML document of settings, and tell what is wrong with it instead of guessing."""

from collections.abc import Hashable
from typing import Any

import yaml

MAX_DOCUMENT_BYTES = 1_000_000
"""Nacos itself stores up to 10 MiB; a settings document of over a megabyte is a mistake."""

MAX_ALIASES = 100
"""YAML aliases that one document may use: enough for anchors, too few for an alias bomb."""


class DocumentError(ValueError):
    """A document cannot be read; the message names the line and what was expected.

    `line` counts from 1 and is None where the fault has no place.
    """

    def __init__(self, message: str, *, line: int | None = None) -> None:
        super().__init__(f"line {line}: {message}" if line else message)
        self.line = line


class _Loader(yaml.CSafeLoader):
    """YAML 1.1 as Spring's SnakeYAML reads it, with duplicate keys and alias bombs refused."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: dict[str, int] = {}
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = str(key_node.value)
            line = key_node.start_mark.line + 1
            if key in seen:
                raise DocumentError(
                    f"the key '{key}' stands twice (first in line {seen[key]})", line=line
                )
            seen[key] = line
        return super().construct_mapping(node, deep)


def parse_yaml(text: str) -> dict[str, Any]:
    """Read one YAML document into a nested dict whose keys are single names.

    A dotted key (`websocket.push.mode: routed`) means the same as the nested form, as in Spring.
    An empty document gives an empty dict. Raises DocumentError.
    """
    if len(text.encode()) > MAX_DOCUMENT_BYTES:
        raise DocumentError(f"larger than {MAX_DOCUMENT_BYTES} bytes")
    try:
        _refuse_alias_bomb(text)
        # The loader is a subclass of the safe one.
        tree = yaml.load(text, Loader=_Loader)  # noqa: S506
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        raise DocumentError(error.problem or "not valid YAML", line=line) from error
    except yaml.YAMLError as error:
        raise DocumentError(f"not valid YAML: {error}") from error
    except RecursionError as error:
        raise DocumentError("nested too deeply") from error
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise DocumentError("expected a mapping of keys to values at the top", line=1)
    return _nested(tree)


def _refuse_alias_bomb(text: str) -> None:
    # Counted before anything is built: the parser hands out events one by one.
    aliases = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.AliasEvent):
            aliases += 1
            if aliases > MAX_ALIASES:
                raise DocumentError(f"more than {MAX_ALIASES} aliases; write the values out")


def _nested(tree: dict[Any, Any]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for raw_key, raw_value in tree.items():
        value = _nested(raw_value) if isinstance(raw_value, dict) else raw_value
        *parents, last = str(raw_key).split(".")
        place = result
        for name in parents:
            child = place.setdefault(name, {})
            if not isinstance(child, dict):
                raise DocumentError(f"'{raw_key}': '{name}' is a value and a mapping at once")
            place = child
        existing = place.get(last)
        if isinstance(existing, dict) and isinstance(value, dict):
            _merge_into(existing, value, str(raw_key))
        elif last in place:
            raise DocumentError(f"the key '{raw_key}' is given twice, nested and dotted")
        else:
            place[last] = value
    return result


def _merge_into(target: dict[str, Any], extra: dict[str, Any], where: str) -> None:
    for key, value in extra.items():
        present = target.get(key)
        if isinstance(present, dict) and isinstance(value, dict):
            _merge_into(present, value, f"{where}.{key}")
        elif key in target:
            raise DocumentError(f"the key '{where}.{key}' is given twice, nested and dotted")
        else:
            target[key] = value

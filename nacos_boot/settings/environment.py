"""Settings from outside the documents: environment variables, the command line, a JSON variable.

Source: Spring Boot reference, "Binding From Environment Variables", "JSON Application Properties",
"Accessing Command Line Properties".
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from nacos_boot.documents.error import DocumentError
from nacos_boot.documents.keys import Entry, grow, join_key, split_key
from nacos_boot.documents.parse import parse
from nacos_boot.settings.relaxed import is_plain_map, item_of, key_of, section_of
from nacos_boot.settings.sources import PropertySource, leaves, put

JSON_VARIABLE = "SPRING_APPLICATION_JSON"


def from_environment(
    environ: Mapping[str, str], model: type[BaseModel], known: Mapping[str, Any]
) -> PropertySource:
    """Give the settings that environment variables pin.

    Every key of the model, and every key that stands in the `known` tree, can be set: dots become
    underscores, dashes go or become underscores, letters become capitals. Items of lists are
    numbered (`SHOP_NAMES_0`, `SHOP_POOLS_0_SIZE`). Below a setting that is a map any further name
    is a key, in small letters and with dots for underscores. Raises DocumentError where a list
    lacks an item.
    """
    tree: dict[str, Any] = {}
    names: set[str] = set()
    paths = {*(path for path, _ in _settings(model)), *(path for path, _ in leaves(known))}
    for path in sorted(paths):
        for name in environment_names(path):
            names.add(name)
            if name in environ:
                put(tree, path, environ[name])
                break
    for path, annotation in _settings(model):
        if not any(name in environ for name in environment_names(path)):
            for below, value in _parts(environ, path, annotation, names):
                put(tree, below, value)
    return PropertySource("the environment", tree)


def environment_names(path: Sequence[str]) -> tuple[str, str]:
    """Name the two variables that set a key: Spring's form, and the one with underscores."""
    joined = "_".join(path).replace(".", "_")
    return joined.replace("-", "").upper(), joined.replace("-", "_").upper()


def from_json_variable(environ: Mapping[str, str]) -> PropertySource | None:
    """Read the JSON object in SPRING_APPLICATION_JSON, where there is one. Raises DocumentError."""
    documents = parse(environ.get(JSON_VARIABLE, ""), "json")
    return PropertySource(JSON_VARIABLE, documents[0].tree) if documents else None


def from_arguments(arguments: Sequence[str]) -> PropertySource:
    """Read `--key=value` arguments, as Spring Boot's command line does; the last of a key wins.

    Raises ValueError for anything else.
    """
    entries: dict[str, Entry] = {}
    for argument in arguments:
        key, equals, value = argument.removeprefix("--").partition("=")
        if not argument.startswith("--") or not equals or not key:
            raise ValueError(f"'{argument}' is not understood: expected --key=value")
        path = split_key(key)
        entries[join_key(path)] = (path, value, None)
    try:
        tree, _ = grow(list(entries.values()))
    except DocumentError as error:
        raise ValueError(f"the command line: {error.message}") from error
    return PropertySource("the command line", tree)


def _parts(
    environ: Mapping[str, str], path: tuple[str, ...], annotation: Any, taken: Collection[str]
) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield what variables say of a list or a map by parts; `taken` are names of other keys."""
    if (item := item_of(annotation)) is not None:
        if items := _items(environ, path, item):
            yield path, items
    elif is_plain_map(annotation):
        for prefix in (f"{name}_" for name in dict.fromkeys(environment_names(path))):
            for name, value in environ.items():
                if name.startswith(prefix) and name not in taken:
                    below = name.removeprefix(prefix).lower().replace("_", ".")
                    yield (*path, below), value


def _items(environ: Mapping[str, str], path: tuple[str, ...], item: Any) -> list[Any]:
    found: dict[int, Any] = {}
    section = section_of(item)
    pattern = re.compile(
        rf"(?:{'|'.join(map(re.escape, environment_names(path)))})_(\d{{1,6}})(_|$)"
    )
    for name, value in environ.items():
        match = pattern.match(name)
        if match is None or (section is None) != (match[2] == ""):
            continue
        index = int(match[1])
        if section is None:
            found[index] = value
        elif index not in found:
            found[index] = _section(environ, (*path, match[1]), section)
    items = {index: value for index, value in sorted(found.items()) if value != {}}
    for expected, index in enumerate(items):
        if index != expected:
            key = f"{'.'.join(path)}[{index}]"
            raise DocumentError(
                f"the environment has an item [{index}] of this list, but no item [{expected}]",
                key=key,
            )
    return list(items.values())


def _section(
    environ: Mapping[str, str], path: tuple[str, ...], model: type[BaseModel]
) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for below, _ in _settings(model):
        for name in environment_names((*path, *below)):
            if name in environ:
                put(tree, below, environ[name])
                break
    return tree


def _settings(
    model: type[BaseModel], prefix: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield the path and the type of every setting that a model knows, sections opened."""
    for name, field in model.model_fields.items():
        path = (*prefix, key_of(name, field))
        section = section_of(field.annotation)
        if section is not None:
            yield from _settings(section, path)
        else:
            yield path, field.annotation

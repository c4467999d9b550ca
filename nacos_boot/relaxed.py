"""Relaxed binding: the same setting written as `max-connections`, `maxConnections`, or in the
environment as `WEBSOCKET_LIMITS_MAXCONNECTIONS`.

Source: Spring Boot reference, "Relaxed Binding".
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel

from nacos_boot.sources import PropertySource, leaves, put


def uniform(name: str) -> str:
    """Give the form in which two spellings of one name are equal: lower case, no separators."""
    return name.replace("-", "").replace("_", "").lower()


def canonical(tree: Mapping[str, Any], model: type[BaseModel]) -> dict[str, Any]:
    """Spell the keys of a tree as the model does; keys the model doesn't know stay as they are."""
    spellings = {
        uniform(field.alias or name): (field.alias or name, _model_of(field.annotation))
        for name, field in model.model_fields.items()
    }
    result: dict[str, Any] = {}
    for key, value in tree.items():
        alias, section = spellings.get(uniform(key), (key, None))
        if section is not None and isinstance(value, Mapping):
            result[alias] = canonical(value, section)
        else:
            result[alias] = value
    return result


def from_environment(
    environ: Mapping[str, str], model: type[BaseModel], known: Mapping[str, Any]
) -> PropertySource:
    """Give the settings that environment variables pin.

    Every key of the model, and every key that stands in the `known` tree, can be set: dots become
    underscores, dashes go or become underscores, letters become capitals.
    """
    tree: dict[str, Any] = {}
    paths = {*model_paths(model), *(path for path, _ in leaves(known))}
    for path in paths:
        for name in environment_names(path):
            if name in environ:
                put(tree, path, environ[name])
                break
    return PropertySource("the environment", tree)


def environment_names(path: Sequence[str]) -> tuple[str, str]:
    """Name the two variables that set a key: Spring's form, and the one with underscores."""
    dotted = "_".join(path)
    return dotted.replace("-", "").upper(), dotted.replace("-", "_").upper()


def from_arguments(arguments: Sequence[str]) -> PropertySource:
    """Read `--key=value` arguments, as Spring Boot's command line does.

    Raises ValueError for anything else.
    """
    tree: dict[str, Any] = {}
    for argument in arguments:
        key, equals, value = argument.removeprefix("--").partition("=")
        if not argument.startswith("--") or not equals or not key:
            raise ValueError(f"'{argument}' is not understood: expected --key=value")
        put(tree, key.split("."), value)
    return PropertySource("the command line", tree)


def model_paths(model: type[BaseModel], prefix: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the path of every leaf setting that a model knows."""
    for name, field in model.model_fields.items():
        path = (*prefix, field.alias or name)
        section = _model_of(field.annotation)
        if section is None:
            yield path
        else:
            yield from model_paths(section, path)


def _model_of(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in get_args(annotation):
        if isinstance(argument, type) and issubclass(argument, BaseModel):
            # A list of sections is one value: Spring replaces lists as a whole.
            return argument if type(None) in get_args(annotation) else None
    return None

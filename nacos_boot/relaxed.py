"""Relaxed binding: one setting in several spellings, in documents and in the environment.

`shop.max-items` may be written `shop.maxItems`, and in the environment it is `SHOP_MAXITEMS` or
`SHOP_MAX_ITEMS`.

Source: Spring Boot reference, "Relaxed Binding".
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args, get_origin

from pydantic import BaseModel

from nacos_boot.sources import PropertySource, leaves, put


def uniform(name: str) -> str:
    """Give the form in which two spellings of one name are equal: lower case, no separators."""
    return name.replace("-", "").replace("_", "").lower()


def canonical(tree: Mapping[str, Any], model: type[BaseModel]) -> dict[str, Any]:
    """Spell the keys of a tree as the model does; keys the model doesn't know stay as they are.

    A section without any keys (YAML gives it no value) is an empty one. Of two spellings of one
    key in the same tree the last one counts.
    """
    spellings = {
        uniform(_key(name, field)): (_key(name, field), field.annotation)
        for name, field in model.model_fields.items()
    }
    result: dict[str, Any] = {}
    for key, value in tree.items():
        alias, annotation = spellings.get(uniform(key), (key, None))
        spelled = _spelled(value, annotation)
        present = result.get(alias)
        if isinstance(present, dict) and isinstance(spelled, dict):
            for path, leaf in leaves(spelled):
                put(present, path, leaf)
        else:
            result[alias] = spelled
    return result


def from_environment(
    environ: Mapping[str, str], model: type[BaseModel], known: Mapping[str, Any]
) -> PropertySource:
    """Give the settings that environment variables pin.

    Every key of the model, and every key that stands in the `known` tree, can be set: dots become
    underscores, dashes go or become underscores, letters become capitals. Below a setting that is a
    map any further name is a key, in small letters and with dots for underscores.
    """
    tree: dict[str, Any] = {}
    names: set[str] = set()
    paths = {*_model_paths(model), *(path for path, _ in leaves(known))}
    for path in sorted(paths):
        for name in environment_names(path):
            names.add(name)
            if name in environ:
                put(tree, path, environ[name])
                break
    for path in _model_paths(model, maps=True):
        prefixes = [f"{name}_" for name in environment_names(path)]
        for name, value in environ.items():
            prefix = next((prefix for prefix in prefixes if name.startswith(prefix)), "")
            if prefix and name not in names:
                put(tree, (*path, name.removeprefix(prefix).lower().replace("_", ".")), value)
    return PropertySource("the environment", tree)


def environment_names(path: Sequence[str]) -> tuple[str, str]:
    """Name the two variables that set a key: Spring's form, and the one with underscores."""
    joined = "_".join(path).replace(".", "_")
    return joined.replace("-", "").upper(), joined.replace("-", "_").upper()


def from_arguments(arguments: Sequence[str]) -> PropertySource:
    """Read `--key=value` arguments, as Spring Boot's command line does.

    Raises ValueError for anything else.
    """
    tree: dict[str, Any] = {}
    for argument in arguments:
        key, equals, value = argument.removeprefix("--").partition("=")
        if not argument.startswith("--") or not equals or not key:
            raise ValueError(f"'{argument}' is not understood: expected --key=value")
        put(tree, [key], value)
    return PropertySource("the command line", tree)


def _model_paths(
    model: type[BaseModel], prefix: tuple[str, ...] = (), *, maps: bool = False
) -> Iterator[tuple[str, ...]]:
    """Yield the path of every leaf setting that a model knows, or only of those that are maps."""
    for name, field in model.model_fields.items():
        path = (*prefix, _key(name, field))
        section = _section(field.annotation)
        if section is not None:
            yield from _model_paths(section, path, maps=maps)
        elif not maps or get_origin(field.annotation) is dict:
            yield path


def _key(name: str, field: Any) -> str:
    return str(field.alias or name)


def _spelled(value: Any, annotation: Any) -> Any:
    section = _section(annotation)
    if section is not None:
        if value is None:
            return {}
        return canonical(value, section) if isinstance(value, Mapping) else value
    if isinstance(value, list) and get_origin(annotation) in {list, tuple}:
        item = next(iter(get_args(annotation)), None)
        return [_spelled(each, item) for each in value]
    return value


def _section(annotation: Any) -> type[BaseModel] | None:
    """Give the section that a field holds, by itself or as one that may be absent."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    arguments = get_args(annotation)
    if type(None) in arguments:
        found = [item for item in arguments if item is not type(None)]
        return _section(found[0]) if len(found) == 1 else None
    return None

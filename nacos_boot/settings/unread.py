"""Find the keys of a document that a program does not read: in open sections no error tells."""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from nacos_boot.settings.relaxed import canonical, key_of, section_of
from nacos_boot.settings.sources import leaves


def unread_keys(tree: Mapping[str, Any], model: type[BaseModel]) -> list[str]:
    """List the dotted keys of a tree that the model passes over, spelled as the tree has them.

    Keys that the model refuses are not among them.
    """
    return list(_unread(tree, model, ()))


def _unread(
    tree: Mapping[str, Any], model: type[BaseModel], prefix: tuple[str, ...]
) -> Iterator[str]:
    fields = {key_of(name, field): field for name, field in model.model_fields.items()}
    for key, value in tree.items():
        path = (*prefix, key)
        # One key at a time, so that its own spelling is kept.
        field = fields.get(next(iter(canonical({key: None}, model))))
        if field is None:
            if model.model_config.get("extra", "ignore") == "ignore":
                yield from _all_below(path, value)
            continue
        section = section_of(field.annotation)
        if section is not None and isinstance(value, Mapping):
            yield from _unread(value, section, path)


def _all_below(path: tuple[str, ...], value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        yield from (".".join((*path, *below)) for below, _ in leaves(value))
    else:
        yield ".".join(path)

"""Find the settings that are secrets: by their type, whatever their name, or by their key."""

from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel, SecretStr

from nacos_boot.logs.masking import is_secret_name
from nacos_boot.settings.relaxed import item_of, key_of, section_of
from nacos_boot.settings.sources import MergedTree, flat


def secret_keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Yield the dotted keys of a model's secrets; a list or map of them by its own key."""
    for name, field in model.model_fields.items():
        key = f"{prefix}{key_of(name, field)}"
        section = section_of(field.annotation)
        if section is not None:
            yield from secret_keys(section, f"{key}.")
        elif _holds_secret(field.annotation):
            yield key


def plain_keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Yield what a model declares as no secret within its lists of sections: `keys[].name`.

    A list may be called as secrets are (`keys`), while only a part of each item is one.
    """
    for name, field in model.model_fields.items():
        key = f"{prefix}{key_of(name, field)}"
        if (section := section_of(field.annotation)) is not None:
            yield from plain_keys(section, f"{key}.")
        elif (item := section_of(item_of(field.annotation))) is not None:
            for below, part in item.model_fields.items():
                if not _holds_secret(part.annotation):
                    yield f"{key}[].{key_of(below, part)}"


def secrets_of(merged: MergedTree) -> set[str]:
    """Give the texts that are secrets by their key, to be known wherever else they stand."""
    return {str(value) for key, value in flat(merged.tree).items() if is_secret_name(key)}


def _holds_secret(annotation: Any) -> bool:
    return annotation is SecretStr or any(_holds_secret(part) for part in get_args(annotation))

"""Find the settings that are secrets: by their type, whatever their name, or by their key."""

from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel, SecretStr

from nacos_boot.logs.masking import is_secret_name
from nacos_boot.settings.relaxed import key_of, section_of
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


def secrets_of(merged: MergedTree) -> set[str]:
    """Give the texts that are secrets by their key, to be known wherever else they stand."""
    return {str(value) for key, value in flat(merged.tree).items() if is_secret_name(key)}


def _holds_secret(annotation: Any) -> bool:
    return annotation is SecretStr or any(_holds_secret(part) for part in get_args(annotation))

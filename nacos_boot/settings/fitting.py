"""Bring the values of a tree into the form that their settings take, as Spring's conversion does.

Source: Spring Boot reference, "Properties Conversion"; Spring Framework,
StringToCollectionConverter.
"""

from collections.abc import Mapping
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, SecretStr

from nacos_boot.documents.keys import unquoted
from nacos_boot.settings.relaxed import (
    is_plain_map,
    item_of,
    key_of,
    plain_type,
    section_of,
    value_of_map,
)
from nacos_boot.settings.sources import dotted
from nacos_boot.settings.text import text_of


def fitted(tree: Mapping[str, Any], model: type[BaseModel]) -> dict[str, Any]:
    """Give the tree in the form of the model; what doesn't fit is left for the check to refuse.

    A list may be one text with commas, or a single value. The names of a map may have dots. Text
    may be written like a number or a truth, and has no value where it is empty.
    """
    annotations = {
        key_of(name, field): field.annotation for name, field in model.model_fields.items()
    }
    return {key: _fitted(value, annotations.get(key)) for key, value in tree.items()}


def _fitted(value: Any, annotation: Any) -> Any:
    if annotation is None:
        return value
    section = section_of(annotation)
    if section is not None:
        return fitted(value, section) if isinstance(value, Mapping) else value
    item = item_of(annotation)
    if item is not None:
        return _list(value, item)
    of_map = value_of_map(annotation)
    if of_map is not None:
        return _map(value, annotation, of_map)
    if value is None and type(None) in get_args(annotation):
        return None
    return _scalar(value, plain_type(annotation))


def _list(value: Any, item: Any) -> Any:
    if value is None:
        return []
    if section_of(item) is None and not isinstance(value, Mapping | list):
        text = text_of(value)
        return [_fitted(part.strip(), item) for part in text.split(",") if part.strip()]
    return [_fitted(each, item) for each in value] if isinstance(value, list) else value


def _map(value: Any, annotation: Any, of_map: Any) -> Any:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        return value
    flat = dotted(value) if is_plain_map(annotation) else value
    return {unquoted(name): _fitted(child, of_map) for name, child in flat.items()}


def _scalar(value: Any, kind: Any) -> Any:
    if get_origin(kind) is Literal and isinstance(value, bool):
        # YAML 1.1 reads a bare `off` as false, so Spring takes false for an enum's OFF.
        words = ("on", "true") if value else ("off", "false")
        return next((choice for choice in get_args(kind) if str(choice).lower() in words), value)
    if kind not in {str, SecretStr}:
        return value
    if value is None:
        return ""
    return text_of(value) if isinstance(value, bool | int | float) else value

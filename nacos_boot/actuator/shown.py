"""What the actuator shows of settings: values without secrets."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import SecretStr
from pydantic_core import to_jsonable_python

from nacos_boot.logs.masking import MASK, is_secret_name, masked
from nacos_boot.settings.configuration import Configuration
from nacos_boot.settings.sources import leaves

_PLACEHOLDER = re.compile(r"\$\{([^}:]*)")


def show(key: str, value: Any, written: Any = None) -> Any:
    """Give a value in JSON's own types, masked where it is a secret.

    By its key's name, by its field's type, by the name of a placeholder in what was `written`, or
    by what `masked` knows of a text.
    """
    if isinstance(value, SecretStr) or is_secret_name(key) or _refers_to_secret(written):
        return MASK
    plain = to_jsonable_python(value, fallback=str)
    return masked(plain) if isinstance(plain, str) else plain


def secrets_of(configuration: Configuration[Any]) -> set[str]:
    """Give the texts that are secrets by their key, to be known wherever else they stand."""
    return {
        str(value)
        for bound in (configuration.bound, configuration.framework)
        for key, value in flat(bound.merged.tree).items()
        if is_secret_name(key)
    }


def flat(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Give each value by its full key; those of lists are `key[0]`, as in Spring."""
    found: dict[str, Any] = {}
    for path, value in leaves(tree):
        found.update(_items(".".join(path), value))
    return found


def _items(key: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, list | tuple) and value:
        for index, item in enumerate(value):
            yield from _items(f"{key}[{index}]", item)
    elif isinstance(value, Mapping) and value:
        for name, item in value.items():
            yield from _items(f"{key}.{name}", item)
    else:
        yield key, "" if value is None or isinstance(value, list | tuple | Mapping) else value


def _refers_to_secret(written: Any) -> bool:
    names = _PLACEHOLDER.findall(written) if isinstance(written, str) else []
    return any(is_secret_name(name) for name in names)

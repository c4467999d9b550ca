"""What the actuator shows of settings: values without secrets."""

import re
from collections.abc import Mapping
from typing import Any

from pydantic import SecretStr
from pydantic_core import to_jsonable_python

from nacos_boot.logs.masking import MASK, is_secret_name, masked

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


def masked_whole(value: Any) -> Any:
    """Mask every text in what an endpoint answers, however deep it lies."""
    match value:
        case str():
            return masked(value)
        case Mapping():
            return {name: masked_whole(item) for name, item in value.items()}
        case list() | tuple():
            return [masked_whole(item) for item in value]
    return value


def _refers_to_secret(written: Any) -> bool:
    names = _PLACEHOLDER.findall(written) if isinstance(written, str) else []
    return any(is_secret_name(name) for name in names)

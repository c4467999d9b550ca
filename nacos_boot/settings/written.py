"""Write the value of a setting as a YAML document would have it: `15s`, not `PT15S`."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import timedelta
from enum import Enum
from typing import Any

import yaml
from pydantic import BaseModel, SecretStr

from nacos_boot.settings.section import kebab_case

_MICROSECONDS = {
    "d": 86_400_000_000,
    "h": 3_600_000_000,
    "m": 60_000_000,
    "s": 1_000_000,
    "ms": 1_000,
    "us": 1,
}


def write_duration(duration: timedelta) -> str:
    """Give Spring Boot's notation in the largest unit that needs no fraction: `90s`, `2m`."""
    amount = duration // timedelta(microseconds=1)
    if amount == 0:
        return "0s"
    unit = next(unit for unit, size in _MICROSECONDS.items() if amount % size == 0)
    return f"{amount // _MICROSECONDS[unit]}{unit}"


def as_written(value: Any) -> Any:  # noqa: PLR0911 - one line for each type
    """Give the value that a document must hold to have this one bound: plain YAML types only."""
    match value:
        case timedelta():
            return write_duration(value)
        case SecretStr():
            return value.get_secret_value()
        case Enum():
            return as_written(value.value)
        case BaseModel():
            return {
                str(field.alias or kebab_case(name)): as_written(getattr(value, name))
                for name, field in type(value).model_fields.items()
            }
        case None | bool() | int() | float() | str():
            return value
        case Mapping():
            return {str(key): as_written(item) for key, item in value.items()}
        case Sequence() | AbstractSet():
            return [as_written(item) for item in value]
    return str(value)


def yaml_value(value: Any) -> str:
    """Write a value on one line of YAML, quoted where it must be."""
    text = yaml.safe_dump(
        as_written(value), default_flow_style=True, width=float("inf"), allow_unicode=True
    )
    return text.removesuffix("\n").removesuffix("\n...")

"""The building blocks of typed settings: sections of a YAML tree, durations."""

import re
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict

_UNITS_IN_SECONDS = {
    "ns": 1e-9,
    "us": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
    "d": 86400.0,
}
_SIMPLE = re.compile(r"([+-]?\d+(?:\.\d+)?)\s*(ns|us|ms|s|m|h|d)?", re.IGNORECASE)
_ISO = re.compile(
    r"P(?:(?P<d>\d+)D)?(?:T(?=\d)(?:(?P<h>\d+)H)?(?:(?P<m>\d+)M)?(?:(?P<s>\d+(?:\.\d+)?)S)?)?",
    re.IGNORECASE,
)
_EXPECTED = "expected a duration such as 500ms, 15s, 2m or PT15S"


def kebab_case(name: str) -> str:
    """Give the YAML key of a field: `max_connections` is written `max-connections`."""
    return name.replace("_", "-")


class Section(BaseModel):
    """A part of the settings tree: immutable, kebab-case keys, unknown keys refused."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=kebab_case,
        validate_by_name=True,  # for code; documents are spelled by relaxed binding before this
        validate_by_alias=True,
        coerce_numbers_to_str=True,
    )


class OpenSection(BaseModel):
    """A section whose names belong to Spring: keys that are not ours to judge are passed over."""

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        alias_generator=kebab_case,
        validate_by_name=True,  # for code; documents are spelled by relaxed binding before this
        validate_by_alias=True,
        coerce_numbers_to_str=True,
    )


def parse_duration(value: Any) -> timedelta:
    """Read a duration as Spring Boot does: `15s`, `500ms`, `PT15S`; a bare number is milliseconds.

    Source: Spring Boot reference, "Converting Durations". Raises ValueError with what was expected.
    """
    if isinstance(value, timedelta):
        return value
    try:
        if isinstance(value, str):
            return timedelta(seconds=_seconds(value.strip()))
        if isinstance(value, int | float) and not isinstance(value, bool):
            return timedelta(milliseconds=value)
    except (ValueError, OverflowError) as error:
        # Not a number, infinite, or more than Python's timedelta holds.
        raise ValueError(_EXPECTED) from error
    raise ValueError(_EXPECTED)


def _seconds(text: str) -> float:
    if simple := _SIMPLE.fullmatch(text):
        return float(simple[1]) * _UNITS_IN_SECONDS[(simple[2] or "ms").lower()]
    iso = _ISO.fullmatch(text)
    if iso is None or not any(iso.groups()):
        raise ValueError(_EXPECTED)
    amounts = {unit: float(amount) for unit, amount in iso.groupdict().items() if amount}
    return sum(amount * _UNITS_IN_SECONDS[unit] for unit, amount in amounts.items())


def _positive(value: Any) -> timedelta:
    duration = parse_duration(value)
    if duration <= timedelta(0):
        raise ValueError("expected a duration above zero, such as 15s")
    return duration


def _not_negative(value: Any) -> timedelta:
    duration = parse_duration(value)
    if duration < timedelta(0):
        raise ValueError("expected a duration of zero or more, such as 0s or 15s")
    return duration


Duration = Annotated[timedelta, BeforeValidator(_positive)]
"""A span of time above zero, in the notation of Spring Boot."""

DurationOrZero = Annotated[timedelta, BeforeValidator(_not_negative)]
"""A span of time of zero or more; zero switches the feature off where the setting says so."""

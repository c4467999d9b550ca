from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from nacos_boot.settings.section import (
    Duration,
    DurationOrZero,
    OpenSection,
    Section,
    parse_duration,
)


class Strict(Section):
    max_size: int = 1
    every: Duration = timedelta(seconds=1)
    pause: DurationOrZero = timedelta(0)
    label: str = ""


class Open(OpenSection):
    max_size: int = 1


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("15s", 15),
        ("500ms", 0.5),
        ("2m", 120),
        ("3h", 10_800),
        ("1d", 86_400),
        ("250us", 0.000_25),
        ("5000ns", 0.000_005),
        ("15S", 15),
        (" 15 s ", 15),
        ("1.5s", 1.5),
        ("+10s", 10),
        ("-10s", -10),
        ("1500", 1.5),
        (1500, 1.5),
        (0, 0),
        ("0s", 0),
        ("PT15S", 15),
        ("PT1.5S", 1.5),
        ("PT2M30S", 150),
        ("P1DT2H", 93_600),
        ("pt1h", 3600),
        (timedelta(seconds=3), 3),
    ],
)
def test_durations_as_spring_writes_them(written: Any, seconds: float) -> None:
    assert parse_duration(written) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "written",
    [
        "",
        "s",
        "15 x",
        "15 seconds",
        "1m30s",
        "PT",
        "P",
        "P1DT",
        "P1H",
        "ten",
        "15s ago",
        True,
        None,
        [15],
        float("nan"),
        float("inf"),
        "999999999999d",
        10**30,
    ],
)
def test_what_is_no_duration(written: Any) -> None:
    with pytest.raises(ValueError, match="expected a duration such as 500ms, 15s, 2m or PT15S"):
        parse_duration(written)


@given(st.text() | st.integers() | st.floats() | st.none() | st.booleans())
def test_anything_is_a_duration_or_refused(written: Any) -> None:
    try:
        result = parse_duration(written)
    except ValueError:
        return
    assert isinstance(result, timedelta)


@pytest.mark.parametrize(
    ("key", "written", "words"),
    [
        ("every", "0s", "above zero"),
        ("every", "-5s", "above zero"),
        ("pause", "-5s", "zero or more"),
    ],
)
def test_the_sign_of_a_duration(key: str, written: str, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Strict.model_validate({key: written})


def test_a_pause_may_be_zero() -> None:
    assert Strict.model_validate({"pause": "0s"}).pause == timedelta(0)


def test_keys_are_written_in_kebab_case_and_in_code_by_their_names() -> None:
    assert Strict.model_validate({"max-size": "7"}).max_size == 7
    assert Strict(max_size=7) == Strict.model_validate({"max-size": 7})
    assert Open(max_size=7).max_size == 7


def test_unknown_keys_are_refused_or_passed_over() -> None:
    with pytest.raises(ValidationError):
        Strict.model_validate({"maxsize": 7})
    assert Open.model_validate({"max-size": 7, "elsewhere": 1}).max_size == 7


def test_a_number_is_text_where_text_is_wanted() -> None:
    assert Strict.model_validate({"label": 7}).label == "7"


def test_settings_cannot_be_changed_in_place() -> None:
    with pytest.raises(ValidationError):
        Strict().max_size = 2

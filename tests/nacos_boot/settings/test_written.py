from datetime import timedelta
from enum import Enum
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from nacos_boot.settings.section import Section, parse_duration
from nacos_boot.settings.written import as_written, write_duration, yaml_value


class Colour(Enum):
    RED = "red"


class Item(Section):
    data_id: str = "a"
    every: timedelta = timedelta(seconds=2)


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        (timedelta(0), "0s"),
        (timedelta(seconds=15), "15s"),
        (timedelta(seconds=90), "90s"),
        (timedelta(minutes=2), "2m"),
        (timedelta(hours=36), "36h"),
        (timedelta(days=3), "3d"),
        (timedelta(milliseconds=1500), "1500ms"),
        (timedelta(microseconds=7), "7us"),
    ],
)
def test_a_duration_has_the_largest_unit_without_a_fraction(duration: timedelta, text: str) -> None:
    assert write_duration(duration) == text


@given(st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=9000)))
def test_a_written_duration_is_read_as_itself(duration: timedelta) -> None:
    read = parse_duration(write_duration(duration))
    assert abs(read - duration) <= timedelta(microseconds=duration.total_seconds() * 1e-9)


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (SecretStr("guest"), "guest"),
        (Colour.RED, "red"),
        (Path("a/b"), "a/b"),
        ((timedelta(seconds=1), None), ["1s", None]),
        ({"a": True}, {"a": True}),
        (Item(), {"data-id": "a", "every": "2s"}),
    ],
)
def test_values_are_written_in_plain_yaml_types(value: object, written: object) -> None:
    assert as_written(value) == written


@pytest.mark.parametrize(
    "value",
    ["", "OFF", "15", "*/10 * * * * *", "a: b # c", "x" * 300, [], {}, 1.5, True, None, "é"],
)
def test_a_value_on_one_line_is_read_as_itself(value: object) -> None:
    text = yaml_value(value)
    assert "\n" not in text
    assert yaml.safe_load(text) == value

import json
import logging
import os
import re
import sys
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nacos_boot.logs.lines import LAYOUTS, JsonFormatter, Service, TextFormatter
from tests.nacos_boot.logs.test_masking import SECRETS

SHOP = Service("shop", "1.2.3")
FORMS = sorted(LAYOUTS)


def record(message: object = "told", *args: object, **extra: object) -> logging.LogRecord:
    made = logging.getLogger("demo.db").makeRecord(
        "demo.db", logging.WARNING, "demo.py", 7, message, args, None, extra=extra
    )
    made.created = datetime(2026, 1, 2, 3, 4, 5, 678901, UTC).timestamp()
    return made


def written(form: str, one: logging.LogRecord, service: Service = SHOP) -> Any:
    line = JsonFormatter(LAYOUTS[form], service).format(one)
    assert "\n" not in line
    assert line.isascii()

    def no_constants(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    fields = json.loads(line, parse_constant=no_constants)
    # Strict parsers take no half of a surrogate pair.
    json.dumps(fields, ensure_ascii=False).encode()
    return fields


def raised(error: Exception) -> logging.LogRecord:
    one = record()
    try:
        raise error  # noqa: TRY301 - it is to have a traceback
    except Exception:  # noqa: BLE001 - any error of a test
        one.exc_info = sys.exc_info()
    return one


def test_elastic_common_schema() -> None:
    assert written("ecs", record("sold %d", 3, order="A-1")) == {
        "@timestamp": "2026-01-02T03:04:05.678901Z",
        "log": {"level": "WARN", "logger": "demo.db"},
        "process": {"pid": os.getpid(), "thread": {"name": "MainThread"}},
        "service": {"name": "shop", "version": "1.2.3"},
        "message": "sold 3",
        "order": "A-1",
        "ecs": {"version": "8.11"},
    }


def test_logstash() -> None:
    assert written("logstash", record("sold %d", 3, order="A-1")) == {
        "@timestamp": "2026-01-02T03:04:05.678901Z",
        "@version": "1",
        "message": "sold 3",
        "logger_name": "demo.db",
        "thread_name": "MainThread",
        "level": "WARN",
        "level_value": 30_000,
        "pid": os.getpid(),
        "service_name": "shop",
        "service_version": "1.2.3",
        "order": "A-1",
    }


@pytest.mark.parametrize("form", FORMS)
def test_before_the_name_is_known_there_is_no_service(form: str) -> None:
    assert not {"service", "service_name"} & written(form, record(), Service()).keys()


def test_an_error_has_its_type_message_and_stack() -> None:
    one = raised(ValueError("bad: password=hunter2\nand more"))
    error = written("ecs", one)["error"]
    assert error["type"] == "ValueError"
    assert error["message"] == "bad: password=******\nand more"
    assert error["stack_trace"].startswith("Traceback (most recent call last):\n")
    assert error["stack_trace"].endswith("and more")
    assert written("logstash", one)["stack_trace"] == error["stack_trace"]
    assert written("ecs", raised(json.JSONDecodeError("no", "", 0)))["error"]["type"] == (
        "json.decoder.JSONDecodeError"
    )


@pytest.mark.parametrize("form", FORMS)
def test_a_stack_without_an_error(form: str) -> None:
    one = record()
    one.stack_info = "Stack (most recent call last):\n  File x"
    assert "File x" in json.dumps(written(form, one))


class Unspeakable:
    def __str__(self) -> str:
        raise RuntimeError("no words")

    __repr__ = __str__


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "one",
    [
        record("two\nlines\r\tand \x00\x1b[31m"),
        record('a quote " a backslash \\ a brace }'),
        record("not UTF-8: %s", b"\xff\xfe".decode("utf-8", "surrogateescape")),
        record("你好 %s", "😀"),
        record("%d of %d", "three"),
        record("%s"),
        record("100% of %(nothing)s", 1),
        record(Unspeakable()),
        record("%s", Unspeakable()),
        record({"a": 1}),
        record(None),
        record(b"bytes \xff"),
        raised(RuntimeError(Unspeakable())),
        record(extra_value=float("nan"), more=float("-inf"), big=10**400),
        record(odd={1: {2, 3}, None: (b"\xff", Unspeakable())}, when=datetime.now(UTC)),
        record(**{"@timestamp": "forged", "log": "forged", "error": "forged", "ecs": 1}),
    ],
    ids=lambda one: repr(one)[:40] if isinstance(one, str) else "",
)
def test_whatever_is_logged_is_one_line_of_json(form: str, one: logging.LogRecord) -> None:
    fields = written(form, one)
    assert fields["@timestamp"].startswith("2026-01-02T")
    assert "message" in fields
    assert TextFormatter().format(one)


@pytest.mark.parametrize("form", FORMS)
def test_a_value_that_contains_itself_ends_somewhere(form: str) -> None:
    endless: dict[str, Any] = {}
    endless["again"] = [endless]
    assert written(form, record(endless=endless))["endless"]["again"]


@given(st.text(), st.dictionaries(st.text(min_size=1), st.text() | st.floats() | st.binary()))
def test_any_text_is_one_line_of_json(text: str, values: dict[str, Any]) -> None:
    for form in FORMS:
        assert written(form, record("%s", text, values=values))["message"] is not None


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("text", SECRETS)
def test_no_secret_leaves_in_any_field(form: str, text: str) -> None:
    one = raised(RuntimeError(text))
    one.msg, one.args = "said %s", (text,)
    one.given = {"deep": [text]}
    assert "hunter2" not in json.dumps(written(form, one))
    assert "hunter2" not in TextFormatter().format(one)


@pytest.mark.parametrize("form", FORMS)
def test_fields_that_are_secrets_by_name(form: str) -> None:
    extra = {"password": "hunter2", "headers": {"X-API-Key": "hunter2", "Accept": "text"}}
    fields = written(form, record(**extra))
    assert fields["password"] == "******"
    assert fields["headers"] == {"X-API-Key": "******", "Accept": "text"}


def test_a_line_of_text() -> None:
    line = TextFormatter().format(record("sold %d", 3))
    assert re.fullmatch(r"[\d-]{10} [\d:]{8},\d{3} WARNING demo\.db : sold 3", line)

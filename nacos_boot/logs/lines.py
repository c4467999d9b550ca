"""Write a log record as a line: text for people, or JSON for a log collector. Secrets are masked.

The JSON has the fields of Spring Boot 3.5's formats `ecs` (Elastic Common Schema 8) and `logstash`,
so that one pipeline reads the lines of Java and Python programs alike.

Source: Spring Boot reference, "Logging: Structured Logging".
"""

import json
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from nacos_boot.logs.levels import level_name
from nacos_boot.logs.masking import MASK, is_secret_name, masked

_TEXT = "%(asctime)s %(levelname)-7s %(name)s : %(message)s"
_OF_EVERY_RECORD = {*vars(logging.makeLogRecord({})), "message", "asctime", "color_message"}
_MAX_DEPTH = 8
# Logback's numbers, which the logstash format has always carried.
_LOGBACK_LEVELS = {
    "OFF": 2**31 - 1,
    "FATAL": 40_000,
    "ERROR": 40_000,
    "WARN": 30_000,
    "INFO": 20_000,
    "DEBUG": 10_000,
    "TRACE": 5_000,
}


@dataclass(frozen=True, slots=True)
class Service:
    """Who writes the lines; empty where it isn't known yet."""

    name: str = ""
    version: str = ""


class TextFormatter(logging.Formatter):
    """One line of text, and the traceback below it."""

    def __init__(self) -> None:
        super().__init__(_TEXT)

    def format(self, record: logging.LogRecord) -> str:
        """Write the record; the finished text is masked, arguments and traceback with it."""
        plain = logging.makeLogRecord(record.__dict__)
        plain.msg, plain.args = message_of(record), None
        return masked(super().format(plain))


class JsonFormatter(logging.Formatter):
    """One JSON object on one line, of ASCII characters only, whatever the record holds."""

    def __init__(self, layout: "Layout", service: Service) -> None:
        super().__init__()
        self._layout = layout
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        """Write the record; each text in it is masked before it is put into quotes."""
        fields = self._layout(record, self._service, self._stack(record))
        return json.dumps(_clean(fields), allow_nan=False, separators=(",", ":"))

    def _stack(self, record: logging.LogRecord) -> str:
        parts = []
        if record.exc_info:
            parts.append(self.formatException(record.exc_info))
        elif record.exc_text:
            parts.append(record.exc_text)
        if record.stack_info:
            parts.append(self.formatStack(record.stack_info))
        return "\n".join(parts)


Layout = Callable[[logging.LogRecord, Service, str], Mapping[str, Any]]
"""Names the fields of a record: `(record, service, stack trace or "")`."""


def message_of(record: logging.LogRecord) -> str:
    """Give the record's message; where its arguments don't fit, the message and the arguments."""
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001 - a mistake in a log call must cost neither the line nor more
        return f"{_text(record.msg)} {_text(record.args)}"


def ecs(record: logging.LogRecord, service: Service, stack: str) -> Mapping[str, Any]:
    """Elastic Common Schema."""
    fields: dict[str, Any] = {
        "@timestamp": _time(record),
        "log": {"level": level_name(record.levelno), "logger": record.name},
        "process": {"pid": record.process or os.getpid(), "thread": {"name": record.threadName}},
    }
    if service.name:
        fields["service"] = {"name": service.name, "version": service.version}
    fields["message"] = message_of(record)
    fields.update(_extra(record, fields))
    if stack:
        fields["error"] = {**_error(record), "stack_trace": stack}
    fields["ecs"] = {"version": "8.11"}
    return fields


def logstash(record: logging.LogRecord, service: Service, stack: str) -> Mapping[str, Any]:
    """Logstash's JSON, with the service's name and version beside what Spring writes."""
    level = level_name(record.levelno)
    fields: dict[str, Any] = {
        "@timestamp": _time(record),
        "@version": "1",
        "message": message_of(record),
        "logger_name": record.name,
        "thread_name": record.threadName,
        "level": level,
        "level_value": _LOGBACK_LEVELS[level],
        "pid": record.process or os.getpid(),
    }
    if service.name:
        fields |= {"service_name": service.name, "service_version": service.version}
    fields.update(_extra(record, fields))
    if stack:
        fields["stack_trace"] = stack
    return fields


LAYOUTS: Mapping[str, Layout] = {"ecs": ecs, "logstash": logstash}
"""By the value of `logging.structured.format.console`; none for text."""


def _time(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _error(record: logging.LogRecord) -> dict[str, str]:
    error = record.exc_info[1] if record.exc_info else None
    if error is None:
        return {}
    kind = type(error)
    name = kind.__qualname__
    return {
        "type": name if kind.__module__ == "builtins" else f"{kind.__module__}.{name}",
        "message": _text(error),
    }


def _extra(record: logging.LogRecord, taken: Mapping[str, Any]) -> dict[str, Any]:
    """Give what the caller added by `extra=`; the format's own fields stay what they are."""
    reserved = {*taken, "error", "ecs", "service", "stack_trace"}
    return {
        name: value
        for name, value in record.__dict__.items()
        if name not in _OF_EVERY_RECORD and name not in reserved
    }


def _clean(value: Any, depth: int = 0) -> Any:
    """Give the value in JSON's own types, without secrets, cycles, or characters that are none."""
    match value:
        case None | bool() | int():
            return value
        case float():
            return value if -float("inf") < value < float("inf") else str(value)
        case Mapping() if depth < _MAX_DEPTH:
            names = {_text(name): item for name, item in value.items()}
            return {
                name: MASK if is_secret_name(name) else _clean(item, depth + 1)
                for name, item in names.items()
            }
        case list() | tuple() | set() | frozenset() if depth < _MAX_DEPTH:
            return [_clean(item, depth + 1) for item in value]
    return masked(_text(value))


def _text(value: Any) -> str:
    try:
        text = str(value)
    except Exception:  # noqa: BLE001 - any object may be logged, one that can't be shown, too
        text = f"<{type(value).__name__}>"
    # A lone surrogate is what bytes that are not UTF-8 become; no JSON parser need take it.
    return text.encode("utf-8", "backslashreplace").decode()

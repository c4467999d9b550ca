"""The endpoint loggers: see the levels of the loggers, and set them.

Source: Spring Boot 3.5, "Actuator REST API: Loggers".
"""

import logging
from collections.abc import Mapping
from typing import Any

from nacos_boot.actuator.endpoint import Answer, Call, CallError, Endpoint, Operation
from nacos_boot.logs.levels import LEVELS, LOG_LEVELS, ROOT, LogLevels, level_name

_EXPECTED = 'expected {"configuredLevel": …} with null or one of ' + ", ".join(LEVELS)
_LONGEST_NAME = 200

log = logging.getLogger(__name__)


def loggers_endpoint(levels: LogLevels = LOG_LEVELS) -> Endpoint:
    """`/actuator/loggers` and `/actuator/loggers/{name}`, of a logger or a group."""

    def everything(_: Call) -> Answer:
        names = sorted(logging.root.manager.loggerDict)
        loggers = {name: _logger(name) for name in (ROOT, *names)}
        groups = {name: _group(levels, name) for name in levels.groups}
        return Answer({"levels": list(LEVELS), "loggers": loggers, "groups": groups})

    def one(call: Call) -> Answer:
        name = call.rest
        return Answer(_group(levels, name) if name in levels.groups else _logger(name))

    def change(call: Call) -> Answer:
        level = _wanted_level(call.body)
        if len(call.rest) > _LONGEST_NAME:
            raise CallError(f"expected a logger's name of at most {_LONGEST_NAME} characters")
        try:
            levels.set(call.rest, level)
        except ValueError as error:
            raise CallError(f"'{level}' is no level: {_EXPECTED}") from error
        what = "given back to the settings" if level is None else f"set to {level.upper()}"
        log.info("the level of the logger %s is %s by the actuator", call.rest, what)
        return Answer(None)

    return Endpoint(
        "loggers",
        [
            Operation("GET", everything),
            Operation("GET", one, below="name"),
            Operation("POST", change, below="name"),
        ],
    )


def _wanted_level(body: Any) -> str | None:
    if body is None or body == {}:
        # As in Spring, no level takes back the one that was set.
        return None
    if not isinstance(body, Mapping) or "configuredLevel" not in body:
        raise CallError(_EXPECTED)
    level = body["configuredLevel"]
    if level is not None and not isinstance(level, str):
        raise CallError(_EXPECTED)
    return level


def _logger(name: str) -> dict[str, Any]:
    if name.upper() == ROOT:
        return _levels(logging.root)
    # Asking Python for a logger makes it, so a name that nobody uses is looked up by its parents.
    known = logging.root.manager.loggerDict
    found = known.get(name)
    if isinstance(found, logging.Logger):
        return _levels(found)
    while name:
        name = name.rpartition(".")[0]
        parent = known.get(name)
        if isinstance(parent, logging.Logger):
            return {"effectiveLevel": level_name(parent.getEffectiveLevel())}
    return {"effectiveLevel": level_name(logging.root.level)}


def _levels(logger: logging.Logger) -> dict[str, Any]:
    effective = {"effectiveLevel": level_name(logger.getEffectiveLevel())}
    return {"configuredLevel": level_name(logger.level), **effective} if logger.level else effective


def _group(levels: LogLevels, name: str) -> dict[str, Any]:
    level = levels.group_level(name)
    members = {"members": list(levels.groups[name])}
    return {"configuredLevel": level, **members} if level else members

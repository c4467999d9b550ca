"""Sections of the settings that keep Spring Boot's names, for any program."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator

from nacos_boot.logs.levels import spring_level
from nacos_boot.settings.section import OpenSection
from nacos_boot.settings.setting import setting
from nacos_boot.settings.sources import leaves
from nacos_boot.tls.settings import ServerSslSection


def _by_dotted_name(value: Mapping[str, Any]) -> dict[str, Any]:
    # YAML nests the dots of logger names, and Spring keeps a name whole in brackets.
    return {".".join(path).replace("[", "").replace("]", ""): leaf for path, leaf in leaves(value)}


def _levels(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    levels = {name: str(level) for name, level in _by_dotted_name(value).items() if level != {}}
    for name, level in levels.items():
        # YAML 1.1 reads a bare OFF as false.
        levels[name] = "OFF" if level.lower() == "false" else level
        try:
            spring_level(levels[name])
        except ValueError as error:
            raise ValueError(f"{name}: '{level}' is no level: {error}") from error
    return levels


def _groups(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    return {
        name: [part.strip() for part in members.split(",") if part.strip()]
        if isinstance(members, str)
        else members
        for name, members in _by_dotted_name(value).items()
        if members != {}
    }


def _lower(value: Any) -> Any:
    return "" if value is None else value.strip().lower() if isinstance(value, str) else value


class ServerSection(OpenSection):
    """`server`: where the program listens."""

    address: str = setting("0.0.0.0", "Address to listen on.", live=False)
    port: int = setting(8080, "Port to listen on.", live=False, ge=0, le=65535)
    ssl: ServerSslSection = ServerSslSection()


class ManagementServerSection(OpenSection):
    """`management.server`: where the actuator is served."""

    port: int | None = setting(
        None,
        "Port of the actuator alone; empty: the program's own port, -1: it is not served.",
        live=False,
        ge=-1,
        le=65535,
    )
    address: str = setting(
        "", "Address that this port listens on; empty: server.address.", live=False
    )


class ManagementSection(OpenSection):
    """`management`."""

    server: ManagementServerSection = ManagementServerSection()


class LogFormatSection(OpenSection):
    """`logging.structured.format`."""

    console: Annotated[Literal["", "ecs", "logstash"], BeforeValidator(_lower)] = setting(
        "",
        "Form of the log lines: empty for text, ecs (Elastic Common Schema) or logstash for one"
        " JSON object on each line.",
    )


class StructuredLogSection(OpenSection):
    """`logging.structured`."""

    format: LogFormatSection = LogFormatSection()


class LoggingSection(OpenSection):
    """`logging`: the form of the lines, and levels by logger name; `root` is the root logger."""

    level: Annotated[
        dict[str, str], BeforeValidator(_levels, json_schema_input_type=dict[str, Any])
    ] = setting(
        {},
        "Level of each logger or group: TRACE, DEBUG, INFO, WARN, ERROR, FATAL or OFF; root is"
        " all of them.",
    )
    group: Annotated[
        dict[str, tuple[str, ...]], BeforeValidator(_groups, json_schema_input_type=dict[str, Any])
    ] = setting(
        {}, "Loggers that can be named together, as a list or comma-separated; web is predefined."
    )
    structured: StructuredLogSection = StructuredLogSection()

"""Sections of the settings that keep Spring Boot's names, for any program."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator

from nacos_boot.logs import spring_level
from nacos_boot.section import OpenSection
from nacos_boot.setting import setting
from nacos_boot.sources import leaves


def _levels(value: Any) -> Any:
    # YAML nests the dots of logger names; a logger is known by the whole dotted name.
    if not isinstance(value, Mapping):
        return value
    levels = {".".join(path): str(level) for path, level in leaves(value)}
    for name, level in levels.items():
        # YAML 1.1 reads a bare OFF as false.
        levels[name] = "OFF" if level == "False" else level
        try:
            spring_level(levels[name])
        except ValueError as error:
            raise ValueError(f"{name}: '{level}' is no level: {error}") from error
    return levels


class ServerSection(OpenSection):
    """`server`: where the program listens."""

    address: str = setting("0.0.0.0", "Address to listen on.", live=False)
    port: int = setting(8080, "Port to listen on.", live=False, ge=0, le=65535)


class LoggingSection(OpenSection):
    """`logging`: levels by logger name; `root` is the root logger."""

    level: Annotated[dict[str, str], BeforeValidator(_levels)] = setting(
        {}, "Level of each logger: TRACE, DEBUG, INFO, WARN, ERROR or OFF."
    )

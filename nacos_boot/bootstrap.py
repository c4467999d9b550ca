"""What a program must know before it can ask Nacos: `bootstrap.yml` and the environment.

Source: Spring Cloud Alibaba reference, "Nacos Config" and "Nacos Discovery".
"""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from nacos_boot.documents import DocumentError, parse_yaml
from nacos_boot.relaxed import from_arguments
from nacos_boot.section import Duration, OpenSection
from nacos_boot.settings import SettingsError, bind
from nacos_boot.sources import PropertySource
from nacos_boot.startup import StartError

_DEFAULT_PORT = 8848
_ADDRESS = re.compile(r"(?P<base>(?:https?://)?[^\s/:@]+)(?::(?P<port>\d{1,5}))?/?")


def _comma_separated(value: Any) -> Any:
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return [] if value is None else value


CommaSeparated = Annotated[list[str], BeforeValidator(_comma_separated)]
"""A list that may be written as one string with commas, as in an environment variable."""


def _strings(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {
            str(key): str(item).lower() if isinstance(item, bool) else str(item)
            for key, item in value.items()
        }
    return value


def _with_port(address: str) -> str:
    match = _ADDRESS.fullmatch(address)
    if match is None:
        raise ValueError(f"'{address}' is no address: expected host:port, such as 127.0.0.1:8848")
    return f"{match['base']}:{match['port'] or _DEFAULT_PORT}"


ServerAddress = Annotated[str, AfterValidator(_with_port)]
"""`host:port`, with or without `http://` before it; the port is 8848 where it isn't given."""

ServerAddresses = Annotated[
    list[ServerAddress], BeforeValidator(_comma_separated), Field(min_length=1)
]
"""The servers of one Nacos cluster, as a list or as one string with commas."""

StringMap = Annotated[dict[str, str], BeforeValidator(_strings)]
"""Instance metadata: Nacos and Spring Cloud keep strings only."""


class DocumentSettings(OpenSection):
    """One entry of `shared-configs` or `extension-configs`."""

    data_id: str
    group: str = "DEFAULT_GROUP"
    refresh: bool = False

    @property
    def key(self) -> str:
        """`group/data id`, which identifies the document within its namespace."""
        return f"{self.group}/{self.data_id}"


class ConfigSettings(OpenSection):
    """`spring.cloud.nacos.config`: which documents hold the settings."""

    group: str = "DEFAULT_GROUP"
    prefix: str = ""
    file_extension: Literal["yml", "yaml"] = "yml"
    shared_configs: list[DocumentSettings] = Field(default=[])
    extension_configs: list[DocumentSettings] = Field(default=[])
    timeout: Duration = timedelta(seconds=3)
    watchdog_interval: Duration = timedelta(seconds=5)
    snapshot: bool = True
    snapshot_dir: Path = Path(".nacos-snapshot")


class DiscoverySettings(OpenSection):
    """`spring.cloud.nacos.discovery`: how the program is registered."""

    register_enabled: bool = True
    service: str = ""
    group: str = "DEFAULT_GROUP"
    cluster_name: str = "DEFAULT"
    ip: str = ""
    port: int = 0
    weight: float = Field(default=1.0, ge=0, le=10_000)
    ephemeral: bool = True
    metadata: StringMap = Field(default={})
    watchdog_interval: Duration = timedelta(seconds=5)


class NacosSettings(OpenSection):
    """`spring.cloud.nacos`: the server and the account."""

    server_addr: ServerAddresses = Field(default=["127.0.0.1:8848"])
    username: str = ""
    password: SecretStr = SecretStr("")
    namespace: str = ""
    start_timeout: Duration = timedelta(seconds=30)
    config: ConfigSettings = ConfigSettings()
    discovery: DiscoverySettings = DiscoverySettings()


class _Cloud(OpenSection):
    nacos: NacosSettings = NacosSettings()


class _Application(OpenSection):
    name: str = ""


class _Profiles(OpenSection):
    active: CommaSeparated = Field(default=[])


class _Spring(OpenSection):
    application: _Application = _Application()
    profiles: _Profiles = _Profiles()
    cloud: _Cloud = _Cloud()


class _BootstrapFile(OpenSection):
    spring: _Spring = _Spring()


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """The start-up facts of one program.

    `local` are the local files (lowest precedence), `arguments` the command line (highest);
    `environ` is the environment that placeholders and relaxed names are looked up in.
    """

    application: str
    profiles: tuple[str, ...]
    nacos: NacosSettings
    local: PropertySource
    arguments: PropertySource
    environ: Mapping[str, str]

    @property
    def documents(self) -> tuple[DocumentSettings, ...]:
        """The documents to read, from the lowest to the highest precedence.

        Shared configs, extension configs, the document named after the program, then its profiles
        in the order of `spring.profiles.active`. The program's own documents always refresh.
        """
        config = self.nacos.config
        profiles = [self._own(f"-{profile}") for profile in self.profiles]
        return (*config.shared_configs, *config.extension_configs, self.required, *profiles)

    @property
    def required(self) -> DocumentSettings:
        """The document that must exist for a start: the one named after the program."""
        return self._own("")

    def _own(self, suffix: str) -> DocumentSettings:
        config = self.nacos.config
        data_id = f"{config.prefix or self.application}{suffix}.{config.file_extension}"
        return DocumentSettings.model_validate(
            {"data-id": data_id, "group": config.group, "refresh": True}
        )


def load_bootstrap(
    path: Path, environ: Mapping[str, str] = os.environ, arguments: Sequence[str] = ()
) -> Bootstrap:
    """Read `bootstrap.yml`, with the environment and the command line above it.

    Raises StartError that names the file, the key and what was expected.
    """
    try:
        local = PropertySource(path.name, parse_yaml(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError) as error:
        raise StartError(
            f"{path} cannot be read ({error}); it must hold the bootstrap settings", final=True
        ) from error
    except DocumentError as error:
        raise StartError(f"{path}: {error}", final=True) from error
    try:
        command_line = from_arguments(arguments)
        bound = bind(_BootstrapFile, [local], environ, [command_line])
    except SettingsError as error:
        raise StartError(f"the bootstrap settings are not valid: {error}", final=True) from error
    except ValueError as error:
        raise StartError(str(error), final=True) from error
    spring = bound.settings.spring
    if not spring.application.name:
        raise StartError(
            f"{path} does not set spring.application.name, the service name", final=True
        )
    return Bootstrap(
        application=spring.application.name,
        profiles=tuple(spring.profiles.active),
        nacos=spring.cloud.nacos,
        local=local,
        arguments=command_line,
        environ=environ,
    )

"""What can be said of Nacos beforehand: `spring.cloud.nacos`, with Spring Cloud Alibaba's keys.

Source: Spring Cloud Alibaba reference, "Nacos Config" and "Nacos Discovery".
"""

import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from nacos_boot.documents.parse import DocumentKind
from nacos_boot.settings.section import Duration, DurationOrZero, OpenSection
from nacos_boot.settings.setting import setting
from nacos_boot.settings.sources import dotted
from nacos_boot.tls.settings import NacosSslSection

_DEFAULT_PORT = 8848
_ADDRESS = re.compile(r"(?P<base>(?:https?://)?[^\s/:@]+)(?::(?P<port>\d{1,5}))?/?")


def _comma_separated(value: Any) -> Any:
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return [] if value is None else value


CommaSeparated = Annotated[
    list[str], BeforeValidator(_comma_separated, json_schema_input_type=list[str] | str)
]
"""A list that may be written as one string with commas, as in an environment variable."""


def _strings(value: Any) -> Any:
    # YAML nests the dots of a name; metadata is known by the whole dotted name.
    if isinstance(value, Mapping):
        return {
            name: str(item).lower() if isinstance(item, bool) else str(item)
            for name, item in dotted(value).items()
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
    list[ServerAddress],
    BeforeValidator(_comma_separated, json_schema_input_type=list[str] | str),
    Field(min_length=1),
]
"""The servers of one Nacos cluster, as a list or as one string with commas."""

OwnServerAddresses = Annotated[
    list[ServerAddress],
    BeforeValidator(_comma_separated, json_schema_input_type=list[str] | str),
]
"""The same, or none at all, where others are in force then."""

StringMap = Annotated[
    dict[str, str], BeforeValidator(_strings, json_schema_input_type=dict[str, Any])
]
"""Instance metadata: Nacos and Spring Cloud keep strings only."""


class DocumentSettings(OpenSection):
    """One entry of `shared-configs` or `extension-configs`."""

    data_id: str = setting(..., "Name of the document in Nacos, with its ending.", live=False)
    group: str = setting("DEFAULT_GROUP", "Its group.", live=False)
    refresh: bool = setting(False, "Whether its changes are followed.", live=False)

    @property
    def key(self) -> str:
        """`group/data id`, which identifies the document within its namespace."""
        return f"{self.group}/{self.data_id}"


class ConfigSettings(OpenSection):
    """`spring.cloud.nacos.config`: which documents hold the settings."""

    enabled: bool = setting(
        True, "Whether settings are read from Nacos; false: from the local files only.", live=False
    )
    server_addr: OwnServerAddresses = setting(
        [], "Servers for documents; empty: spring.cloud.nacos.server-addr.", live=False
    )
    username: str = setting(
        "", "Account for documents; empty: spring.cloud.nacos.username.", live=False
    )
    password: SecretStr = setting(
        SecretStr(""), "Its password; empty: spring.cloud.nacos.password.", live=False
    )
    namespace: str = setting(
        "", "Namespace id of the documents; empty: spring.cloud.nacos.namespace.", live=False
    )
    group: str = setting("DEFAULT_GROUP", "Group of the program's documents.", live=False)
    prefix: str = setting(
        "", "Name of the documents; empty: config.name, or the program's name.", live=False
    )
    name: str = setting("", "An older name of prefix; counts where that is empty.", live=False)
    file_extension: DocumentKind = setting(
        "yml",
        "The ending of their names; documents with no ending of their own are read as this, too.",
        live=False,
    )
    shared_configs: list[DocumentSettings] = setting(
        [], "Documents below the program's own, the last is the strongest.", live=False
    )
    extension_configs: list[DocumentSettings] = setting(
        [], "Documents between the shared ones and the program's own.", live=False
    )
    refresh_enabled: bool = setting(
        True, "Whether changes are followed at all; false: none of the documents'.", live=False
    )
    timeout: Duration = setting(timedelta(seconds=3), "Limit of one call to Nacos.", live=False)
    watchdog_interval: Duration = setting(
        timedelta(seconds=5),
        "How often the documents are read in case a push was missed.",
        live=False,
    )
    snapshot: bool = setting(
        True, "Whether a start may use the last good configuration.", live=False
    )
    snapshot_dir: Path = setting(
        Path(".nacos-snapshot"), "Where it is kept; readable by the owner only.", live=False
    )


class DiscoverySettings(OpenSection):
    """`spring.cloud.nacos.discovery`: how the program is registered, and how it finds others.

    These may stand in Nacos documents, too.
    """

    enabled: bool = setting(
        True, "Whether the program registers and follows other services.", live=False
    )
    server_addr: OwnServerAddresses = setting(
        [], "Servers for the registry; empty: spring.cloud.nacos.server-addr.", live=False
    )
    username: str = setting(
        "", "Account for the registry; empty: spring.cloud.nacos.username.", live=False
    )
    password: SecretStr = setting(
        SecretStr(""), "Its password; empty: spring.cloud.nacos.password.", live=False
    )
    namespace: str = setting(
        "", "Namespace id of the registry; empty: spring.cloud.nacos.namespace.", live=False
    )
    register_enabled: bool = setting(True, "Whether the program registers.", live=False)
    instance_enabled: bool = setting(
        True, "Whether the instance is offered to others; false: registered, but not listed."
    )
    service: str = setting("", "Name of the service; empty: the program's name.", live=False)
    group: str = setting("DEFAULT_GROUP", "Its group.", live=False)
    cluster_name: str = setting("DEFAULT", "Its cluster.", live=False)
    ip: str = setting(
        "",
        "IPv4 address to register; empty: that of the interface that leads to Nacos.",
        live=False,
    )
    port: int = setting(0, "Port to register; 0: the one listened on.", live=False, ge=0, le=65535)
    weight: float = setting(
        1.0, "Share of traffic; 0: no new traffic.", ge=0, le=10_000, allow_inf_nan=False
    )
    ephemeral: bool = setting(
        True,
        "Whether the instance goes with its connection; false: it stays until it is deregistered."
        " A service holds instances of one kind only.",
        live=False,
    )
    secure: bool = setting(
        False, "Whether the port speaks TLS; told in the metadata as secure=true.", live=False
    )
    metadata: StringMap = setting({}, "Metadata to add.")
    watchdog_interval: Duration = setting(
        timedelta(seconds=5), "How often the registry is asked whether all is right.", live=False
    )
    hold_after_outage: DurationOrZero = setting(
        timedelta(seconds=20),
        "How long, after Nacos was away, instances that it does not list yet stay in use.",
        live=False,
    )


class NacosSettings(OpenSection):
    """`spring.cloud.nacos`: the server and the account."""

    server_addr: ServerAddresses = setting(
        ["127.0.0.1:8848"], "Servers of the cluster, comma-separated.", live=False
    )
    username: str = setting("", "Account; empty where Nacos asks for none.", live=False)
    password: SecretStr = setting(SecretStr(""), "Its password.", live=False)
    namespace: str = setting("", "Namespace id; empty: public.", live=False)
    start_timeout: Duration = setting(
        timedelta(seconds=30), "How long a start waits for a server that is away.", live=False
    )
    ssl: NacosSslSection = NacosSslSection()
    config: ConfigSettings = ConfigSettings()
    discovery: DiscoverySettings = DiscoverySettings()

    def for_config(self) -> Self:
        """Give the settings of the connection that documents are read over."""
        return self._with(self.config)

    def for_discovery(self) -> Self:
        """Give the settings of the connection to the registry."""
        return self._with(self.discovery)

    @property
    def one_connection(self) -> bool:
        """Whether documents and the registry are at the same place, for the same account."""
        return self.for_config() == self.for_discovery()

    def _with(self, own: ConfigSettings | DiscoverySettings) -> Self:
        password = own.password if own.password.get_secret_value() else self.password
        return self.model_copy(
            update={
                "server_addr": own.server_addr or self.server_addr,
                "username": own.username or self.username,
                "password": password,
                "namespace": own.namespace or self.namespace,
            }
        )

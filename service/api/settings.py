"""`websocket.api`: whom a node answers."""

from typing import Annotated, Literal

from nacos_boot.http.api_keys import ApiKeySection, EachOnce
from nacos_boot.settings import Section, setting

Scope = Literal["push", "read", "disconnect", "actuator"]


class NodeKeySection(ApiKeySection):
    """One entry of `websocket.api.keys`."""

    scopes: tuple[Scope, ...] = setting(
        ..., "What it may be used for: push, read, disconnect, actuator."
    )


class ApiSection(Section):
    """`websocket.api`."""

    keys: Annotated[tuple[NodeKeySection, ...], EachOnce] = setting(
        (),
        "API keys, each with name, hash and scopes (push, read, disconnect, actuator); `python -m"
        " nacos_boot api-key` makes one. Without any, only callers on loopback and private"
        " addresses are answered.",
        when="next call",
    )

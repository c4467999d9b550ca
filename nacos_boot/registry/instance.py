"""One registered instance of a service, as Nacos describes it."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Instance:
    """A network address that serves a service, with what the registry knows of it.

    `weight` is Nacos's relative share of traffic (0 means none); `metadata` holds strings only,
    as Nacos and Spring Cloud do.
    """

    service: str
    ip: str
    port: int
    weight: float = 1.0
    healthy: bool = True
    enabled: bool = True
    ephemeral: bool = True
    cluster: str = "DEFAULT"
    metadata: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def address(self) -> str:
        """`ip:port`, which identifies the instance within its service and cluster."""
        return f"{self.ip}:{self.port}"

    @property
    def available(self) -> bool:
        """Whether consumers may send traffic here: Spring Cloud's rule, plus a weight above 0."""
        return self.healthy and self.enabled and self.weight > 0

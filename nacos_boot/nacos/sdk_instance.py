"""Instances as the Nacos SDK names their parts."""

import re
from typing import Any

from nacos_boot.registry.instance import Instance

_OTHER_KIND = re.compile(r"is (ephemeral|persistent) service, can't register")


def identity(instance: Instance, group: str) -> dict[str, Any]:
    """Give what tells an instance from others, as the SDK's requests name it."""
    return {
        "service_name": instance.service,
        "group_name": group,
        "ip": instance.ip,
        "port": instance.port,
        "cluster_name": instance.cluster,
        "ephemeral": instance.ephemeral,
    }


def instance_of(service: str, item: Any) -> Instance:
    """Read an instance as the SDK gives it."""
    return Instance(
        service=service,
        ip=item.ip,
        port=item.port,
        weight=item.weight,
        healthy=item.healthy,
        enabled=item.enabled,
        ephemeral=item.ephemeral,
        cluster=item.clusterName or "DEFAULT",
        metadata={str(key): str(value) for key, value in (item.metadata or {}).items()},
    )


def of_other_kind(instance: Instance, error: object) -> str:
    """Explain the refusal of an instance whose service is of the other kind; empty for others."""
    kind = _OTHER_KIND.search(str(error))
    if kind is None:
        return ""
    return (
        f"the service '{instance.service}' is {kind[1]} there, and a service holds instances of one"
        " kind only; change spring.cloud.nacos.discovery.ephemeral or .service, or delete the"
        " service in the console"
    )

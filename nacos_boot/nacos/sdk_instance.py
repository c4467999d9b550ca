"""Instances as the Nacos SDK names their parts."""

from typing import Any

from nacos_boot.registry.instance import Instance


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
        metadata={str(key): str(value) for key, value in item.metadata.items()},
    )

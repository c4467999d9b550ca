"""What health and the actuator say of registration and discovery.

Source: Spring Cloud Alibaba, NacosDiscoveryEndpoint (`/actuator/nacosdiscovery`).
"""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from nacos_boot.actuator.health import Health, Status
from nacos_boot.logs.masking import MASK, is_secret_name
from nacos_boot.registry.discovery import Discovery
from nacos_boot.registry.instance import Instance
from nacos_boot.registry.registration import Registration
from nacos_boot.start.nacos_settings import NacosSettings


def discovery_health(discoveries: Iterable[Discovery]) -> Health:
    """Say for each service that is followed what is known of it."""
    services: dict[str, Any] = {}
    for discovery in discoveries:
        details: dict[str, Any] = {"group": discovery.group, "instances": len(discovery.instances)}
        if discovery.held:
            details["notListedYet"] = sorted(discovery.held)
        if discovery.error:
            details["error"] = discovery.error
        services[discovery.service] = details
    # The last list stays in force, so the program is not unwell by itself.
    unwell = any(details.keys() & {"error", "notListedYet"} for details in services.values())
    return Health(Status.UNKNOWN if unwell else Status.UP, {"services": services})


def registration_health(registration: Registration) -> Health:
    """Say whether the program's own instance is in the registry, and as what."""
    details: dict[str, Any] = {
        "instance": registration.instance.address,
        "registered": registration.registered,
        "lost": registration.lost,
    }
    if registration.overridden:
        details["editedInConsole"] = dict(registration.overridden)
    if registration.error:
        details["error"] = registration.error
    return Health(Status.UNKNOWN if registration.error else Status.UP, details)


def describe_discovery(
    nacos: NacosSettings,
    discoveries: Iterable[Discovery],
    registration: Registration | None,
) -> Mapping[str, Any]:
    """Answer for `/actuator/nacosdiscovery`, with our own `registration` beside Spring's two.

    `nacos` are the settings of the connection to the registry.
    """
    return {
        "subscribe": [_service(discovery) for discovery in discoveries],
        "NacosDiscoveryProperties": _properties(nacos),
        "registration": None if registration is None else _registration(registration),
    }


def _properties(nacos: NacosSettings) -> Mapping[str, Any]:
    own = {_camel(name): _shown(name, value) for name, value in nacos.discovery}
    connection = {
        "serverAddr": ",".join(nacos.server_addr),
        "namespace": nacos.namespace,
        "username": nacos.username,
    }
    return {name: value for name, value in (own | connection).items() if name != "password"}


def _service(discovery: Discovery) -> Mapping[str, Any]:
    return {
        "name": discovery.service,
        "groupName": discovery.group,
        "clusters": "",
        "hosts": [_host(discovery.group, instance) for instance in discovery.instances],
        "notListedYet": sorted(discovery.held),
        "error": discovery.error,
    }


def _host(group: str, instance: Instance) -> Mapping[str, Any]:
    service = f"{group}@@{instance.service}"
    return {
        "instanceId": f"{instance.ip}#{instance.port}#{instance.cluster}#{service}",
        "ip": instance.ip,
        "port": instance.port,
        "weight": instance.weight,
        "healthy": instance.healthy,
        "enabled": instance.enabled,
        "ephemeral": instance.ephemeral,
        "clusterName": instance.cluster,
        "serviceName": service,
        "metadata": {key: _shown(key, value) for key, value in instance.metadata.items()},
    }


def _registration(registration: Registration) -> Mapping[str, Any]:
    return {
        "address": registration.instance.address,
        "service": registration.instance.service,
        "registered": registration.registered,
        "lost": registration.lost,
        "error": registration.error,
        "editedInConsole": dict(registration.overridden),
        "weight": registration.instance.weight,
        "enabled": registration.instance.enabled,
        "metadata": {
            key: _shown(key, value) for key, value in registration.instance.metadata.items()
        },
    }


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


def _shown(name: str, value: Any) -> Any:
    if is_secret_name(name):
        return MASK
    if isinstance(value, timedelta):
        return f"{round(value.total_seconds() * 1000)}ms"
    if isinstance(value, Mapping):
        return {key: _shown(key, item) for key, item in value.items()}
    return value

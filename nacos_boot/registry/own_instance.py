"""What the registry is told of this program, and whether it tells others the same. Pure: no I/O."""

from collections.abc import Iterable, Mapping

from nacos_boot.registry.instance import Instance
from nacos_boot.start.nacos_settings import DiscoverySettings

CONFIG_MD5 = "nacos.config.md5"
_WEIGHT = "the weight"
# Nacos hands weights on as it got them, but lifts very small ones to 0.01.
_WEIGHT_TOLERANCE = 0.01


def own_metadata(
    settings: DiscoverySettings,
    program: Mapping[str, str],
    *,
    version: str,
    md5: str,
    tls: bool = False,
) -> dict[str, str]:
    """Compose the metadata of the program's own instance.

    As in Spring Cloud Alibaba, what `spring.cloud.nacos.discovery.metadata` says counts more than
    what the program says; only the md5 of the configuration is always the true one. `tls`: whether
    the program's own port speaks TLS; one behind a proxy that does is `settings.secure`.
    """
    return {
        "preserved.register.source": "SPRING_CLOUD",
        "management.context-path": "/actuator",
        "version": version,
        **({"secure": "true"} if settings.secure or tls else {}),
        **program,
        **settings.metadata,
        CONFIG_MD5: md5,
    }


def find(instance: Instance, known: Iterable[Instance]) -> Instance | None:
    """Find an instance in a list, by its address and cluster.

    Where it is there twice, as what a former connection of this port has said, give the likest.
    """
    found = [
        other
        for other in known
        if (other.address, other.cluster) == (instance.address, instance.cluster)
    ]
    return min(found, key=lambda other: len(differences(instance, other)), default=None)


def differences(ours: Instance, listed: Instance) -> Mapping[str, str]:
    """Name what the registry says otherwise, with its values.

    That is `the weight` and keys of the metadata; a key that it does not have, with an empty value.
    """
    found = {
        key: listed.metadata.get(key, "")
        for key in {*ours.metadata, *listed.metadata}
        if ours.metadata.get(key) != listed.metadata.get(key)
    }
    differs = abs(ours.weight - listed.weight) > _WEIGHT_TOLERANCE
    return {**({_WEIGHT: f"{listed.weight:g}"} if differs else {}), **dict(sorted(found.items()))}

"""The settings that any program has: how it is registered, and what it logs.

They may stand in the program's documents in Nacos, too, and are part of the same change.
"""

from collections.abc import Iterator, Mapping

from nacos_boot.settings.section import OpenSection
from nacos_boot.settings.sources import PropertySource, leaves
from nacos_boot.settings.spring import LoggingSection
from nacos_boot.start.nacos_settings import DiscoverySettings

_READ_BEFORE = (
    "spring.application.name",
    "spring.profiles.active",
    "spring.profiles.include",
    "spring.profiles.default",
    "spring.config.import",
)
_NACOS = "spring.cloud.nacos."
_DISCOVERY = f"{_NACOS}discovery."


class _Nacos(OpenSection):
    discovery: DiscoverySettings = DiscoverySettings()


class _Cloud(OpenSection):
    nacos: _Nacos = _Nacos()


class _Spring(OpenSection):
    cloud: _Cloud = _Cloud()


class FrameworkSettings(OpenSection):
    """What `nacos_boot` itself takes from the documents, whatever the program."""

    spring: _Spring = _Spring()
    logging: LoggingSection = LoggingSection()

    @property
    def discovery(self) -> DiscoverySettings:
        """`spring.cloud.nacos.discovery`."""
        return self.spring.cloud.nacos.discovery


def read_too_late(documents: Mapping[str, PropertySource]) -> Iterator[tuple[str, str]]:
    """Yield (source, key) for each key of a document in Nacos that is needed to find it.

    Such a key has an effect in `bootstrap.yml`, the environment and the command line only.
    """
    for source in documents.values():
        for path, _ in leaves(source.tree):
            key = ".".join(path)
            of_nacos = key.startswith(_NACOS) and not f"{key}.".startswith(_DISCOVERY)
            if of_nacos or key.split("[", 1)[0] in _READ_BEFORE:
                yield source.name, key

"""What a program must know before it can ask Nacos: local files, environment, command line.

Source: Spring Boot reference, "Externalized Configuration"; Spring Cloud Alibaba reference, "Nacos
Config".
"""

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nacos_boot.documents.parse import DocumentKind, kind_of
from nacos_boot.settings.bind import SettingsError, bind
from nacos_boot.settings.environment import from_arguments
from nacos_boot.settings.sources import PropertySource
from nacos_boot.start.local_files import LocalFiles
from nacos_boot.start.local_imports import Imported, imported
from nacos_boot.start.local_settings import (
    BootstrapSettings,
    chosen_profiles,
    refuse_removed,
    unheeded,
)
from nacos_boot.start.nacos_settings import DocumentSettings, NacosSettings
from nacos_boot.start.startup import StartError

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """The start-up facts of one program.

    `local` are the local files, from the weakest to the strongest. All are below the documents in
    Nacos but for those of `below_local`, which only the first `below_profiles` files are below; the
    others are for profiles. `arguments` is the command line (highest); `environ` is the environment
    that placeholders and relaxed names are looked up in. `imports` are the documents of
    `spring.config.import`. `local_names` are, for each profile that has no local file, those that
    were looked for.
    """

    application: str
    profiles: tuple[str, ...]
    nacos: NacosSettings
    local: tuple[PropertySource, ...]
    arguments: PropertySource
    environ: Mapping[str, str]
    imports: tuple[Imported, ...] = ()
    local_names: Mapping[str, Sequence[str]] = field(default_factory=dict)
    below_profiles: int = 0

    @property
    def documents(self) -> tuple[DocumentSettings, ...]:
        """The documents to read, from the lowest to the highest precedence.

        Shared configs, extension configs, then the program's own: those it imports; without any
        the document named after it and its profiles in their order. None where config is disabled.
        """
        config = self.nacos.config
        if not config.enabled:
            return ()
        found = (*config.shared_configs, *config.extension_configs, *self._own)
        # Of a document that is named twice the stronger place counts.
        last = {document.key: document for document in found}
        unique = [document for document in found if last[document.key] is document]
        if config.refresh_enabled:
            return tuple(unique)
        return tuple(document.model_copy(update={"refresh": False}) for document in unique)

    @property
    def required(self) -> tuple[DocumentSettings, ...]:
        """The documents that must exist for a start: the program's own, unless optional.

        Of those that are named after the program only the first, which is for every profile.
        """
        if not self.nacos.config.enabled:
            return ()
        if not self.imports:
            return (self._named(""),)
        return tuple(each.document for each in self.imports if not each.optional)

    @property
    def below_local(self) -> frozenset[str]:
        """The keys of the documents that local files of profiles go before (`preference=local`)."""
        return frozenset(each.document.key for each in self.imports if each.below_local)

    def kind_of(self, document: DocumentSettings) -> DocumentKind:
        """Tell what a document is written in: by its data id, or as `file-extension` says."""
        return kind_of(document.data_id, self.nacos.config.file_extension)

    def name_of(self, document: DocumentSettings) -> str:
        """Name a document for messages: its data id, with its group where that isn't the usual."""
        own_group = document.group == self.nacos.config.group
        return document.data_id if own_group else document.key

    def of_profile(self, profile: str) -> DocumentSettings | None:
        """Give the document that a profile is looked for in, None where the program has imports."""
        return None if self.imports else self._named(f"-{profile}")

    @property
    def _own(self) -> tuple[DocumentSettings, ...]:
        if self.imports:
            return tuple(each.document for each in self.imports)
        return (self._named(""), *(self._named(f"-{profile}") for profile in self.profiles))

    def _named(self, suffix: str) -> DocumentSettings:
        config = self.nacos.config
        name = config.prefix or config.name or self.application
        return DocumentSettings.model_validate(
            {
                "data-id": f"{name}{suffix}.{config.file_extension}",
                "group": config.group,
                "refresh": True,
            }
        )


def load_bootstrap(
    path: Path, environ: Mapping[str, str] = os.environ, arguments: Sequence[str] = ()
) -> Bootstrap:
    """Read `bootstrap.yml` and its kin beside it, with environment and command line above them.

    Raises StartError that names the file, the line, the key and what was expected.
    """
    files = LocalFiles(path)
    try:
        command_line = from_arguments(arguments)
        profiles = chosen_profiles(files.unconditional(), environ, command_line)
        said, with_file, below_profiles = files.for_profiles(profiles)
        local = [each.source for each in said]
        bound = bind(BootstrapSettings, local, environ, [command_line])
        refuse_removed(bound.merged)
        spring = bound.settings.spring
        imports = imported(said, bound.merged.tree, environ, command_line, spring.cloud.nacos)
    except SettingsError as error:
        raise StartError(f"the bootstrap settings are not valid: {error}", final=True) from error
    except ValueError as error:
        raise StartError(str(error), final=True) from error
    if not spring.application.name:
        raise StartError(
            f"{path} does not set spring.application.name, the service name", final=True
        )
    for message in unheeded(bound.merged):
        log.warning("%s", message)
    mentioned = with_file.union(*(each.named for each in said), spring.profiles.group)
    return Bootstrap(
        application=spring.application.name,
        profiles=profiles,
        nacos=_without_snapshot(spring.cloud.nacos),
        local=tuple(local),
        below_profiles=below_profiles,
        arguments=command_line,
        environ=environ,
        imports=imports,
        local_names={
            profile: files.names_for(profile) for profile in profiles if profile not in mentioned
        },
    )


def _without_snapshot(nacos: NacosSettings) -> NacosSettings:
    # Without documents from Nacos there is nothing to keep for a start without it.
    if nacos.config.enabled:
        return nacos
    config = nacos.config.model_copy(update={"snapshot": False})
    return nacos.model_copy(update={"config": config})

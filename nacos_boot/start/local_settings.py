"""Which of the local settings are looked at before Nacos is asked, and which must not be there."""

from collections.abc import Iterator, Mapping, Sequence

from nacos_boot.documents.activation import Activated
from nacos_boot.documents.profiles import ProfileError, active_profiles
from nacos_boot.settings.bind import Problem, SettingsError, bind, display
from nacos_boot.settings.relaxed import uniform
from nacos_boot.settings.section import OpenSection
from nacos_boot.settings.setting import setting
from nacos_boot.settings.sources import MergedTree, PropertySource
from nacos_boot.settings.unread import unread_keys
from nacos_boot.start.nacos_settings import CommaSeparated, NacosSettings

_NACOS = "spring.cloud.nacos"
_REMOVED = {
    "spring.cloud.nacos.config.shareddataids": "shared-configs[0].data-id, [1].data-id and so on",
    "spring.cloud.nacos.config.refreshabledataids": "shared-configs[0].refresh: true",
    "spring.cloud.nacos.config.extconfig": "extension-configs[0].data-id, .group and .refresh",
}


class _Cloud(OpenSection):
    nacos: NacosSettings = NacosSettings()


class _Application(OpenSection):
    name: str = setting("", "Name of the program: of its documents and its service.", live=False)


class _Profiles(OpenSection):
    active: CommaSeparated = setting(
        [], "Profiles, comma-separated; the last is the strongest.", live=False
    )
    include: CommaSeparated = setting(
        [], "Profiles that are active, too; weaker than the active ones.", live=False
    )
    default: CommaSeparated = setting([], "Profiles that are active where no other is.", live=False)
    group: dict[str, list[str]] = setting(
        {}, "Profiles that one name stands for, as a list or comma-separated.", live=False
    )


class _Config(OpenSection):
    imports: CommaSeparated = setting(
        [],
        "Documents to read from Nacos, such as nacos:shop.yml, comma-separated, in place of those"
        " that are named after the program.",
        live=False,
        alias="import",
    )


class _Spring(OpenSection):
    application: _Application = _Application()
    profiles: _Profiles = _Profiles()
    config: _Config = _Config()
    cloud: _Cloud = _Cloud()


class BootstrapSettings(OpenSection):
    """The keys of `bootstrap.yml` and the other local files that `nacos_boot` reads."""

    spring: _Spring = _Spring()


class _OnlyProfiles(OpenSection):
    profiles: _Profiles = _Profiles()


class _ProfileSettings(OpenSection):
    spring: _OnlyProfiles = _OnlyProfiles()


def chosen_profiles(
    said: Sequence[Activated], environ: Mapping[str, str], command_line: PropertySource
) -> tuple[str, ...]:
    """Give the active profiles, the strongest last.

    Those are said by documents without a condition, the environment and the command line. Raises
    SettingsError.
    """
    sources = [each.source for each in said]
    # A key that a profile's document gives may be absent yet; the whole is checked afterwards.
    bound = bind(_ProfileSettings, sources, environ, [command_line], lambda _key, _name: "")
    profiles = bound.settings.spring.profiles
    try:
        return active_profiles(profiles.active, profiles.include, profiles.default, profiles.group)
    except ProfileError as error:
        key = "spring.profiles.active"
        merged = bound.merged
        raise SettingsError(
            [
                Problem(
                    merged.origin_of(key),
                    key,
                    display(key, ",".join(profiles.active)),
                    str(error),
                    merged.line_of(key),
                )
            ]
        ) from error


def refuse_removed(merged: MergedTree) -> None:
    """Raise SettingsError for keys that Spring Cloud Alibaba has removed, and name their heirs."""
    problems = [
        Problem(
            merged.origin_of(key),
            key,
            "(removed)",
            f"Spring Cloud Alibaba has removed this key; expected {_NACOS}.config.{instead}",
            merged.line_of(key),
        )
        for removed, instead in _REMOVED.items()
        for key in merged.origins
        if uniform(key).startswith(removed)
    ]
    if problems:
        raise SettingsError(problems)


def unheeded(merged: MergedTree) -> Iterator[str]:
    """Yield a sentence for each key below `spring.cloud.nacos` that has no effect here."""
    spring = merged.tree.get("spring")
    cloud = spring.get("cloud") if isinstance(spring, Mapping) else None
    nacos = cloud.get("nacos") if isinstance(cloud, Mapping) else None
    if not isinstance(nacos, Mapping):
        return
    for name in unread_keys(nacos, NacosSettings):
        key = f"{_NACOS}.{name}"
        line = merged.line_of(key)
        where = f"{merged.origin_of(key)}{f', line {line}' if line else ''}"
        yield f"{where}: {key} is not honoured here; see docs/configuration.md for what is"

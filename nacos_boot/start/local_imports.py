"""Find the documents that a program imports from Nacos, by `spring.config.import`."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nacos_boot.documents.activation import Activated, Found, texts
from nacos_boot.documents.error import DocumentError
from nacos_boot.settings.bind import Problem, SettingsError, display
from nacos_boot.settings.environment import from_environment, from_json_variable
from nacos_boot.settings.placeholders import PlaceholderError, expand
from nacos_boot.settings.relaxed import spelled
from nacos_boot.settings.section import OpenSection
from nacos_boot.settings.setting import setting
from nacos_boot.settings.sources import PropertySource, merge
from nacos_boot.start.imports import Import, ImportFault, read_import
from nacos_boot.start.nacos_settings import CommaSeparated, DocumentSettings, NacosSettings

log = logging.getLogger(__name__)

_KEY = "spring.config.import"


@dataclass(frozen=True, slots=True)
class Imported:
    """A document that the program imports; `below_local`: local files of profiles go before it."""

    document: DocumentSettings
    optional: bool
    below_local: bool


class _Config(OpenSection):
    imports: CommaSeparated = setting([], "", live=False, alias="import")


class _Spring(OpenSection):
    config: _Config = _Config()


class _Imports(OpenSection):
    spring: _Spring = _Spring()


def imported(
    said: Sequence[Activated],
    tree: Mapping[str, Any],
    environ: Mapping[str, str],
    command_line: PropertySource,
    nacos: NacosSettings,
) -> tuple[Imported, ...]:
    """Give the imports from Nacos, from the weakest to the strongest.

    Those of the local files come in the order of the files, then those of the environment or the
    command line. `tree` is what placeholders in them are looked up in. Imports of other kinds are
    passed over where they are optional. Raises SettingsError.
    """
    places = [(each.source.name, found) for each in said for found in each.imports]
    places += _from_outside(environ, command_line)
    result: dict[str, Imported] = {}
    for name, found in places:
        for location in _locations(name, found, tree, environ):
            try:
                each = read_import(location)
            except ImportFault as error:
                raise _refused(name, found, str(error)) from error
            if not each.data_id:
                log.info("%s: the import '%s' is passed over", name, location)
                continue
            settings = _settings(each, nacos)
            # Of a document that is imported twice the stronger place counts.
            result.pop(settings.key, None)
            result[settings.key] = Imported(settings, each.optional, each.preference == "local")
    return tuple(result.values())


def _settings(each: Import, nacos: NacosSettings) -> DocumentSettings:
    return DocumentSettings.model_validate(
        {
            "data-id": each.data_id,
            "group": each.group or nacos.config.group,
            "refresh": each.refresh is not False,
        }
    )


def _from_outside(
    environ: Mapping[str, str], command_line: PropertySource
) -> list[tuple[str, Found]]:
    json = from_json_variable(environ)
    sources = [from_environment(environ, _Imports, {}), *([json] if json else []), command_line]
    merged = merge([spelled(source, _Imports) for source in sources])
    value = merged.tree.get("spring", {})
    for name in ("config", "import"):
        value = value.get(name) if isinstance(value, Mapping) else None
    if value is None:
        return []
    return [(merged.origin_of(_KEY), Found(_KEY, value, None))]


def _locations(
    name: str, found: Found, tree: Mapping[str, Any], environ: Mapping[str, str]
) -> list[str]:
    def expanded(value: Any) -> Any:
        return expand(value, _KEY, tree, environ) if isinstance(value, str) else value

    value = found.value
    try:
        value = [expanded(item) for item in value] if isinstance(value, list) else expanded(value)
        return texts(Found(found.key, value, found.line))
    except PlaceholderError as error:
        raise _refused(name, found, error.message) from error
    except DocumentError as error:
        raise _refused(name, found, error.message) from error


def _refused(name: str, found: Found, message: str) -> SettingsError:
    value = display(found.key, found.value)
    return SettingsError([Problem(name, found.key, value, message, found.line)])

"""Check documents against a program's settings before they are published. Pure: no I/O."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from nacos_boot.settings.bind import Problem, SettingsError
from nacos_boot.settings.configuration import assemble
from nacos_boot.settings.framework import FrameworkSettings, read_too_late
from nacos_boot.settings.sources import PropertySource, leaves
from nacos_boot.settings.unread import unread_keys
from nacos_boot.start.bootstrap import Bootstrap
from nacos_boot.start.nacos_settings import ConfigSettings, NacosSettings
from nacos_boot.tools.setting_list import nearest_key, settings_of


class Level(StrEnum):
    """How bad a finding is: an error is what the program would refuse."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to tell. `source` is a data id, or what else gave the value; secrets are masked.

    `line` counts from 1. `value` is empty where it doesn't matter, `key` where there is none.
    """

    level: Level
    source: str
    line: int | None
    key: str
    value: str
    message: str


class _Anything(BaseModel):
    model_config = ConfigDict(extra="allow")


def in_order(data_ids: Sequence[str]) -> Bootstrap:
    """Give the start-up facts of a program that reads just these documents, the last wins."""
    documents = [{"data-id": data_id, "refresh": True} for data_id in data_ids]
    config = ConfigSettings.model_validate({"extension-configs": documents})
    return Bootstrap(
        application="",
        profiles=(),
        nacos=NacosSettings(config=config),
        local=(),
        arguments=PropertySource("the command line", {}),
        environ={},
    )


def check(model: type[BaseModel], bootstrap: Bootstrap, texts: Mapping[str, str]) -> list[Finding]:
    """Check documents, given by data id, as the program would take them, each and together.

    Those that the program doesn't read are checked by themselves, for what they are written in.
    """
    read = [document.data_id for document in bootstrap.documents]
    findings: list[Finding] = []
    for data_id in (data_id for data_id in texts if data_id not in read):
        message = (
            f"{bootstrap.application} does not read this document, so only its syntax was checked;"
            f" it reads {', '.join(read)}"
        )
        findings.append(Finding(Level.WARNING, data_id, None, "", "", message))
        findings += _alone(data_id, texts[data_id])
    contents = {
        document.key: texts[document.data_id]
        for document in bootstrap.documents
        if document.data_id in texts
    }
    if not contents:
        message = f"expected at least one of the documents of {bootstrap.application}"
        return [*findings, Finding(Level.ERROR, ", ".join(read), None, "", "(none)", message)]
    return findings + _together(model, bootstrap, contents)


def _alone(data_id: str, text: str) -> list[Finding]:
    bootstrap = in_order([data_id])
    contents = {
        document.key: text for document in bootstrap.documents if document.data_id == data_id
    }
    try:
        assemble(_Anything, bootstrap, contents, unset=lambda _key, name: name)
    except SettingsError as error:
        return [_error(problem) for problem in error.problems]
    return []


def _together(
    model: type[BaseModel], bootstrap: Bootstrap, contents: Mapping[str, str]
) -> list[Finding]:
    unset: dict[str, str] = {}

    def stand_in(key: str, name: str) -> str:
        unset[key] = name
        return f"${{{name}}}"

    findings: list[Finding] = []
    try:
        assemble(model, bootstrap, contents, unset=stand_in)
    except SettingsError as error:
        findings += [
            _error(problem, model) for problem in error.problems if not _hangs_on(unset, problem)
        ]
    try:
        documents = assemble(_Anything, bootstrap, contents, unset=stand_in).documents
    except SettingsError:
        # Said above already; what cannot be put together has no keys to look at.
        return findings
    sources = tuple(documents.values())
    findings += [_without_value(key, name, sources) for key, name in unset.items()]
    too_late = sorted(set(read_too_late(documents)))
    for name, key in too_late:
        message = "read from bootstrap.yml, the environment and the command line only"
        findings.append(_at(sources, Level.WARNING, name, key, message))
    config = bootstrap.nacos.config
    shared = {document.key for document in (*config.shared_configs, *config.extension_configs)}
    for document_key, source in documents.items():
        of_nobody = [
            key
            for key in unread_keys(source.tree, FrameworkSettings)
            if (source.name, key) not in too_late
        ]
        passed_over = set(unread_keys(source.tree, model)).intersection(of_nobody)
        keys = [key for key in of_nobody if key in passed_over]
        if document_key in shared and bootstrap.application:
            findings += _for_others(source.name, keys)
        else:
            findings += [
                _at(sources, Level.WARNING, source.name, key, f"not read{_instead(key, model)}")
                for key in keys
            ]
    return findings


def _for_others(name: str, keys: Sequence[str]) -> list[Finding]:
    """Tell of a shared document's keys in one line: other programs may well read them."""
    if not keys:
        return []
    sections = dict.fromkeys(
        f"{key.rpartition('.')[0]}.*".removeprefix(".*") or key for key in keys
    )
    message = f"not read by this program: {', '.join(sections)}"
    return [Finding(Level.NOTE, name, None, "", "", message)]


def _without_value(key: str, name: str, sources: Sequence[PropertySource]) -> Finding:
    leaf = key.split("[", 1)[0]
    giving = [source for source in sources if leaf in _keys(source)]
    message = f"${{{name}}} has no value here, so this key was not checked"
    return _at(sources, Level.WARNING, giving[-1].name if giving else "bootstrap.yml", key, message)


def _at(
    sources: Sequence[PropertySource], level: Level, name: str, key: str, message: str
) -> Finding:
    leaf = key.split("[", 1)[0]
    lines = (source.lines.get(leaf) for source in sources if source.name == name)
    return Finding(level, name, next(lines, None), key, "", message)


def _keys(source: PropertySource) -> set[str]:
    return {".".join(path) for path, _ in leaves(source.tree)}


def _hangs_on(unset: Mapping[str, str], problem: Problem) -> bool:
    """Tell whether a problem is about a placeholder's stand-in, not about a value."""
    if any(f"${{{name}}}" in problem.value for name in unset.values()):
        return True
    below = f"{problem.key}."
    return any(key == problem.key or key.startswith(below) for key in unset)


def _error(problem: Problem, model: type[BaseModel] | None = None) -> Finding:
    known = {one.key for one in settings_of(model)} if model else set()
    unknown = model is not None and bool(problem.key) and problem.key not in known
    message = problem.expected
    if model is not None and unknown and problem.value != "(section)":
        message += _instead(problem.key, model)
    return Finding(Level.ERROR, problem.source, problem.line, problem.key, problem.value, message)


def _instead(key: str, model: type[BaseModel]) -> str:
    nearest = nearest_key(key, (model, FrameworkSettings))
    return f"; did you mean {nearest}?" if nearest else ""

"""Make settings of a program's documents: parse, merge, bind and check the whole."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from pydantic import BaseModel

from nacos_boot.documents.activation import Activated, activated
from nacos_boot.documents.error import DocumentError
from nacos_boot.documents.parse import parse
from nacos_boot.settings.bind import Bound, Problem, SettingsError, bind, of_document
from nacos_boot.settings.framework import FrameworkSettings
from nacos_boot.settings.placeholders import Unset
from nacos_boot.settings.sources import PropertySource
from nacos_boot.start.bootstrap import Bootstrap

T = TypeVar("T", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Configuration(Generic[T]):
    """Settings that passed every check, with the documents that they were made of.

    `bound` are the program's own, `framework` those that any program has: one tree, two models.
    `contents` are the texts and `documents` what they say, both by `group/data id`. `missing` names
    the documents that Nacos does not have; `warnings` are sentences on what may be a slip.
    """

    contents: Mapping[str, str]
    documents: Mapping[str, PropertySource]
    bound: Bound[T]
    framework: Bound[FrameworkSettings]
    missing: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def assemble(
    model: type[T],
    bootstrap: Bootstrap,
    contents: Mapping[str, str],
    *,
    replaces: Configuration[T] | None = None,
    unset: Unset | None = None,
) -> Configuration[T]:
    """Make the settings of the given texts (absent documents are absent from them).

    Where they replace a configuration in force, no document that held settings may be gone or
    empty: that is far more often a slip than a wish. Raises SettingsError with every problem.
    """
    before = replaces.documents if replaces else {}
    if gone := [source for key, source in before.items() if key not in contents]:
        raise SettingsError([_blank(source, "deleted") for source in gone])
    read = _parsed(bootstrap, contents)
    documents = {key: each.source for key, each in read.items()}
    emptied = [source for key, source in before.items() if source.tree and not documents[key].tree]
    if emptied:
        raise SettingsError([_blank(source, "empty") for source in emptied])
    below, general = bootstrap.below_local, bootstrap.below_profiles
    sources = [
        *bootstrap.local[:general],
        *(source for key, source in documents.items() if key in below),
        *bootstrap.local[general:],
        *(source for key, source in documents.items() if key not in below),
    ]
    bound, framework = _bound(model, bootstrap, sources, unset)
    missing = tuple(
        bootstrap.name_of(document)
        for document in bootstrap.documents
        if document.key not in contents
    )
    warnings = _profiles_without_documents(bootstrap, read)
    return Configuration(contents, documents, bound, framework, missing, warnings)


def _bound(
    model: type[T], bootstrap: Bootstrap, sources: Sequence[PropertySource], unset: Unset | None
) -> tuple[Bound[T], Bound[FrameworkSettings]]:
    above = (bootstrap.environ, [bootstrap.arguments], unset)
    problems: list[Problem] = []
    try:
        bound = bind(model, sources, *above)
    except SettingsError as error:
        problems += error.problems
    try:
        framework = bind(FrameworkSettings, sources, *above)
    except SettingsError as error:
        # A section that the program has, too, is told of once.
        problems += [problem for problem in error.problems if problem not in problems]
    if problems:
        raise SettingsError(problems)
    return bound, framework


def _parsed(bootstrap: Bootstrap, contents: Mapping[str, str]) -> dict[str, Activated]:
    documents: dict[str, Activated] = {}
    problems: list[Problem] = []
    for document in bootstrap.documents:
        key = document.key
        if key not in contents:
            continue
        name = bootstrap.name_of(document)
        try:
            parts = parse(contents[key], bootstrap.kind_of(document))
            documents[key] = activated(name, parts, bootstrap.profiles)
        except DocumentError as error:
            problems.append(of_document(name, error))
    if problems:
        raise SettingsError(problems)
    return documents


def _profiles_without_documents(
    bootstrap: Bootstrap, read: Mapping[str, Activated]
) -> tuple[str, ...]:
    named = frozenset[str]().union(*(each.named for each in read.values()))
    warnings: list[str] = []
    for profile, local in bootstrap.local_names.items():
        document = bootstrap.of_profile(profile)
        if profile in named or (document is not None and document.key in read):
            continue
        looked_for = [*([bootstrap.name_of(document)] if document else []), *local]
        warnings.append(
            f"no document is for the profile '{profile}': there is no"
            f" {', no '.join(looked_for)}; check spring.profiles.active, or ignore this"
        )
    return tuple(warnings)


def _blank(source: PropertySource, how: str) -> Problem:
    return Problem(
        source.name,
        "the document",
        f"({how})",
        "expected it to hold settings, since those it held are in force; publish it again,"
        " or restart without it",
    )

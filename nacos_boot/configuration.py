"""Make settings of a program's documents: parse, merge, bind and check the whole."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from pydantic import BaseModel

from nacos_boot.bootstrap import Bootstrap
from nacos_boot.documents import DocumentError, parse_yaml
from nacos_boot.settings import Bound, Problem, SettingsError, bind
from nacos_boot.sources import PropertySource

T = TypeVar("T", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Configuration(Generic[T]):
    """Settings that passed every check, with the documents that they were made of.

    `contents` are the texts and `documents` what they say, both by `group/data id`.
    """

    contents: Mapping[str, str]
    documents: Mapping[str, PropertySource]
    bound: Bound[T]


def assemble(
    model: type[T],
    bootstrap: Bootstrap,
    contents: Mapping[str, str],
    *,
    replaces: Configuration[T] | None = None,
) -> Configuration[T]:
    """Make the settings of the given texts (absent documents are absent from them).

    Where they replace a configuration in force, no document that held settings may be gone or
    empty: that is far more often a slip than a wish. Raises SettingsError with every problem.
    """
    before = replaces.documents if replaces else {}
    if gone := [source for key, source in before.items() if key not in contents]:
        raise SettingsError([_blank(source, "deleted") for source in gone])
    documents = _parsed(bootstrap, contents)
    emptied = [source for key, source in before.items() if source.tree and not documents[key].tree]
    if emptied:
        raise SettingsError([_blank(source, "empty") for source in emptied])
    sources = [bootstrap.local, *documents.values()]
    bound = bind(model, sources, bootstrap.environ, [bootstrap.arguments])
    return Configuration(contents, documents, bound)


def _parsed(bootstrap: Bootstrap, contents: Mapping[str, str]) -> dict[str, PropertySource]:
    documents: dict[str, PropertySource] = {}
    problems: list[Problem] = []
    for document in bootstrap.documents:
        key = document.key
        if key not in contents:
            continue
        own_group = document.group == bootstrap.nacos.config.group
        name = document.data_id if own_group else key
        try:
            documents[key] = PropertySource(name, parse_yaml(contents[key]))
        except DocumentError as error:
            problems.append(Problem(name, "the document", "(text)", str(error)))
    if problems:
        raise SettingsError(problems)
    return documents


def _blank(source: PropertySource, how: str) -> Problem:
    return Problem(
        source.name,
        "the document",
        f"({how})",
        "expected it to hold settings, since those it held are in force; publish it again,"
        " or restart without it",
    )

"""Bind a merged tree to typed settings: all of it, or one error that says all that is wrong."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, SecretStr, ValidationError

from nacos_boot.documents.error import DocumentError
from nacos_boot.documents.keys import join_key, without_index
from nacos_boot.logs.masking import MASK, is_secret_name, know_plain_keys, know_secret_keys
from nacos_boot.settings.environment import JSON_VARIABLE, from_environment, from_json_variable
from nacos_boot.settings.fitting import fitted
from nacos_boot.settings.placeholders import PlaceholderError, Unset, resolve
from nacos_boot.settings.relaxed import spelled
from nacos_boot.settings.secret_keys import plain_keys, secret_keys
from nacos_boot.settings.sources import MergedTree, PropertySource, leaves, merge

_SHOWN_PROBLEMS = 20
_SHOWN_CHARACTERS = 200

T = TypeVar("T", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with the settings: where it stands, what it is, what was expected."""

    source: str
    key: str
    value: str
    expected: str
    line: int | None = None

    def __str__(self) -> str:
        where = f"{self.source}, line {self.line}" if self.line else self.source
        return f"{where}: {self.key} = {self.value}: {self.expected}"


class SettingsError(ValueError):
    """The settings cannot be used. `problems` holds every fault that was found."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        shown = [str(problem) for problem in problems[:_SHOWN_PROBLEMS]]
        if more := len(problems) - len(shown):
            shown.append(f"and {more} more")
        super().__init__("; ".join(shown))
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class Bound(Generic[T]):
    """Settings that passed every check, with the tree and the sources they were made of.

    `sources` stand in the order of their precedence, keys spelled as the settings do; `pinning`
    names those above them, the environment and the overrides.
    """

    settings: T
    merged: MergedTree
    sources: tuple[PropertySource, ...]
    pinning: frozenset[str]


def bind(
    model: type[T],
    sources: Sequence[PropertySource],
    environ: Mapping[str, str],
    overrides: Sequence[PropertySource] = (),
    unset: Unset | None = None,
) -> Bound[T]:
    """Merge sources (lowest precedence first), add the environment and overrides, and validate.

    `unset` stands in for placeholders without a value, as in `placeholders.resolve`.
    Raises SettingsError with every problem found.
    """
    know_secret_keys(secret_keys(model))
    know_plain_keys(plain_keys(model))
    documents = [spelled(source, model) for source in sources]
    above = [
        _environment(environ, model, merge(documents).tree),
        *(spelled(source, model) for source in [*_from_json(environ), *overrides]),
    ]
    merged = merge([*documents, *above])
    try:
        tree = resolve(merged.tree, environ, unset)
    except PlaceholderError as error:
        raise SettingsError([_of_placeholder(error, merged)]) from error
    try:
        settings = model.model_validate(fitted(tree, model))
    except ValidationError as error:
        raise SettingsError(
            [_problem(item, merged) for item in error.errors(include_url=False)]
        ) from error
    pinning = frozenset(source.name for source in above)
    return Bound(
        settings, MergedTree(tree, merged.origins, merged.lines), tuple(documents), pinning
    )


def display(key: str, value: Any) -> str:
    """Write a value for a log or an error, masked where its key says that it is a secret."""
    if value is None:
        return "(empty)"
    if is_secret_name(key) or isinstance(value, SecretStr):
        return MASK
    text = str(value)
    cut = text[:_SHOWN_CHARACTERS]
    return f"'{text}'" if cut == text else f"'{cut}…'"


def of_document(name: str, error: DocumentError) -> Problem:
    """Give the problem of a document whose text cannot be read."""
    return Problem(name, error.key or "the document", "(text)", error.message, error.line)


def _environment(
    environ: Mapping[str, str], model: type[BaseModel], known: Mapping[str, Any]
) -> PropertySource:
    try:
        return from_environment(environ, model, known)
    except DocumentError as error:
        raise SettingsError(
            [Problem("the environment", error.key, "(list)", error.message)]
        ) from error


def _from_json(environ: Mapping[str, str]) -> list[PropertySource]:
    try:
        source = from_json_variable(environ)
    except DocumentError as error:
        raise SettingsError([of_document(JSON_VARIABLE, error)]) from error
    return [source] if source else []


def _of_placeholder(error: PlaceholderError, merged: MergedTree) -> Problem:
    leaf = without_index(error.key)
    value = {".".join(path): value for path, value in leaves(merged.tree)}.get(leaf)
    return Problem(
        merged.origin_of(leaf),
        error.key,
        display(error.key, value),
        error.message,
        merged.line_of(error.key),
    )


def _problem(item: Any, merged: MergedTree) -> Problem:
    key = join_key(part if isinstance(part, int) else str(part) for part in item["loc"])
    source, line = merged.origin_of(key), merged.line_of(key)
    messages = {
        "extra_forbidden": "this key is not known here; expected one of the documented keys",
        "missing": "this key is required",
    }
    expected = messages.get(item["type"]) or item["msg"].removeprefix("Value error, ")
    if item["type"] == "missing":
        section = key.rpartition(".")[0]
        return Problem(source, key, "(not set)", expected, line or merged.line_of(section))
    if not isinstance(item["input"], Mapping) or without_index(key) in merged.origins:
        return Problem(source, key, display(key, item["input"]), expected, line)
    # A rule between two keys is about their section; the message names the keys themselves.
    named = _named_in(expected, key, merged) if item["type"] not in messages else []
    if named:
        source, line = merged.origin_of(named[0]), merged.line_of(named[0])
    for other in named[1:]:
        at = merged.line_of(other)
        where = f"{merged.origin_of(other)}{f', line {at}' if at else ''}"
        expected += f"; {other.removeprefix(f'{key}.')} stands in {where}"
    return Problem(source, key, "(section)", expected, line)


def _named_in(message: str, section: str, merged: MergedTree) -> list[str]:
    """Give the keys of a section that a message speaks of, in its order, as far as they are set."""
    places: dict[str, int] = {}
    for key in merged.origins:
        below = key.removeprefix(f"{section}." if section else "")
        if section and below == key:
            continue
        if found := re.search(rf"(?<![\w.-]){re.escape(below)}(?![\w-])", message):
            places[key] = found.start()
    return sorted(places, key=places.__getitem__)

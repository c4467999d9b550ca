"""Bind a merged tree to typed settings: all of it, or one error that says all that is wrong."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, SecretStr, ValidationError

from nacos_boot.placeholders import PlaceholderError, resolve
from nacos_boot.relaxed import canonical, from_environment
from nacos_boot.sources import MergedTree, PropertySource, leaves, merge

_SECRET = re.compile(
    r"(?i:password|passwd|secret|token|credential)"
    r"|(?:(?:^|[._-])(?i:key)|[a-z]Key)(?i:s)?(?:$|[.\[])"
)
MASK = "******"
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
) -> Bound[T]:
    """Merge sources (lowest precedence first), add the environment and overrides, and validate.

    Raises SettingsError with every problem found.
    """
    spelled = [PropertySource(source.name, canonical(source.tree, model)) for source in sources]
    known = merge(spelled).tree
    environment = from_environment(environ, model, known)
    above = [
        environment,
        *(PropertySource(source.name, canonical(source.tree, model)) for source in overrides),
    ]
    merged = merge([*spelled, *above])
    try:
        tree = resolve(merged.tree, environ)
    except PlaceholderError as error:
        leaf = error.key.split("[", 1)[0]
        value = {".".join(path): value for path, value in leaves(merged.tree)}.get(leaf)
        problem = Problem(
            merged.origin_of(leaf), error.key, display(error.key, value), error.message
        )
        raise SettingsError([problem]) from error
    try:
        settings = model.model_validate(tree)
    except ValidationError as error:
        raise SettingsError([_problem(item, merged) for item in error.errors()]) from error
    pinning = frozenset(source.name for source in above)
    return Bound(settings, MergedTree(tree, merged.origins), tuple(spelled), pinning)


def display(key: str, value: Any) -> str:
    """Write a value for a log or an error, masked where its key says that it is a secret."""
    if value is None:
        return "(empty)"
    if _SECRET.search(key) or isinstance(value, SecretStr):
        return MASK
    text = str(value)
    cut = text[:_SHOWN_CHARACTERS]
    return f"'{text}'" if cut == text else f"'{cut}…'"


def _problem(item: Any, merged: MergedTree) -> Problem:
    key = ""
    for part in item["loc"]:
        key += f"[{part}]" if isinstance(part, int) else f".{part}" if key else str(part)
    dotted = key.split("[", 1)[0]
    messages = {
        "extra_forbidden": "this key is not known here; expected one of the documented keys",
        "missing": "this key is required",
    }
    expected = messages.get(item["type"]) or item["msg"].removeprefix("Value error, ")
    if item["type"] == "missing":
        return Problem(merged.origin_of(dotted), key, "(not set)", expected)
    if isinstance(item["input"], Mapping) and dotted not in merged.origins:
        # A rule between two keys is about their section; the message names the keys themselves.
        return Problem(merged.origin_of(dotted), key, "(section)", expected)
    return Problem(merged.origin_of(dotted), key, display(key, item["input"]), expected)

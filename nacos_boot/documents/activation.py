"""Make one source of the documents of a text that are in force for the active profiles.

Source: Spring Boot reference, "Working With Multi-Document Files", "Activation Properties".
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nacos_boot.documents.error import DocumentError
from nacos_boot.documents.keys import join_key
from nacos_boot.documents.parse import Document
from nacos_boot.documents.profiles import ProfileError, matches, named_in
from nacos_boot.settings.relaxed import uniform
from nacos_boot.settings.sources import PropertySource, merge

ON_PROFILE = "spring.config.activate.on-profile"
_ACTIVATE = ("spring", "config", "activate")
_IMPORT = ("spring", "config", "import")
_LONGEST = 1000
_PROFILE_KEYS = ("active", "default", "include", "group")


@dataclass(frozen=True, slots=True)
class Found:
    """A key of a document as it is written there, with its value and its line."""

    key: str
    value: Any
    line: int | None


@dataclass(frozen=True, slots=True)
class Activated:
    """What a text says for the active profiles.

    `imports` are the `spring.config.import` of its documents, `profile_keys` the
    `spring.profiles.…`, both in their order; `named` are the profiles that any of its documents is
    meant for.
    """

    source: PropertySource
    imports: tuple[Found, ...]
    profile_keys: tuple[Found, ...]
    named: frozenset[str]


def activated(
    name: str,
    documents: Sequence[Document],
    profiles: Collection[str] | None,
    *,
    of_profile: bool = False,
) -> Activated:
    """Merge the documents whose `on-profile` matches, later ones over earlier ones.

    With `profiles` None these are the documents without a condition. `of_profile` says that the
    whole text is for one profile. Raises DocumentError for what Spring Boot refuses, too: profiles
    set in a document that is for a profile, and the old key `spring.profiles`.
    """
    chosen: list[PropertySource] = []
    imports: list[Found] = []
    profile_keys: list[Found] = []
    named: frozenset[str] = frozenset()
    for document in documents:
        _refuse_removed(document)
        condition = _condition(document)
        keys = [found for key in _PROFILE_KEYS if (found := find(document, "spring.profiles", key))]
        if keys and (of_profile or condition is not None):
            raise DocumentError(
                f"{keys[0].key} cannot stand in a document that is for a profile; set it in one"
                " without spring.config.activate.on-profile",
                line=keys[0].line,
                key=keys[0].key,
            )
        if condition is not None:
            named |= named_in(condition[1])
            if not _in_force(condition, profiles):
                continue
        profile_keys += keys
        if found := find(document, *_IMPORT):
            imports.append(found)
        chosen.append(PropertySource(name, _without(document.tree, _ACTIVATE), document.lines))
    merged = merge(chosen)
    source = PropertySource(name, merged.tree, merged.lines)
    return Activated(source, tuple(imports), tuple(profile_keys), named)


def find(document: Document, *path: str) -> Found | None:
    """Find a key in whatever spelling relaxed binding allows; None where it has no value."""
    place: Any = document.tree
    names: list[str] = []
    for wanted in ".".join(path).split("."):
        if not isinstance(place, Mapping):
            return None
        written = next((name for name in place if uniform(name) == uniform(wanted)), None)
        if written is None:
            return None
        names.append(written)
        place = place[written]
    key = join_key(names)
    return None if place is None else Found(key, place, document.lines.get(key))


def texts(found: Found) -> list[str]:
    """Give the values of a key that holds a list, or one text with commas.

    Raises DocumentError for anything else.
    """
    value = found.value
    items = value if isinstance(value, list) else str(value).split(",")
    if isinstance(value, Mapping) or any(isinstance(item, Mapping | list) for item in items):
        raise DocumentError(
            f"the value of {found.key} cannot be read; expected a text, with commas, or a list of"
            " texts",
            line=found.line,
            key=found.key,
        )
    return [text for item in items if item is not None and (text := str(item).strip())]


def _condition(document: Document) -> tuple[Found, list[str]] | None:
    if platform := find(document, *_ACTIVATE, "on-cloud-platform"):
        raise DocumentError(
            f"{platform.key} is not honoured here; expected {ON_PROFILE}",
            line=platform.line,
            key=platform.key,
        )
    found = find(document, ON_PROFILE)
    if found is None:
        return None
    expressions = texts(found)
    if not expressions or sum(map(len, expressions)) > _LONGEST:
        raise DocumentError(
            f"{found.key} must have 1 to {_LONGEST} characters", line=found.line, key=found.key
        )
    return found, expressions


def _in_force(condition: tuple[Found, list[str]], profiles: Collection[str] | None) -> bool:
    found, expressions = condition
    try:
        return matches(expressions, profiles or ()) and profiles is not None
    except ProfileError as error:
        raise DocumentError(str(error), line=found.line, key=found.key) from error


def _refuse_removed(document: Document) -> None:
    found = find(document, "spring", "profiles")
    if found is not None and not isinstance(found.value, Mapping):
        raise DocumentError(
            f"{found.key} is the old way to make a document depend on a profile, which Spring Boot"
            f" has removed; write {ON_PROFILE}",
            line=found.line,
            key=found.key,
        )


def _without(tree: Mapping[str, Any], path: Sequence[str]) -> dict[str, Any]:
    name, *rest = path
    result = dict(tree)
    for written in [key for key in tree if uniform(key) == name]:
        if not rest:
            del result[written]
        elif isinstance(tree[written], Mapping):
            result[written] = _without(tree[written], rest)
            if not result[written]:
                del result[written]
    return result

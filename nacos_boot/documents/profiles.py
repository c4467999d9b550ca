"""Which profiles are active, and what Spring's profile expressions say of them.

Source: Spring Boot reference, "Profiles"; Spring Framework, Profiles.of().
"""

import re
from collections.abc import Collection, Mapping, Sequence

from nacos_boot.documents.error import MAX_DEPTH

DEFAULT = "default"
"""The profile that documents may name for when no other is active."""

_TOKEN = re.compile(r"\s*(?:(?P<operator>[()&|!])|(?P<name>[^\s()&|!,]+))")
_NAME = re.compile(r"[\w.+@-]+")
_EXPECTED = "expected profile names such as 'prod', '!prod', 'prod & eu' or 'prod | (test & eu)'"


class ProfileError(ValueError):
    """A profile's name or a profile expression cannot be read; the message says why."""


def active_profiles(
    active: Sequence[str],
    include: Sequence[str],
    default: Sequence[str],
    groups: Mapping[str, Sequence[str]],
) -> tuple[str, ...]:
    """Give the active profiles, the strongest last: included ones, then those made active.

    The name of a group brings its members after it. Where none is active, the `default` ones are.
    Raises ProfileError.
    """
    found: dict[str, None] = {}
    waiting = list([*include, *active] or default)
    while waiting:
        name = waiting.pop(0)
        if not _NAME.fullmatch(name):
            raise ProfileError(
                f"'{name[:100]}' is no name of a profile: expected letters, digits, '-', '_', '.',"
                " '+' or '@'"
            )
        if name not in found:
            found[name] = None
            waiting[:0] = groups.get(name, ())
    return tuple(found)


def matches(expressions: Sequence[str], profiles: Collection[str]) -> bool:
    """Tell whether one of the expressions is true of the profiles; 'default' is, if none is active.

    Raises ProfileError.
    """
    accepted = set(profiles) or {DEFAULT}
    # Each is read even when an earlier one is true: a slip must not wait for another profile.
    results = [_Expression(text).evaluate(accepted) for text in expressions]
    return any(results)


def named_in(expressions: Sequence[str]) -> frozenset[str]:
    """Give the names of the profiles that expressions speak of."""
    return frozenset(
        match["name"] for text in expressions for match in _TOKEN.finditer(text) if match["name"]
    )


class _Expression:
    """Reads one expression from left to right."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens: list[str] = []
        position = 0
        while text[position:].strip():
            match = _TOKEN.match(text, position)
            if match is None or (match["name"] and not _NAME.fullmatch(match["name"])):
                raise self._error()
            self._tokens.append(match["operator"] or match["name"])
            position = match.end()
        self._position = 0

    def evaluate(self, profiles: Collection[str]) -> bool:
        result = self._several(profiles, 0)
        if self._position < len(self._tokens):
            raise self._error()
        return result

    def _several(self, profiles: Collection[str], depth: int) -> bool:
        result = self._one(profiles, depth)
        joint = self._peek()
        while (operator := self._peek()) in {"&", "|"}:
            if operator != joint:
                raise ProfileError(
                    f"the profile expression '{self._text[:100]}' mixes & and |;"
                    " expected parentheses that say which goes first"
                )
            self._position += 1
            other = self._one(profiles, depth)
            result = (result and other) if operator == "&" else (result or other)
        return result

    def _one(self, profiles: Collection[str], depth: int) -> bool:
        word = self._peek()
        self._position += 1
        if depth > MAX_DEPTH or word in {"", "&", "|", ")"}:
            raise self._error()
        if word == "!":
            return not self._one(profiles, depth + 1)
        if word != "(":
            return word in profiles
        result = self._several(profiles, depth + 1)
        if self._peek() != ")":
            raise self._error()
        self._position += 1
        return result

    def _peek(self) -> str:
        return self._tokens[self._position] if self._position < len(self._tokens) else ""

    def _error(self) -> ProfileError:
        return ProfileError(f"'{self._text[:100]}' is no profile expression: {_EXPECTED}")

"""API keys: what stands in the settings, and which of them a caller has shown. Pure, no I/O."""

import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Self, TypeVar

from pydantic import AfterValidator, SecretStr

from nacos_boot.settings.section import Section
from nacos_boot.settings.setting import setting

_PREFIX = "sha256:"
_HASH = re.compile(r"sha256:[0-9a-fA-F]{64}")


def _hash(value: SecretStr) -> SecretStr:
    if not _HASH.fullmatch(value.get_secret_value()):
        # Whatever it is, it may be the key itself.
        raise ValueError("expected sha256: and 64 hexadecimal digits, as `api-key` prints them")
    return value


class ApiKeySection(Section):
    """One API key. The key itself stands nowhere; a program narrows `scopes` to its own."""

    name: str = setting(
        ...,
        "Who has it; keys of one name are one caller, also during a rotation.",
        pattern=r"^[A-Za-z0-9._-]{1,64}$",
    )
    hash: Annotated[SecretStr, AfterValidator(_hash)] = setting(
        ..., "sha256: and the key's SHA-256 in hexadecimal."
    )
    scopes: Any = setting(..., "What it may be used for.")


T = TypeVar("T", bound=ApiKeySection)


def _each_once(keys: tuple[T, ...]) -> tuple[T, ...]:
    seen: dict[str, ApiKeySection] = {}
    for key in keys:
        other = seen.setdefault(key.hash.get_secret_value().lower(), key)
        if other is not key:
            raise ValueError(
                f"the keys '{other.name}' and '{key.name}' have one hash: expected each key once"
            )
    return keys


EachOnce = AfterValidator(_each_once)
"""Refuses a list in which one key stands twice."""


@dataclass(frozen=True, slots=True)
class KeyHolder:
    """A caller who has shown a key."""

    name: str
    scopes: frozenset[str]


@dataclass(slots=True)
class KeyRing:
    """The keys that are valid now; any number of them, so that one can be replaced in peace."""

    _keys: list[tuple[bytes, KeyHolder]] = field(default_factory=list)

    @classmethod
    def of(cls, keys: Sequence[ApiKeySection]) -> Self:
        """Take the keys of the settings."""
        return cls(
            [
                (
                    bytes.fromhex(key.hash.get_secret_value().removeprefix(_PREFIX)),
                    KeyHolder(key.name, frozenset(key.scopes)),
                )
                for key in keys
            ]
        )

    def __len__(self) -> int:
        return len(self._keys)

    def holder(self, shown: bytes) -> KeyHolder | None:
        """Tell whose key was shown; None for an unknown one.

        All keys are compared, each in a time that does not depend on how much of it is right.
        """
        digest = hashlib.sha256(shown).digest()
        found = None
        for known, holder in self._keys:
            if hmac.compare_digest(known, digest):
                found = holder
        return found


def new_key() -> str:
    """Draw a key: 256 random bits, so that its plain SHA-256 gives nothing away."""
    return secrets.token_urlsafe(32)


def hash_of(key: str) -> str:
    """Give what the settings hold of a key."""
    return _PREFIX + hashlib.sha256(key.encode()).hexdigest()

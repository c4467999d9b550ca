"""Take passwords, tokens and keys out of what people and log collectors will read."""

import re
from collections.abc import Iterable

MASK = "******"
"""What stands in a secret's place, as in Spring Boot's actuator."""

_SECRET_NAME = re.compile(
    r"(?i:password|passwd|passphrase|secret|token|credential|authorization|cookie)"
    r"|(?:(?:^|[._-])(?i:key)|[a-z]Key)(?i:s)?(?:$|[.\[])"
)

_INDEX = re.compile(r"\[\d+\]")

_NAMES = (
    r"(?:password|passwd|passphrase|secret|credentials?|token)(?:[._-]?key)?"
    r"|(?:api|access|private|signing|encryption|identity)[_-]?key"
)
_HEADERS = r"authorization|cookie"
_QUOTE = r"\\*[\"']"
# `name=`, `name: `, `"name":`, also escaped once more or as bytes, and ASGI's pairs of a header.
_BETWEEN = rf"(?:(?:{_QUOTE})?\s*(?:[:=]|%3A|%3D)\s*|{_QUOTE}\s*,\s*(?=b?{_QUOTE}))"
_QUOTED = re.compile(
    rf"((?:{_NAMES}|{_HEADERS}){_BETWEEN}b?)(?P<quote>{_QUOTE})"
    r"(?:(?!(?P=quote)).|(?<=\\)(?P=quote))*(?:(?P=quote)|\Z)",
    re.IGNORECASE | re.DOTALL,
)
_BARE_HEADER = re.compile(
    rf"((?:{_HEADERS})\s*[:=]\s*+(?:(?:basic|bearer|digest|negotiate|token)\s++)?+)"
    rf"(?!\*{{6}}|{_QUOTE})[^\r\n\"'}}]+",
    re.IGNORECASE,
)
# What a report writes in place of a value is no secret: `demo.password: (unset)`.
_BARE = re.compile(
    rf"((?:{_NAMES}){_BETWEEN})(?!\*{{6}}|b?{_QUOTE}|\((?:unset|not set|empty|section)\))"
    r"[^\s\\\"',&;}\])]+",
    re.IGNORECASE,
)
_BEARER = re.compile(r"(\bbearer(?:[. ]|%20|\+))[\w.~+/=-]{12,}", re.IGNORECASE)
_BASIC = re.compile(r"(\b[Bb]asic )(?=\S*[A-Z\d=])[A-Za-z\d+/]{8,}=*")
_JWT = re.compile(r"\beyJ[\w-]{5,}(?:\.[\w-]*)*")
_URL = re.compile(r"(\b[a-z][a-z\d+.-]{0,20}://[^\s/:@\"'<>]*:)[^\s@\"'<>/]+@", re.IGNORECASE)


# Shorter ones stand in other texts by chance: an account may be called as its password is.
_SHORTEST_KNOWN = 8


class _KnownSecrets:
    """The secrets that this process has been given so far: they are masked wherever they stand."""

    def __init__(self) -> None:
        self.keys: set[str] = set()
        self.plain: set[str] = set()
        self._texts: set[str] = set()
        self._pattern: re.Pattern[str] | None = None

    def add(self, texts: Iterable[str]) -> None:
        new = {text for text in texts if len(text) >= _SHORTEST_KNOWN} - self._texts
        if new:
            self._texts |= new
            # The longest first, so that one within another leaves no rest of it.
            longest_first = sorted(self._texts, key=len, reverse=True)
            self._pattern = re.compile("|".join(map(re.escape, longest_first)))

    def masked(self, text: str) -> str:
        return self._pattern.sub(MASK, text) if self._pattern else text


_known = _KnownSecrets()


def know_secrets(texts: Iterable[str]) -> None:
    """Have these texts masked from now on, wherever they stand; those below 8 characters are not.

    An old password is a secret, too, so none is ever forgotten.
    """
    _known.add(texts)


def know_secret_keys(keys: Iterable[str]) -> None:
    """Have these dotted keys be secrets, with what lies below them, whatever they are called."""
    _known.keys.update(keys)


def know_plain_keys(keys: Iterable[str]) -> None:
    """Have these keys within lists be no secrets, whatever the list is called: `keys[].name`."""
    _known.plain.update(keys)


def is_secret_name(name: str) -> bool:
    """Tell whether the value of a key, a header or an environment variable is to be masked."""
    if "[" in name and _INDEX.sub("[]", name).removesuffix("[]") in _known.plain:
        return False
    if _SECRET_NAME.search(name):
        return True
    return any(name == key or name.startswith((f"{key}.", f"{key}[")) for key in _known.keys)


def masked(text: str) -> str:
    """Give the text with the values of passwords, tokens and keys replaced.

    They are known by what stands before them (`password=`, `"token": "`, `Authorization: Basic `,
    `bearer.`, `amqp://user:`), by their own look (a JWT begins with `eyJ`), and from
    `know_secrets`.
    """
    text = _known.masked(text)
    text = _QUOTED.sub(rf"\1\g<quote>{MASK}\g<quote>", text)
    for pattern in (_BARE_HEADER, _BARE, _BEARER, _BASIC):
        text = pattern.sub(rf"\1{MASK}", text)
    return _URL.sub(rf"\1{MASK}@", _JWT.sub(MASK, text))

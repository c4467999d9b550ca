"""Origins: which web pages may connect. Pure.

The patterns are those of Spring's `allowedOriginPatterns` (CorsConfiguration): `*` for any, an
origin, `*` within the host, and a list of ports or `[*]` behind it.
"""

import re
from collections.abc import Sequence

ANY = "*"

_ORIGIN = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<host>\[[0-9a-f:.]+\]|[a-z0-9_.*-]+)"
    r"(?::(?P<port>\d{1,5}|\[(?:\*|\d{1,5}(?:,\d{1,5})*)\]))?"
)
_ANY_HOST = r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*"
_DEFAULT_PORTS = {"http": "80", "https": "443", "ws": "80", "wss": "443"}
_EXPECTED = (
    "expected an origin such as https://app.example.com, a pattern such as https://*.example.com"
    " or http://localhost:[*], null, or *"
)


def checked_pattern(text: str) -> str:
    """Give a pattern in the form that is compared. Raises ValueError."""
    pattern = text.strip().lower().removesuffix("/")
    if pattern not in {ANY, "null"} and not _ORIGIN.fullmatch(pattern):
        raise ValueError(_EXPECTED)
    return pattern


class Origins:
    """The allowed origins of one version of the settings."""

    def __init__(self, patterns: Sequence[str]) -> None:
        self.any = ANY in patterns
        self._allowed = re.compile("|".join(_as_regex(pattern) for pattern in patterns) or r"(?!)")

    def allow(self, origins: Sequence[str]) -> bool:
        """Tell whether a handshake with these `Origin` headers may pass; without one it may.

        Only browsers send it, and their pages cannot leave it out (RFC 6455, section 10.2).
        """
        if self.any or not origins:
            return True
        return len(origins) == 1 and self._allowed.fullmatch(origins[0].strip().lower()) is not None


def _as_regex(pattern: str) -> str:
    found = _ORIGIN.fullmatch(pattern)
    if found is None:
        return re.escape(pattern)
    scheme, host, port = found["scheme"], found["host"], found["port"]
    default = _DEFAULT_PORTS.get(scheme)
    if port == "[*]":
        ports = r"(?::\d{1,5})?"
    else:
        wanted = port.strip("[]").split(",") if port else [default or ""]
        # A browser leaves the port of the scheme out.
        choices = [f":{one}" for one in wanted if one]
        ports = f"(?:{'|'.join(choices)}){'?' if default in wanted else ''}" if choices else ""
    return f"{re.escape(scheme)}://{re.escape(host).replace(re.escape('*'), _ANY_HOST)}{ports}"

"""Read `spring.config.import`: which documents a program asks Nacos for.

Source: Spring Cloud Alibaba reference, "Nacos Config", import of documents; Spring Boot reference,
"Importing Additional Data".
"""

from dataclasses import dataclass
from typing import Literal
from urllib.parse import parse_qsl, unquote

_OPTIONAL = "optional:"
_NACOS = "nacos:"
_TRUTH = {"true": True, "false": False}

Preference = Literal["remote", "local"]
"""Whether an imported document goes before the local files of profiles, or they before it."""


class ImportFault(ValueError):  # noqa: N818 - ImportError is Python's own
    """A location cannot be imported; the message says why and what was expected."""


@dataclass(frozen=True, slots=True)
class Import:
    """One location. `group` and `refresh` are None where the location doesn't say.

    `data_id` is empty where the location isn't one of Nacos, and is to be passed over.
    """

    location: str
    optional: bool
    data_id: str = ""
    group: str | None = None
    refresh: bool | None = None
    preference: Preference = "remote"


def read_import(location: str) -> Import:
    """Read `[optional:]nacos:<data-id>[?group=…&refreshEnabled=true|false&preference=…]`.

    Raises ImportFault, also for a location of another kind that isn't optional.
    """
    optional = location.startswith(_OPTIONAL)
    place = location.removeprefix(_OPTIONAL)
    if not place.startswith(_NACOS):
        if optional:
            return Import(location, optional)
        raise ImportFault(
            f"'{location}' cannot be imported: expected nacos:<data-id>; imports of other kinds are"
            f" passed over only where they are optional ('{_OPTIONAL}{location}')"
        )
    written, _, query = place.removeprefix(_NACOS).partition("?")
    data_id = unquote(written).strip().removeprefix("/")
    if not data_id:
        raise ImportFault(f"'{location}' names no document: expected nacos:<data-id>")
    options: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True, separator="&"):
        if name in options or name not in {"group", "refreshEnabled", "preference"} or not value:
            raise ImportFault(
                f"'{name}' of '{location}' is not understood: expected group=…,"
                " refreshEnabled=true or false, preference=remote or local, each once"
            )
        options[name] = value
    refresh, preference = options.get("refreshEnabled"), options.get("preference", "remote")
    if refresh is not None and refresh not in _TRUTH:
        raise ImportFault(f"refreshEnabled of '{location}': expected true or false")
    if preference not in {"remote", "local"}:
        raise ImportFault(f"preference of '{location}': expected remote or local")
    return Import(
        location,
        optional,
        data_id,
        options.get("group"),
        None if refresh is None else _TRUTH[refresh],
        "local" if preference == "local" else "remote",
    )

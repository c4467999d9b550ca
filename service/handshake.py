"""What a client's handshake says: who connects, from where, in which form. Pure."""

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlsplit

from service.user_id import is_user_id

PATH = "/websocket/"
CLUSTER_V1 = "cluster.v1"
BEARER = "bearer."

_CREDENTIALS = frozenset(
    {"access_token", "token", "api_key", "apikey", "password", "authorization"}
)
_MAX_ATTRIBUTES = 16
_MAX_ATTRIBUTE = 256


class NoSuchPathError(ValueError):
    """The request is for another path than the clients' one."""


class UserRefusedError(ValueError):
    """The path names no allowed user id."""


@dataclass(frozen=True, slots=True)
class Client:
    """Who connects: the user id of the path, and the query without credentials."""

    user: str
    attributes: Mapping[str, str] = field(default_factory=dict)


def parse_target(target: str) -> Client:
    """Read `/websocket/{userId}?name=value`. Raises NoSuchPathError, UserRefusedError."""
    parts = urlsplit(target)
    if not parts.path.startswith(PATH):
        raise NoSuchPathError
    user = unquote(parts.path.removeprefix(PATH), errors="strict")
    if not is_user_id(user):
        raise UserRefusedError
    pairs = parse_qsl(parts.query, max_num_fields=None)[:_MAX_ATTRIBUTES]
    attributes = {
        name[:_MAX_ATTRIBUTE]: value[:_MAX_ATTRIBUTE]
        for name, value in pairs
        if name.lower() not in _CREDENTIALS
    }
    return Client(user, attributes)


def choose_subprotocol(offered: Sequence[str]) -> str | None:
    """Choose `cluster.v1`, else the first offered: a browser fails where none is chosen.

    A credential (`bearer.<jwt>`) is never chosen, since the choice is echoed.
    """
    if CLUSTER_V1 in offered:
        return CLUSTER_V1
    return next((name for name in offered if not name.lower().startswith(BEARER)), None)


def client_address(peer: str, forwarded_for: Iterable[str]) -> str:
    """Tell where a client comes from: the peer, or what a proxy nearby reports of its own peer.

    Only a peer on a loopback or private address is believed.
    """
    reported = ",".join(forwarded_for).rpartition(",")[2].strip()
    if not reported or not _is_nearby(peer):
        return peer
    try:
        return str(ipaddress.ip_address(reported))
    except ValueError:
        return peer


def _is_nearby(peer: str) -> bool:
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return False
    return address.is_loopback or address.is_private

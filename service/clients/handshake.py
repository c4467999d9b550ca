"""What a client's handshake says: who connects, from where, in which form. Pure."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlsplit

from websockets.utils import accept_key

from service.user_id import USER_ID, is_user_id

PATH = "/websocket/"
CLUSTER_V1 = "cluster.v1"
BEARER = "bearer."

RESUME = "resume"
"""The query parameter that takes a token: a resume without a round trip."""

_CREDENTIALS = frozenset(
    {"access_token", "token", "api_key", "apikey", "password", "authorization"}
)
_MAX_ATTRIBUTES = 16
_MAX_ATTRIBUTE = 256

_PLAIN_TARGET = re.compile(rf"{PATH}({USER_ID.pattern})", re.ASCII)

# What `read_ordinary` takes; anything else is left to the checks of the websockets library.
_KEY = re.compile(rb"[A-Za-z0-9+/]{22}==")
_CONNECTION = frozenset((b"upgrade", b"keep-alive, upgrade"))
_NAME = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_OFFER = re.compile(rf"{_NAME}(?:[ \t]*,[ \t]*{_NAME})*")
_SEPARATOR = re.compile(r"[ \t]*,[ \t]*")
_MAX_HEADERS = 128
_MAX_HEAD = 8192
_ACCEPTED = (
    "HTTP/1.1 101 Switching Protocols\r\n"
    "Upgrade: websocket\r\n"
    "Connection: Upgrade\r\n"
    "Sec-WebSocket-Accept: {}\r\n"
)


class NoSuchPathError(ValueError):
    """The request is for another path than the clients' one."""


class UserRefusedError(ValueError):
    """The path names no allowed user id."""


@dataclass(frozen=True, slots=True)
class Client:
    """Who connects: the user id of the path, and the query without credentials.

    `resume` is the token with which the client goes on.
    """

    user: str
    attributes: Mapping[str, str] = field(default_factory=dict)
    resume: str | None = None


@dataclass(frozen=True, slots=True)
class Ordinary:
    """A handshake that can be accepted, with the `answer` that accepts it."""

    client: Client
    subprotocol: str | None
    forwarded_for: Sequence[str]
    answer: bytes


def read_ordinary(
    method: bytes, target: bytes, headers: Sequence[tuple[bytes, bytes]]
) -> Ordinary | None:
    """Read a handshake of the form that nearly all have; None for one that others must judge.

    The head has been parsed, names are in small letters. What RFC 6455, section 4.2.1 asks for is
    asked for here, too; Host is the HTTP protocol's affair. Without this, half the CPU time of a
    new connection goes to parsing its head once more and to building header objects.
    """
    found = dict(headers)
    if (
        method != b"GET"
        or found.get(b"sec-websocket-version") != b"13"
        or found.get(b"upgrade", b"").lower() != b"websocket"
        or found.get(b"connection", b"").lower() not in _CONNECTION
        # A header that comes twice, or a head so large that it may be refused.
        or not len(found) == len(headers) <= _MAX_HEADERS
        or len(target) + sum(map(len, found)) + sum(map(len, found.values())) > _MAX_HEAD
        or b"content-length" in found
        or b"transfer-encoding" in found
    ):
        return None
    key = found.get(b"sec-websocket-key", b"")
    if not _KEY.fullmatch(key):
        return None
    try:
        client = parse_target(target.decode("ascii"))
        offer = found.get(b"sec-websocket-protocol", b"").decode("ascii")
    except ValueError:
        return None
    answer, chosen = _ACCEPTED.format(accept_key(key.decode())), None
    if b"sec-websocket-protocol" in found:
        if not _OFFER.fullmatch(offer):
            return None
        chosen = choose_subprotocol(_SEPARATOR.split(offer))
        if chosen is not None:
            answer += f"Sec-WebSocket-Protocol: {chosen}\r\n"
    forwarded = found.get(b"x-forwarded-for")
    return Ordinary(
        client,
        chosen,
        () if forwarded is None else (forwarded.decode("latin-1"),),
        f"{answer}\r\n".encode(),
    )


def parse_target(target: str) -> Client:
    """Read `/websocket/{userId}?name=value`. Raises NoSuchPathError, UserRefusedError."""
    if plain := _PLAIN_TARGET.fullmatch(target):
        return Client(plain[1])
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
        if name.lower() not in _CREDENTIALS and name != RESUME
    }
    return Client(user, attributes, next((value for name, value in pairs if name == RESUME), None))


def choose_subprotocol(offered: Sequence[str]) -> str | None:
    """Choose `cluster.v1`, else the first offered: a browser fails where none is chosen.

    A credential (`bearer.<jwt>`) is never chosen, since the choice is echoed.
    """
    if CLUSTER_V1 in offered:
        return CLUSTER_V1
    return next((name for name in offered if not name.lower().startswith(BEARER)), None)

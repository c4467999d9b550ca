"""Which headers pass the gateway, for HTTP and for WebSocket handshakes alike. Pure."""

from collections.abc import Iterable

Headers = list[tuple[bytes, bytes]]
"""Names in lower case, in the order of the message; a name may stand more than once."""

# RFC 9110, section 7.6.1, and what older software sends in the same sense.
_HOP_BY_HOP = frozenset(
    (
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    )
)
# What a node believes because only the gateway says it.
_GATEWAYS_OWN = frozenset((b"forwarded", b"x-real-ip", b"x-gateway-attempt"))
_DEFAULT_PORTS = {"http": b"80", "https": b"443"}


def end_to_end(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    """Drop what concerns one connection only, with the headers that Connection names.

    Host stays whatever Connection says: naming it there is an attack, not a wish.
    """
    kept = [(name.lower(), value) for name, value in headers]
    named = {
        token.strip().lower()
        for name, value in kept
        if name == b"connection"
        for token in value.split(b",")
    }
    dropped = (_HOP_BY_HOP | named) - {b"host"}
    return [(name, value) for name, value in kept if name not in dropped]


def to_node(headers: Iterable[tuple[bytes, bytes]], client: str, scheme: str) -> Headers:
    """Give the headers of a request as a node gets them.

    `client` is the address that connected to the gateway, `scheme` `http` or `https`. What the
    client itself said in forwarding headers is dropped, so a node can believe what it finds.
    Host is passed on as it is: applications build links from it and compare Origin with it.
    """
    kept = [
        (name, value)
        for name, value in end_to_end(headers)
        if name not in _GATEWAYS_OWN and not name.startswith(b"x-forwarded-")
    ]
    host = next((value.strip() for name, value in kept if name == b"host"), b"")
    kept.append((b"x-forwarded-for", client.encode("latin-1", "replace")))
    kept.append((b"x-forwarded-proto", scheme.encode()))
    if host:
        kept.append((b"x-forwarded-host", host))
    kept.append((b"x-forwarded-port", _port(host) or _DEFAULT_PORTS[scheme]))
    return kept


def _port(host: bytes) -> bytes:
    _, _, port = host.rpartition(b"]")[2].rpartition(b":")
    return port if port.isdigit() else b""

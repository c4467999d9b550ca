"""Which headers pass the gateway, for HTTP and for WebSocket handshakes alike. Pure."""

from collections.abc import Iterable

from nacos_boot.http.proxies import TrustedProxies, nearby

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


def origin_of(
    headers: Iterable[tuple[bytes, bytes]], peer: str, scheme: str, proxies: TrustedProxies
) -> tuple[str, str]:
    """Tell from which address, and by `http` or `https`, a client came to the first proxy.

    `peer` spoke `scheme` to the gateway; what it says of others counts only where it is trusted.
    """
    if not proxies.trusts(peer):
        return peer, scheme
    told: dict[bytes, list[str]] = {b"x-forwarded-for": [], b"x-forwarded-proto": []}
    for name, value in headers:
        if name in told:
            told[name].append(value.decode("latin-1"))
    client = proxies.client(peer, told[b"x-forwarded-for"])
    return client, proxies.scheme(peer, scheme, told[b"x-forwarded-proto"])


def caller_of(
    headers: Iterable[tuple[bytes, bytes]], peer: str, scheme: str, proxies: TrustedProxies
) -> tuple[str, str]:
    """Give what `origin_of` does, with `unknown` (RFC 7239, section 6.2) where that is a proxy.

    A node that answers neighbours only would take a proxy's address for the caller's.
    """
    kept = list(headers)
    told = [value.decode("latin-1") for name, value in kept if name == b"x-forwarded-for"]
    client, spoken = origin_of(kept, peer, scheme, proxies)
    if client in nearby and not proxies.knows(peer, told):
        client = "unknown"
    return client, spoken


def to_node(headers: Iterable[tuple[bytes, bytes]], client: str, scheme: str) -> Headers:
    """Give the headers of a request as a node gets them.

    `client` and `scheme` are those of `origin_of`. What stood in forwarding headers is dropped, so
    a node can believe what it finds.
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

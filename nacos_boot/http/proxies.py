"""Where a request comes from, told by proxies as far as they are trusted. Pure, no I/O."""

import ipaddress
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel

from nacos_boot.config.live import LiveSettings

T = TypeVar("T", bound=BaseModel)

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address

NEARBY = (
    "127.0.0.0/8",
    "::1/128",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "169.254.0.0/16",
    "fc00::/7",
    "fe80::/10",
)
"""Loopback, private (RFC 1918, RFC 4193) and link-local addresses (RFC 3927, RFC 4291)."""

_MOST_REMEMBERED = 10_000
_LONGEST_REMEMBERED = 256


def _cidr(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text.strip()))
    except ValueError as error:
        raise ValueError(
            f"'{text}' is no network: expected an address or a range such as 10.0.0.0/8 ({error})"
        ) from error


Cidr = Annotated[str, AfterValidator(_cidr)]
"""An address, or a range of them in CIDR notation, such as `10.0.0.0/8`."""


class Networks:
    """A set of addresses. The ranges are parsed once, each address is looked up in them once."""

    def __init__(self, cidrs: Iterable[str]) -> None:
        self._networks: tuple[Network, ...] = tuple(map(ipaddress.ip_network, cidrs))
        self._known: dict[str, bool] = {}

    def __contains__(self, address: str) -> bool:
        known = self._known.get(address)
        return self._look_up(address) if known is None else known

    def _look_up(self, text: str) -> bool:
        address = _address(text)
        found = address is not None and any(
            address.version == network.version and address in network for network in self._networks
        )
        if len(self._known) >= _MOST_REMEMBERED:
            self._known.clear()
        self._known[text] = found
        return found


nearby = Networks(NEARBY)
"""The addresses of `NEARBY`."""


class TrustedProxies:
    """Those whose word is taken on where a request comes from (`X-Forwarded-*`)."""

    def __init__(self, cidrs: Sequence[str] = NEARBY) -> None:
        self._cidrs = tuple(cidrs)
        self._networks = Networks(cidrs)
        self._known: dict[tuple[str, str], tuple[str, bool]] = {}

    @classmethod
    def of(cls, live: LiveSettings[T], cidrs: Callable[[T], Sequence[str]]) -> "TrustedProxies":
        """Follow a setting: the networks are parsed again when it changes."""
        proxies = cls(cidrs(live.current))
        live.subscribe(lambda _, new: proxies.trust(cidrs(new)))
        return proxies

    def trust(self, cidrs: Sequence[str]) -> None:
        """Trust these from now on, and no others."""
        if tuple(cidrs) != self._cidrs:
            self._cidrs = tuple(cidrs)
            self._networks = Networks(cidrs)
            self._known = {}

    def trusts(self, peer: str) -> bool:
        """Tell whether the word of a peer is taken."""
        return peer in self._networks

    def client(self, peer: str, forwarded_for: Sequence[str]) -> str:
        """Give the address of who began a request that came from `peer`.

        `forwarded_for` are the values of X-Forwarded-For, in their order. Each proxy writes behind
        what it got, so they are read from the right, as long as who wrote it is trusted: what
        stands further left may be the client's invention. Where a trusted proxy wrote something
        that is no address, the proxy itself is the answer. As Tomcat's RemoteIpValve.
        """
        return self._origin(peer, forwarded_for)[0]

    def knows(self, peer: str, forwarded_for: Sequence[str]) -> bool:
        """Tell whether `client` gives who began the request, as far as proxies can be believed.

        False where a proxy speaks whose word is not taken, or where one that is trusted hides the
        client, as with `unknown` (RFC 7239, section 6.2): then it gives the proxy.
        """
        return not forwarded_for or self._origin(peer, forwarded_for)[1]

    def _origin(self, peer: str, forwarded_for: Sequence[str]) -> tuple[str, bool]:
        if not forwarded_for or peer not in self._networks:
            return peer, False
        said = forwarded_for[0] if len(forwarded_for) == 1 else ",".join(forwarded_for)
        # Callers of an API are few and come often.
        found = self._known.get((peer, said))
        if found is None:
            if len(said) > _LONGEST_REMEMBERED:
                # A client can write as much as a head may hold, and another text each time.
                return self._walk(peer, said)
            if len(self._known) >= _MOST_REMEMBERED:
                self._known.clear()
            found = self._known[peer, said] = self._walk(peer, said)
        return found

    def _walk(self, peer: str, said: str) -> tuple[str, bool]:
        found = peer
        written = [item for item in said.split(",") if item.strip()]
        for place in range(len(written) - 1, -1, -1):
            item = written[place].strip()
            address = _address(_without_port(item))
            # The zone of an address (`fe80::1%eth0`) may be any text, and means nothing elsewhere.
            if address is None or "%" in item:
                return found, False
            found = str(address)
            if place and found not in self._networks:
                return found, True
        return found, bool(written)

    def scheme(self, peer: str, own: str, forwarded_proto: Sequence[str]) -> str:
        """Give `http` or `https`, as the client spoke to the first proxy that is trusted.

        `own` is what `peer` spoke to us; `forwarded_proto` are the values of X-Forwarded-Proto.
        """
        if not forwarded_proto or peer not in self._networks:
            return own
        said = forwarded_proto[-1].rpartition(",")[2].strip().lower()
        return {"ws": "http", "wss": "https"}.get(said, said if said in _SCHEMES else own)


_SCHEMES = frozenset(("http", "https"))


def _address(text: str) -> _Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    # A socket that listens on IPv6 and IPv4 has such addresses for peers.
    return getattr(address, "ipv4_mapped", None) or address


def _without_port(text: str) -> str:
    """Take the port off that some proxies write: `192.0.2.1:4711`, `[2001:db8::1]:4711`."""
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0] if text.count(":") == 1 else text

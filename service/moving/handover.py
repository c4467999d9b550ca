"""How a node moves from one server to another without missing what others send meanwhile. Pure.

A node *uses* one server and *keeps* one or more: of RabbitMQ it uses the one that it publishes at
and keeps those that it consumes from; of Redis it uses the one that it reads and keeps those that
it writes to. A node hears another exactly if it keeps the server that the other uses. So that all
nodes hear one another at every moment, though they learn of the move at different ones, a node

1. keeps the new server as soon as it can,
2. uses it when every peer says that it keeps it,
3. says that it no longer keeps the old one when no peer uses that, and closes it `HOLD` seconds
   later, unless a peer has begun to use it meanwhile.

A step that waits for the peers goes ahead without them when `limit` seconds have passed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar
from urllib.parse import quote

HOLD = 6.0
"""Seconds in which every peer has learned what this node said, and messages under way arrive."""

S = TypeVar("S")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Server(Generic[S]):
    """A server to be used; `name` is its address, `settings` how it is reached."""

    name: str
    # Left out of the hash: sides are looked up by server several times a push.
    settings: S = field(hash=False)

    @staticmethod
    def at(host: str, port: int, path: str, settings: T) -> "Server[T]":
        """Name a server `host:port/path`, or `host:port`; a space would break a Standing.

        The name tells nothing of an account.
        """
        name = f"{quote(host, safe='[]:')}:{port}"
        return Server(f"{name}/{quote(path, safe='')}" if path else name, settings)


@dataclass(frozen=True, slots=True)
class Standing:
    """What a node says of itself, by names of servers; `keeps` holds the one that it uses, too."""

    uses: str
    keeps: frozenset[str]

    def write(self) -> str:
        """Write it for the registry: the used one first, the others behind it."""
        return " ".join((self.uses, *sorted(self.keeps - {self.uses})))

    @staticmethod
    def read(text: str) -> "Standing | None":
        """Read what `write` wrote; None where there is nothing."""
        names = text.split()
        return Standing(names[0], frozenset(names)) if names else None

    def hears(self, other: "Standing") -> bool:
        """Tell whether what the other says where it is arrives here."""
        return other.uses in self.keeps


@dataclass(frozen=True, slots=True)
class Peer:
    """Another live node: its standing, None where it says nothing, and its settings' md5."""

    standing: Standing | None
    md5: str


Peers = Mapping[str, Peer]
"""The other live nodes by node id."""


@dataclass(frozen=True, slots=True)
class Open(Generic[S]):
    """Begin to keep a server; it may take its time."""

    server: Server[S]


@dataclass(frozen=True, slots=True)
class Use(Generic[S]):
    """Use this server from now on, instead of the one used so far."""

    server: Server[S]


@dataclass(frozen=True, slots=True)
class Close(Generic[S]):
    """Keep this server no longer. `same` where the server in use is the very same one."""

    server: Server[S]
    same: bool


@dataclass(slots=True)
class _Kept:
    # Whether peers may use it because of us. What never worked may have the name of one they use.
    told: bool = False
    identity: str | None = None
    ready: bool = False
    # Since when it is wanted and works, so that only the peers are waited for.
    awaiting_since: float | None = None
    idle_since: float | None = None
    leaving_since: float | None = None


class Handover(Generic[S]):
    """One node's part in a move. Times are in seconds on one monotonic clock, the caller's."""

    def __init__(self, first: Server[S]) -> None:
        self._kept: dict[Server[S], _Kept] = {first: _Kept(told=True)}
        self.uses = first
        self.wanted = first

    @property
    def moving(self) -> bool:
        """Whether anything is still to be done."""
        return self.uses != self.wanted or len(self._kept) > 1

    @property
    def standing(self) -> Standing:
        """What this node may say of itself now."""
        kept = (
            server.name
            for server, state in self._kept.items()
            if state.ready and state.leaving_since is None
        )
        return Standing(self.uses.name, frozenset((self.uses.name, *kept)))

    def forget(self, server: Server[S]) -> None:
        """Take an `Open` back that could not be carried out: `step` gives it again."""
        del self._kept[server]

    def leaves(self, server: Server[S]) -> bool:
        """Tell whether this node no longer says that it keeps a server that it kept."""
        kept = self._kept.get(server)
        return kept is None or kept.leaving_since is not None

    def behind(self, peers: Peers | None) -> list[str]:
        """List the peers that the present step waits for, by node id."""
        if peers is None:
            return []
        if self.uses != self.wanted:
            return sorted(node for node, peer in peers.items() if not _keeps(peer, self.wanted))
        old = [server for server in self._kept if server != self.uses]
        return sorted(
            node for node, peer in peers.items() if any(_uses(peer, server) for server in old)
        )

    def step(
        self, now: float, ready: Mapping[Server[S], str], peers: Peers | None, limit: float
    ) -> Open[S] | Use[S] | Close[S] | None:
        """Give the next thing to do, None where there is nothing for now; call it again after each.

        `ready` has the servers that work, with what tells one from another: two names with one
        identity are the same server, which nobody has to be waited for. `peers` is None where
        nobody can say who is alive.
        """
        self._note(now, ready)
        if self.wanted not in self._kept:
            self._kept[self.wanted] = _Kept()
            return Open(self.wanted)
        if self.uses != self.wanted and self._may_use_wanted(now, peers, limit):
            self.uses = self.wanted
            return Use(self.uses)
        return self._next_close(now, peers, limit)

    def _note(self, now: float, ready: Mapping[Server[S], str]) -> None:
        for server, kept in self._kept.items():
            kept.ready = server in ready
            if kept.ready:
                kept.told = True
                kept.identity = ready[server]
            if not kept.ready or server == self.uses or server != self.wanted:
                kept.awaiting_since = None
            elif kept.awaiting_since is None:
                kept.awaiting_since = now
            if server in {self.uses, self.wanted}:
                kept.idle_since = kept.leaving_since = None
            elif kept.idle_since is None:
                kept.idle_since = now

    def _may_use_wanted(self, now: float, peers: Peers | None, limit: float) -> bool:
        since = self._kept[self.wanted].awaiting_since
        if since is None:
            return False
        if self._same(self.wanted, self.uses) or now - since >= limit:
            return True
        return peers is not None and all(_keeps(peer, self.wanted) for peer in peers.values())

    def _next_close(self, now: float, peers: Peers | None, limit: float) -> Close[S] | None:
        for server, kept in self._kept.items():
            if kept.idle_since is None:
                continue
            same = self._same(server, self.uses)
            if not same:
                late = now - kept.idle_since >= limit
                asked = kept.told and not late
                if asked and (peers is None or any(_uses(p, server) for p in peers.values())):
                    kept.leaving_since = None
                    continue
                if kept.leaving_since is None:
                    kept.leaving_since = now
                if now - kept.leaving_since < HOLD:
                    continue
            del self._kept[server]
            return Close(server, same)
        return None

    def _same(self, one: Server[S], other: Server[S]) -> bool:
        identity = self._kept[one].identity
        return identity is not None and identity == self._kept[other].identity


def may_begin(standing: Standing, md5: str, peers: Peers) -> bool:
    """Tell whether a node that starts would be heard by all its peers, and hear them all.

    A peer with the same settings that is at rest elsewhere knows the server by another name.
    """
    for peer in peers.values():
        other = peer.standing
        if other is None or (standing.hears(other) and other.hears(standing)):
            continue
        if peer.md5 != md5 or len(other.keeps) > 1:
            return False
    return True


def _keeps(peer: Peer, server: Server[S]) -> bool:
    return peer.standing is not None and server.name in peer.standing.keeps


def _uses(peer: Peer, server: Server[S]) -> bool:
    # One that says nothing may use anything.
    return peer.standing is None or peer.standing.uses == server.name

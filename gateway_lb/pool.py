"""The instances that the gateway may use, and what it has found out about each. Pure: no I/O."""

from collections.abc import Collection, Iterable
from weakref import WeakValueDictionary

from nacos_boot.registry.instance import Instance

_Key = tuple[str, str]


class Member:
    """An instance, with the relays that this gateway has open to it and its time set aside."""

    __slots__ = ("__weakref__", "instance", "open", "set_aside_until")

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self.open = 0
        """Open relays, including handshakes under way."""
        self.set_aside_until = 0.0
        """The instant, on the clock given to `Pool.candidates`, from which it is tried again."""


class Pool:
    """The live list of instances, replaced whole by discovery.

    An instance is known by its address and its node id, so a process that was started anew at the
    same address is another one. One that left and came back is no longer set aside; relays to it
    that stayed open through its absence still count, since the load is real.
    """

    def __init__(self) -> None:
        self._members: dict[_Key, Member] = {}
        self._known: WeakValueDictionary[_Key, Member] = WeakValueDictionary()
        self._available: list[Member] = []

    @property
    def members(self) -> list[Member]:
        """Every listed instance, in the order of the addresses."""
        return list(self._members.values())

    @property
    def available(self) -> list[Member]:
        """Those that consumers may send traffic to, set aside or not."""
        return self._available

    def replace(self, instances: Iterable[Instance]) -> None:
        """Take over a new list; an instance in it that is not available gets no traffic."""
        members: dict[_Key, Member] = {}
        for instance in sorted(instances, key=lambda instance: instance.address):
            key = (instance.address, instance.metadata.get("websocket.node-id", ""))
            member = self._known.get(key) or Member(instance)
            if key not in self._members:
                member.set_aside_until = 0.0
            member.instance = instance
            members[key] = self._known[key] = member
        self._members = members
        self._available = [member for member in members.values() if member.instance.available]

    def candidates(self, now: float, tried: Collection[Member] = ()) -> list[Member]:
        """Give the members to choose from at `now` (seconds, monotonic), without those `tried`.

        When all that is left has been set aside, it is given nevertheless: an instance that failed
        a moment ago is better than none.
        """
        left = [member for member in self._available if member not in tried]
        return [member for member in left if member.set_aside_until <= now] or left

    def set_aside(self, member: Member, until: float) -> None:
        """Pass a member over until the instant `until`, while there are others."""
        member.set_aside_until = until

    def restore(self, member: Member) -> None:
        """Stop passing a member over: it has answered."""
        member.set_aside_until = 0.0

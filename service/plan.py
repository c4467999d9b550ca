"""Where a push has to go. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from service.push import Push

Homes = frozenset[str]
"""The ids of the living nodes that hold a user; empty: the user is offline."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The way of one push.

    `fanout`: every node gets it. Else `direct` gives the users for each other node, and `local`
    those held here. `offline` lists the targets known to be nowhere, None where that is not known.
    """

    fanout: bool
    local: tuple[str, ...] = ()
    direct: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    offline: tuple[str, ...] | None = None


FANOUT = Plan(fanout=True)


def plan(push: Push, homes: Sequence[Homes | None] | None, node: str) -> Plan:
    """Plan a push from the homes of its targets, in their order.

    `homes` is None in fanout mode; an entry is None where nobody knows, which is never "offline":
    then the push goes to every node.
    """
    if push.targets is None or homes is None or any(home is None for home in homes):
        return FANOUT
    direct: dict[str, list[str]] = {}
    local: list[str] = []
    offline: list[str] = []
    for user, home in zip(push.targets, homes, strict=True):
        if not home:
            offline.append(user)
            continue
        for holder in home:
            if holder == node:
                local.append(user)
            else:
                direct.setdefault(holder, []).append(user)
    return Plan(
        fanout=False,
        local=tuple(local),
        direct={holder: tuple(users) for holder, users in direct.items()},
        offline=tuple(offline),
    )

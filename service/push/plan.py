"""Where a push has to go. Pure."""

from collections.abc import Mapping, Sequence

import msgspec

from service.push.push import Push

Homes = frozenset[str]
"""The ids of the living nodes that hold a user; empty: the user is offline."""


class Plan(msgspec.Struct, frozen=True, gc=False):
    """The way of one push.

    `fanout`: every node gets it. Else `direct` gives the users for each other node, and `local`
    those held here. `offline` lists the targets known to be nowhere, None where that is not known.
    """

    fanout: bool
    local: tuple[str, ...] = ()
    direct: Mapping[str, tuple[str, ...]] = {}
    offline: tuple[str, ...] | None = None


FANOUT = Plan(fanout=True)


def plan(push: Push, homes: Sequence[Homes | None] | None, node: str) -> Plan:
    """Plan a push from the homes of its targets, in their order.

    `homes` is None in fanout mode; an entry is None where nobody knows, which is never "offline":
    then the push goes to every node.
    """
    if push.targets is None or homes is None:
        return FANOUT
    if len(push.targets) == len(homes) == 1 and (only := homes[0]) and len(only) == 1:
        # What nearly every push to a user is.
        [holder] = only
        if holder == node:
            return Plan(fanout=False, local=push.targets, offline=())
        return Plan(fanout=False, direct={holder: push.targets}, offline=())
    if None in homes:
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

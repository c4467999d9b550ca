"""How the gateway chooses among the instances that may take a request. Pure: no I/O, no clock."""

import math
from collections.abc import Sequence
from hashlib import blake2b
from random import Random
from typing import Literal

from gateway_lb.pool import Member

Strategy = Literal["round-robin", "weighted-random", "least-connections", "consistent-hash"]

_HASH_RANGE = 2.0**64


class Chooser:
    """Chooses one member of a list, by a strategy named at each call, so that it can change live.

    Its only state is the place in the rotation. Weights are Nacos's, all above zero here.
    """

    def __init__(self, random: Random) -> None:
        self._random = random
        self._last = ""
        self._turn = 0

    def choose(self, strategy: Strategy, candidates: Sequence[Member], key: str) -> Member:
        """Choose one of `candidates` (at least one, ordered by address) for the user `key`."""
        if strategy == "round-robin":
            return self.next_in_turn(candidates)
        if strategy == "weighted-random":
            weights = [member.instance.weight for member in candidates]
            return self._random.choices(candidates, weights)[0]
        if strategy == "consistent-hash":
            return max(candidates, key=lambda member: affinity(key, member))
        return self._least_connections(candidates)

    def next_in_turn(self, candidates: Sequence[Member]) -> Member:
        """Give the first member behind the last one chosen, in the order of the addresses.

        An address is remembered and not an index, so that nobody is skipped or served twice when
        the list changes between two calls.
        """
        following = (member for member in candidates if member.instance.address > self._last)
        member = next(following, candidates[0])
        self._last = member.instance.address
        return member

    def _least_connections(self, candidates: Sequence[Member]) -> Member:
        """Give the member with the fewest relays for its weight, counting the one to come."""
        loads = [(member.open + 1) / member.instance.weight for member in candidates]
        least = min(loads)
        tied = [member for member, load in zip(candidates, loads, strict=True) if load == least]
        self._turn += 1
        return tied[self._turn % len(tied)]


def affinity(key: str, member: Member) -> float:
    """Score a member for a key by weighted rendezvous hashing; the highest score has the key.

    A member that leaves moves only its own keys, one that joins takes its share from all, and a
    changed weight moves no more keys than it must (J. Schindelhauer, G. Schomaker, "Weighted
    Distributed Hash Tables", SPAA 2005). The hash is over the address, which survives a restart.
    """
    text = f"{key}\0{member.instance.address}".encode()
    digest = int.from_bytes(blake2b(text, digest_size=8).digest(), "big")
    return -member.instance.weight / math.log((digest + 0.5) / _HASH_RANGE)

"""Turn planned pushes into AMQP messages, in an order that keeps every user's order. Pure."""

from collections.abc import Sequence
from typing import Literal

import msgspec

from service.broker.envelope import Part, write_envelope
from service.push.plan import Plan
from service.push.push import Push, write_push

MAX_PARTS = 1000
MAX_BYTES = 1_000_000

# What a user's id may take: to add them up would be a third of the work here.
_USER_BYTES = 128

Way = Literal["fanout", "direct"]


class Publication(msgspec.Struct, frozen=True):
    """One AMQP message. `pushes` are the indexes of the pushes in it; `node` is for direct ones.

    With `numbered` the receivers see if it is lost, and ask for it again.
    """

    way: Way
    node: str
    message_id: str
    body: bytes
    pushes: tuple[int, ...]
    parts: tuple[Part, ...] = ()
    numbered: bool = True


def compose(planned: Sequence[tuple[Push, Plan]]) -> list[Publication]:
    """Merge the pushes for one node into one message, up to a size.

    A push by fanout ends what was being merged: two pushes to one user must not overtake each
    other on their way through one channel.
    """
    composed: list[Publication] = []
    open_envelopes: dict[str, _Merging] = {}
    for index, (push, plan) in enumerate(planned):
        if plan.fanout:
            composed.extend(merging.close() for merging in open_envelopes.values())
            open_envelopes.clear()
            composed.append(Publication("fanout", "", push.id, write_push(push), (index,)))
            continue
        for node, users in plan.direct.items():
            merging = open_envelopes.get(node)
            if merging is None:
                merging = open_envelopes[node] = _Merging(node)
            if merging.add(index, push, users):
                composed.append(merging.close())
                del open_envelopes[node]
    composed.extend(merging.close() for merging in open_envelopes.values())
    return composed


class _Merging:
    __slots__ = ("_bytes", "_node", "_parts", "_pushes")

    def __init__(self, node: str) -> None:
        self._node = node
        self._pushes: list[int] = []
        self._parts: list[Part] = []
        self._bytes = 0

    def add(self, index: int, push: Push, users: tuple[str, ...]) -> bool:
        """Add a push for these users; True where that is enough for one message."""
        content = push.content
        self._pushes.append(index)
        notes = None if push.notes is None else push.notes.of(users)
        self._parts.append(Part(push.id, users, msgspec.Raw(content), notes))
        self._bytes += len(content) + _USER_BYTES * len(users)
        return self._bytes >= MAX_BYTES or len(self._parts) >= MAX_PARTS

    def close(self) -> Publication:
        return Publication(
            "direct",
            self._node,
            f"{self._parts[0].id}-{len(self._parts)}-{self._node}",
            write_envelope(self._parts),
            tuple(self._pushes),
            tuple(self._parts),
        )

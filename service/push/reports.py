"""Reports: what became of a push at each node, and what they come to together. Pure."""

from collections import Counter
from collections.abc import Collection, Iterable
from typing import Literal

import msgspec

from service.settings import PushMode


class Report(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of one push at one node, in connections.

    `users` gives `(delivered, slow)` by user; who had no connection left there is not in it. For a
    push to everyone it is empty, and the sums say it all.
    """

    push: str
    delivered: int = 0
    slow: int = 0
    users: dict[str, tuple[int, int]] = {}


class Reports(msgspec.Struct, frozen=True):
    """Reports of one node."""

    node: str
    items: tuple[Report, ...]


class UserOutcome(msgspec.Struct, frozen=True):
    """What became of a push for one user; the numbers are connections."""

    state: Literal["delivered", "slow", "offline", "unknown"]
    delivered: int
    slow: int


class NodeOutcome(msgspec.Struct, frozen=True):
    """What one node did; the numbers are connections."""

    state: Literal["reported", "unreported"]
    delivered: int
    slow: int


class DeliveryReport(msgspec.Struct, frozen=True):
    """The answer to a push with `wait`: docs/push-api.md says what each field means."""

    id: str
    mode: PushMode
    complete: bool
    targeted: int | None
    delivered: int
    slow: int
    offline: list[str] | None
    unreported: list[str]
    users: dict[str, UserOutcome] | None
    nodes: dict[str, NodeOutcome]


class Tally:
    """The reports on one push as they come in.

    A node owes one for each message that it was sent: `expect` says which, and may come late.
    """

    def __init__(self) -> None:
        self._expected: Counter[str] | None = None
        self._came: Counter[str] = Counter()
        self._nodes: dict[str, tuple[int, int]] = {}
        self._users: dict[str, tuple[int, int]] = {}

    def expect(self, nodes: Iterable[str]) -> None:
        """Note who owes a report; a node stands there once for each message to it."""
        self._expected = Counter(nodes)

    def add(self, node: str, report: Report) -> None:
        """Take a report."""
        self._came[node] += 1
        self._nodes[node] = _sum(self._nodes.get(node), (report.delivered, report.slow))
        for user, found in report.users.items():
            self._users[user] = _sum(self._users.get(user), found)

    @property
    def settled(self) -> bool:
        """Whether every report that is owed has come."""
        return self._expected is not None and self._expected <= self._came

    def result(
        self,
        push: str,
        mode: PushMode,
        targets: Collection[str] | None,
        *,
        offline: Collection[str] = (),
        silent: Collection[str] = (),
    ) -> DeliveryReport:
        """Say what has come.

        `offline` are targets that the Directory knew to be offline, `silent` nodes that have the
        push and never report.
        """
        owing = [] if self._expected is None else sorted(self._expected - self._came)
        unreported = [*owing, *sorted(silent)]
        complete = self.settled and not unreported
        nodes = {node: NodeOutcome("reported", *sums) for node, sums in self._nodes.items()}
        nodes |= {node: _missing(nodes.get(node)) for node in unreported}
        users = None
        if targets is not None:
            known = targets if complete else frozenset(offline)
            users = {user: self._outcome(user, user in known) for user in targets}
        return DeliveryReport(
            id=push,
            mode=mode,
            complete=complete,
            targeted=None if targets is None else len(targets),
            delivered=sum(delivered for delivered, _ in self._nodes.values()),
            slow=sum(slow for _, slow in self._nodes.values()),
            offline=None if users is None else [u for u in users if users[u].state == "offline"],
            unreported=unreported,
            users=users,
            nodes=nodes,
        )

    def _outcome(self, user: str, known: bool) -> UserOutcome:
        delivered, slow = self._users.get(user, (0, 0))
        if delivered:
            return UserOutcome("delivered", delivered, slow)
        if slow:
            return UserOutcome("slow", delivered, slow)
        return UserOutcome("offline" if known else "unknown", 0, 0)


def _missing(part: NodeOutcome | None) -> NodeOutcome:
    return NodeOutcome("unreported", *((part.delivered, part.slow) if part else (0, 0)))


def _sum(one: tuple[int, int] | None, other: tuple[int, int]) -> tuple[int, int]:
    return other if one is None else (one[0] + other[0], one[1] + other[1])

"""Try again for users whose home was gone when their message came back from the broker."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from service import metrics
from service.broker.broker import Broker
from service.broker.confirms import Outcome
from service.broker.publication import compose
from service.directory.directories import Directories
from service.push.plan import Plan
from service.push.push import Push
from service.push.receiver import Receiver

_PAUSES = (0.05, 0.1, 0.2, 0.4, 0.8)
"""Seconds before each new try: long enough for a client to come back through the gateway."""


@dataclass(frozen=True, slots=True)
class Returned:
    """A node that had no queue, and the users of the push that it should have had."""

    node: str
    users: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Settled:
    """`nowhere`: the users who are offline; `failed`: the broker did not confirm for some.

    `nodes`: who got the push meanwhile, once for each message; None where that is every node.
    """

    nowhere: tuple[str, ...]
    failed: bool
    nodes: tuple[str, ...] | None = ()

    def nodes_after(
        self, planned: Sequence[str], returned: Sequence[Returned]
    ) -> tuple[str, ...] | None:
        """Give all who got the push, from those whom the plan had for it."""
        gone = {item.node for item in returned}
        if self.nodes is None:
            return None
        return (*(node for node in planned if node not in gone), *self.nodes)


class Retrier:
    """Follows the users of a dead node to where they have gone."""

    def __init__(
        self, node: str, broker: Broker, directory: Directories, receiver: Receiver
    ) -> None:
        self._node = node
        self._broker = broker
        self._directory = directory
        self._receiver = receiver

    async def settle(self, push: Push, planned: Plan, returned: Sequence[Returned]) -> Settled:
        """Deliver to the users of the returned messages. Never raises for a server's fault.

        A node that already has the push never gets it again.
        """
        reached = _reached(planned, returned, self._node)
        pending = {user for item in returned for user in item.users}
        failed: set[str] = set()
        told = _Told()
        for pause in _PAUSES:
            metrics.PUSHES_RETRIED.inc()
            await asyncio.sleep(pause)
            pending, failed = await self._once(push, pending, reached, told)
            if not pending:
                break
        # Who was reached at another node has the message; the dead node's sockets are dead too.
        missed = {user for user in pending if not reached[user]}
        return Settled(
            nowhere=tuple(user for user in push.targets or () if user in missed - failed),
            failed=bool(missed & failed),
            nodes=None if told.everywhere else tuple(told.nodes),
        )

    async def _once(
        self, push: Push, pending: set[str], reached: dict[str, set[str]], told: "_Told"
    ) -> tuple[set[str], set[str]]:
        """Try once; gives who is still without the push, and for whom the broker is at fault."""
        users = sorted(pending)
        homes = await self._directory.homes(users)
        if any(home is None for home in homes):
            return await self._to_everywhere(push, users, reached, told)
        direct: dict[str, list[str]] = {}
        for user, home in zip(users, homes, strict=True):
            for node in (home or frozenset()) - reached[user]:
                direct.setdefault(node, []).append(user)
        here = direct.pop(self._node, [])
        if self._deliver_here(push, here, reached):
            told.nodes.append(self._node)
        plan = Plan(fanout=False, direct={node: tuple(held) for node, held in direct.items()})
        publications = compose([(push, plan)])
        outcomes = await self._broker.publish(publications)
        found = set(here)
        again: set[str] = set()
        failed: set[str] = set()
        for publication, outcome in zip(publications, outcomes, strict=True):
            held = publication.parts[0].users
            found.update(held)
            if outcome is Outcome.CONFIRMED:
                told.nodes.append(publication.node)
                for user in held:
                    reached[user].add(publication.node)
            else:
                again.update(held)
            if outcome is Outcome.FAILED:
                failed.update(held)
        return again | (pending - found), failed

    async def _to_everywhere(
        self, push: Push, users: list[str], reached: dict[str, set[str]], told: "_Told"
    ) -> tuple[set[str], set[str]]:
        # Nobody knows where they are. Who was reached somewhere would get it there again.
        missed = tuple(user for user in users if not reached[user])
        if not missed:
            return set(), set()
        everywhere = Push(push.id, push.content, missed, notes=push.notes)
        [outcome] = await self._broker.publish(compose([(everywhere, Plan(fanout=True))]))
        if outcome is not Outcome.CONFIRMED:
            return set(missed), set(missed)
        self._receiver.deliver(push, missed)
        told.everywhere = True
        return set(), set()

    def _deliver_here(self, push: Push, users: list[str], reached: dict[str, set[str]]) -> bool:
        fresh = tuple(user for user in users if self._node not in reached[user])
        if not fresh:
            return False
        self._receiver.count_gone(fresh)
        self._receiver.deliver(push, fresh)
        for user in fresh:
            reached[user].add(self._node)
        return True


class _Told:
    """The nodes that got the push in later tries, once for each message."""

    def __init__(self) -> None:
        self.nodes: list[str] = []
        self.everywhere = False


def _reached(planned: Plan, returned: Sequence[Returned], node: str) -> dict[str, set[str]]:
    gone = {(item.node, user) for item in returned for user in item.users}
    reached: dict[str, set[str]] = {user: set() for item in returned for user in item.users}
    for holder, users in planned.direct.items():
        for user in users:
            if user in reached and (holder, user) not in gone:
                reached[user].add(holder)
    for user in planned.local:
        if user in reached:
            reached[user].add(node)
    return reached

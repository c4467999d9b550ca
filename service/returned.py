"""Try again for users whose home was gone when their message came back from the broker."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from service import metrics
from service.amqp_publisher import Outcome
from service.broker import Broker
from service.directory import Directory
from service.plan import Plan
from service.publication import compose
from service.push import Push
from service.receiver import Receiver

_PAUSES = (0.05, 0.1, 0.2, 0.4, 0.8)
"""Seconds before each new try: long enough for a client to come back through the gateway."""


@dataclass(frozen=True, slots=True)
class Returned:
    """A node that had no queue, and the users of the push that it should have had."""

    node: str
    users: tuple[str, ...]


class Retrier:
    """Follows the users of a dead node to where they have gone."""

    def __init__(self, node: str, broker: Broker, directory: Directory, receiver: Receiver) -> None:
        self._node = node
        self._broker = broker
        self._directory = directory
        self._receiver = receiver

    async def settle(
        self, push: Push, planned: Plan, returned: Sequence[Returned]
    ) -> tuple[str, ...]:
        """Deliver to the users of the returned messages; gives those who are nowhere.

        A node that already has the push never gets it again.
        """
        reached = _reached(planned, returned, self._node)
        pending = {user for item in returned for user in item.users}
        for pause in _PAUSES:
            metrics.PUSHES_RETRIED.inc()
            await asyncio.sleep(pause)
            pending = await self._once(push, pending, reached)
            if not pending:
                break
        # Who was reached at another node has the message; the dead node's sockets are dead too.
        return tuple(user for user in push.targets or () if user in pending and not reached[user])

    async def _once(self, push: Push, pending: set[str], reached: dict[str, set[str]]) -> set[str]:
        users = sorted(pending)
        homes = await self._directory.homes(users)
        if any(home is None for home in homes):
            everywhere = Push(push.id, push.content, tuple(users))
            [outcome] = await self._broker.publish(compose([(everywhere, Plan(fanout=True))]))
            if outcome is not Outcome.CONFIRMED:
                return pending
            self._deliver_here(push, users, reached)
            return set()
        direct: dict[str, list[str]] = {}
        for user, home in zip(users, homes, strict=True):
            for node in (home or frozenset()) - reached[user]:
                direct.setdefault(node, []).append(user)
        here = direct.pop(self._node, [])
        self._deliver_here(push, here, reached)
        plan = Plan(fanout=False, direct={node: tuple(held) for node, held in direct.items()})
        publications = compose([(push, plan)])
        outcomes = await self._broker.publish(publications)
        failed = {
            user
            for publication, outcome in zip(publications, outcomes, strict=True)
            for user in publication.parts[0].users
            if outcome is not Outcome.CONFIRMED
        }
        for publication, outcome in zip(publications, outcomes, strict=True):
            if outcome is Outcome.CONFIRMED:
                for user in publication.parts[0].users:
                    reached[user].add(publication.node)
        found = {user for held in direct.values() for user in held} | set(here)
        return failed | (pending - found)

    def _deliver_here(self, push: Push, users: list[str], reached: dict[str, set[str]]) -> None:
        fresh = tuple(user for user in users if self._node not in reached[user])
        if fresh:
            self._receiver.deliver(push.id, push.content, fresh)
            for user in fresh:
                reached[user].add(self._node)


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

"""What can be asked and done about users and nodes, wherever they are in the cluster."""

from typing import Any

import msgspec

from service.broker.broker import Broker
from service.broker.confirms import Outcome
from service.broker.envelope import write_envelope
from service.broker.publication import Publication
from service.directory.directories import Directories
from service.directory.foreign import ForeignNodes
from service.push.answers import PushesFailedError
from service.push.push import new_push_id
from service.push.receiver import Receiver


class Users:
    """The cluster's users, as the Directory knows them."""

    def __init__(
        self,
        node: str,
        directory: Directories,
        broker: Broker,
        receiver: Receiver,
        foreign: ForeignNodes,
    ) -> None:
        self._node = node
        self._directory = directory
        self._broker = broker
        self._receiver = receiver
        self._foreign = foreign

    async def find(self, user: str) -> dict[str, Any] | None:
        """Describe one user; None where they are connected nowhere. Raises StoreError."""
        entry = await self._directory.user(user)
        return _describe(user, entry) if entry else None

    async def page(self, cursor: int, limit: int) -> dict[str, Any]:
        """List users of the whole cluster; `cursor` in the answer is null at the end.

        Raises StoreError.
        """
        following, entries = await self._directory.users(cursor, limit)
        return {
            "users": [_describe(user, entry) for user, entry in sorted(entries.items())],
            # A text, since JavaScript's numbers end at 2**53.
            "cursor": str(following) if following else None,
        }

    async def disconnect(self, user: str) -> None:
        """Close every connection of a user, on every node. Raises PushesFailedError."""
        others = [node for node in self._directory.alive if node != self._node]
        body = write_envelope((), (user,))
        outcomes = await self._broker.publish(
            [Publication("direct", node, new_push_id(), body, ()) for node in others]
        )
        self._receiver.disconnect(user)
        # A node without a queue is gone, and its connections with it.
        if Outcome.FAILED in outcomes:
            raise PushesFailedError(
                f"RabbitMQ at {self._broker.address} did not confirm;"
                " the user is disconnected from this node only"
            )

    async def nodes(self) -> dict[str, Any]:
        """List the nodes whose records live, and Java nodes. Raises StoreError."""
        await self._directory.look()
        ours = [
            {**msgspec.to_builtins(record), "foreign": False}
            for _, record in sorted(self._directory.alive.items())
        ]
        theirs = [{"nodeId": queue, "foreign": True} for queue in self._foreign.queues]
        return {"nodes": [*ours, *theirs]}


def _describe(user: str, entry: dict[str, Any]) -> dict[str, Any]:
    nodes = [{"nodeId": node, **home} for node, home in sorted(entry.items())]
    return {
        "userId": user,
        "connections": sum(home.get("connections", 0) for home in entry.values()),
        "nodes": nodes,
    }

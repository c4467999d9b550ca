"""The Broker: RabbitMQ for one node, wherever the settings say that it is."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta

from service import metrics
from service.broker.amqp_consumer import Handler
from service.broker.amqp_queue import NodeQueues
from service.broker.broker_side import BrokerSide
from service.broker.confirms import Outcome
from service.broker.publication import Publication
from service.moving.handover import Peers, Server
from service.moving.mover import Mover
from service.settings_servers import RabbitSection

SETTLE = 0.15
"""Seconds in which the other nodes consume what was confirmed at the server used before."""


def server_of(settings: RabbitSection) -> Server[RabbitSection]:
    """Give the server of the settings; another virtual host is another server."""
    path = "" if settings.virtual_host == "/" else settings.virtual_host
    return Server.at(settings.host, settings.port, path, settings)


class Broker:
    """What the node needs of RabbitMQ. What breaks is repaired in the background.

    When `settings` gives another server, the node moves there together with its `peers`, for whom
    each step waits for `limit` at most; `mover` says how far that is. Meanwhile messages come
    from several servers, but every publication goes to one: the one in use.
    """

    def __init__(
        self,
        node: str,
        handler: Handler,
        *,
        settings: Callable[[], RabbitSection],
        peers: Callable[[], Peers | None],
        limit: Callable[[], timedelta],
    ) -> None:
        queues = NodeQueues(node)
        self.sent, self.arrivals = queues.sent, queues.arrivals
        self.mover: Mover[RabbitSection, BrokerSide] = Mover(
            "RabbitMQ",
            server_of(settings()),
            lambda server: BrokerSide(server.settings, queues, handler),
            wanted=lambda: server_of(settings()),
            peers=peers,
            limit=limit,
        )
        self._publishes_at = self.mover.side
        self._in_turn = asyncio.Lock()
        metrics.BROKER_UP.set_function(lambda: float(self.consuming))

    @property
    def address(self) -> str:
        """Host and port of the server in use, for messages."""
        return self.mover.side.address

    @property
    def publishing(self) -> bool:
        """Whether publications can be tried now."""
        return self.mover.side.publishing

    @property
    def consuming(self) -> bool:
        """Whether the queue of this node is being consumed at the server in use."""
        return self.mover.side.consuming

    @property
    def details(self) -> Mapping[str, object]:
        """What health shows."""
        return {
            "address": self.mover.standing.uses,
            "publishing": self.publishing,
            "consuming": self.consuming,
            **self.mover.side.faults,
            **self.mover.details,
        }

    async def connect(self) -> None:
        """Connect, declare exchanges and queue, and consume. Raises StartError."""
        await self.mover.side.open()

    async def run(self) -> None:
        """Repair what breaks, and move when the settings change; runs until cancelled."""
        await self.mover.run()

    async def publish(self, publications: Sequence[Publication]) -> list[Outcome]:
        """Publish in order and wait for every confirm, 5 s at most. Never raises."""
        return await (await self.send(publications))

    async def send(self, publications: Sequence[Publication]) -> asyncio.Future[list[Outcome]]:
        """Publish in the order of the calls; the future has the outcomes within 5 s. Never raises.

        The first ones at another server wait until those before them have had their outcome.
        """
        async with self._in_turn:
            while self._publishes_at is not self.mover.side:
                await self._follow()
            return await self._publishes_at.send(publications)

    async def discard_queue(self, node: str) -> None:
        """Delete the queue of a dead node, unless somebody consumes it. Never raises."""
        for side in list(self.mover.sides.values()):
            await side.discard_queue(node)

    async def close(self) -> None:
        """Give up the queue (which deletes it), then close the rest. Never raises."""
        await self.mover.stop()
        for side in self.mover.sides.values():
            await side.close()

    async def _follow(self) -> None:
        old, new = self._publishes_at, self.mover.side
        await old.published()
        settled_at = old.published_at + SETTLE
        await asyncio.sleep(max(settled_at - asyncio.get_running_loop().time(), 0))
        self._publishes_at = new

"""Nodes in one process at real brokers, which see each other's standing as in the registry."""

import asyncio
import json
import uuid
from datetime import timedelta
from typing import Literal

from service.broker.broker import Broker
from service.broker.confirms import Outcome
from service.broker.publication import Publication
from service.moving.handover import Peer, Peers
from service.settings_servers import RabbitSection


class FleetNode:
    """A node's Broker; `got` is what reached its handler: numbers, by sender."""

    def __init__(self, fleet: "Fleet", settings: RabbitSection) -> None:
        self.id = uuid.uuid4().hex
        self.settings = settings
        self.got: dict[str, list[int]] = {}
        self.accepted: list[int] = []
        self.failed = 0
        self._fleet = fleet
        self.broker = Broker(
            self.id,
            self._handle,
            settings=lambda: self.settings,
            peers=self._peers,
            limit=lambda: fleet.limit,
        )

    def _handle(self, _exchange: str, body: bytes, message_id: str | None) -> None:
        # The servers of this test run are shared: only what these tests have sent counts.
        if message_id is not None and message_id.startswith("moving-"):
            sender, number = json.loads(body)["content"]
            self.got.setdefault(sender, []).append(number)

    def _peers(self) -> Peers:
        others = (node for node in self._fleet.nodes if node is not self)
        return {node.id: Peer(node.broker.mover.standing, "") for node in others}

    def move(self, settings: RabbitSection) -> None:
        self.settings = settings
        self.broker.mover.stir()

    def at(self, settings: RabbitSection) -> bool:
        """Tell whether the node has left everything else for this server."""
        sides = self.broker.mover.sides
        return [server.settings for server in sides] == [settings] and self.broker.consuming

    async def publish_for_ever(self) -> None:
        """Publish to all and then to each node, as fast as is kind to the machine."""
        number = 0
        while True:
            items = [_publication(self.id, "fanout", "", number)]
            items += [
                _publication(self.id, "direct", node.id, number + 1) for node in self._fleet.nodes
            ]
            outcomes = await self.broker.publish(items)
            if set(outcomes) == {Outcome.CONFIRMED}:
                self.accepted += [number, number + 1]
            else:
                self.failed += 1
            number += 2
            await asyncio.sleep(0.002)


class Fleet:
    """Some nodes, and whether they publish."""

    def __init__(self) -> None:
        self.nodes: list[FleetNode] = []
        self.limit = timedelta(seconds=30)
        self._tasks: list[asyncio.Task[None]] = []
        self._publishing: list[asyncio.Task[None]] = []

    async def add(self, settings: RabbitSection) -> FleetNode:
        node = FleetNode(self, settings)
        await node.broker.connect()
        self.nodes.append(node)
        self._tasks.append(asyncio.create_task(node.broker.run()))
        return node

    def publish(self) -> None:
        """Have every node publish."""
        self._publishing += [asyncio.create_task(n.publish_for_ever()) for n in self.nodes]

    async def stop_publishing(self) -> None:
        """End it; what has not been accepted by then may have arrived all the same."""
        assert not any(task.done() for task in self._publishing)
        for task in self._publishing:
            task.cancel()
        await asyncio.gather(*self._publishing, return_exceptions=True)
        self._publishing.clear()

    def complete(self) -> bool:
        """Tell whether all that was accepted has arrived everywhere, once and in order."""
        for sender in self.nodes:
            assert sender.failed == 0
            for node in self.nodes:
                # A node passes over its own fanout messages, which have even numbers.
                expected = [n for n in sender.accepted if node is not sender or n % 2]
                got = node.got.get(sender.id, [])[: len(expected)]
                assert got == expected, (len(got), len(expected), _first_fault(got, expected))
        return True

    async def close(self) -> None:
        for task in (*self._publishing, *self._tasks):
            task.cancel()
        await asyncio.gather(*self._publishing, *self._tasks, return_exceptions=True)
        for node in self.nodes:
            await node.broker.close()


def _publication(
    sender: str, way: Literal["fanout", "direct"], node: str, number: int
) -> Publication:
    text = {"content": [sender, number], "allUser": False, "targetUserList": ["nobody-here"]}
    return Publication(way, node, f"moving-{uuid.uuid4().hex}", json.dumps(text).encode(), (0,))


def _first_fault(got: list[int], expected: list[int]) -> object:
    pairs = enumerate(zip(got, expected, strict=False))
    return next((place for place, (a, b) in pairs if a != b), "missing at the end")

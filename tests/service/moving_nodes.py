"""Nodes that move between Redis servers in memory, each at a moment of its own."""

import asyncio
from collections.abc import Collection
from typing import Any

from nacos_boot.config.live import LiveSettings
from service.clients.hub import Hub
from service.directory.directories import Directories
from service.directory.directory import Keys
from service.directory.node_record import NodeRecord
from service.directory.redis_side import redis_server
from service.moving.handover import Peer, Peers
from service.settings import NodeSettings
from service.settings_servers import RedisSection
from tests.service.fake_servers import FakeStore
from tests.service.fake_sockets import FakeSocket
from tests.waiting import eventually

KEYS = Keys("websocket:")
OLD, NEW = 1, 2
"""Ports of two servers."""


def settings(port: int = OLD, *, limit: str = "60s", **redis: Any) -> NodeSettings:
    return NodeSettings.model_validate(
        {
            "spring": {"data": {"redis": {"host": "r", "port": port, **redis}}},
            "websocket": {"handover": {"limit": limit}, "push": {"mode": "routed"}},
        }
    )


class MovingNode:
    """A node's Hub and Directories."""

    def __init__(self, house: "MovingNodes", node: str) -> None:
        self.house = house
        self.id = node
        self.live = LiveSettings(settings())
        self.hub = Hub(
            asyncio.get_running_loop(),
            lambda user: self.directories.changed(user),  # noqa: PLW0108 - made below
        )
        self.directories = Directories(
            node,
            self.live,
            self.hub,
            record=lambda run_id: NodeRecord(node, "", "", 0, 0, 0, 0, "routed", "", "", run_id),
            expected=lambda: house.expected,
            peers=self.peers,
            make_store=house.store,  # type: ignore[arg-type]  # held to the real one in tests/contract
        )
        self.task: asyncio.Task[None]
        self.started: list[str] = []

    def peers(self) -> Peers | None:
        if self.house.expected is None:
            return None
        return {
            node: Peer(other.directories.standing, "")
            for node, other in self.house.nodes.items()
            if node != self.id
        }

    async def start(self) -> None:
        await self.directories.connect()
        await self.directories.start()
        self.task = asyncio.create_task(self.directories.run())

    def move(self, port: int, **redis: Any) -> None:
        """Let the settings give another server."""
        self.live.swap(settings(port, **redis))

    def join(self, user: str) -> FakeSocket:
        """Let a client in as the Door does; `started` has the users who got their `pong`."""
        socket = FakeSocket(user)
        self.hub.add(socket)
        self.directories.after_next_write(lambda: self.started.append(user))
        return socket

    async def enter(self, user: str) -> FakeSocket:
        """Let a client in, and wait for its `pong`."""
        socket = self.join(user)
        await eventually(lambda: user in self.started)
        return socket

    @property
    def reads(self) -> str:
        return self.directories.standing.uses

    @property
    def moved(self) -> bool:
        """Whether it is at rest where its settings want it."""
        [server, *others] = self.directories.mover.sides
        return not others and server == redis_server(self.live.current)


class MovingNodes:
    """Some nodes and the servers that they find by port; `expected` are the nodes in Nacos.

    `special` has those for one database and account.
    """

    def __init__(self) -> None:
        self.stores = {OLD: FakeStore(), NEW: FakeStore()}
        for port, store in self.stores.items():
            store.address = f"r:{port}"
        self.special: dict[tuple[int, str], FakeStore] = {}
        self.nodes: dict[str, MovingNode] = {}
        self.expected: Collection[str] | None = []

    def store(self, section: RedisSection) -> FakeStore:
        return self.special.get((section.database, section.username)) or self.stores[section.port]

    async def add(self, *names: str) -> list[MovingNode]:
        self.expected = [*self.nodes, *names]
        added = []
        for name in names:
            node = self.nodes[name] = MovingNode(self, name)
            await node.start()
            added.append(node)
        for node in self.nodes.values():
            await eventually(lambda node=node: node.directories.settled)
        return added

    async def stop(self, node: MovingNode) -> None:
        """End as a node does that is told to."""
        if node.task.done():
            node.task.result()
        node.task.cancel()
        await asyncio.gather(node.task, return_exceptions=True)
        await node.directories.close()
        del self.nodes[node.id]

    async def close(self) -> None:
        for store in self.stores.values():
            store.gate.set()
        for node in list(self.nodes.values()):
            await self.stop(node)

    def left_at(self, port: int) -> list[str]:
        """Give what is left at a server."""
        store = self.stores[port]
        return [*store.texts, *(name for names in store.sets.values() for name in names)]

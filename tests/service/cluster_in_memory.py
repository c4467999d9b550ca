"""Nodes in one process, on the fake Redis and RabbitMQ: everything between API and socket."""

import asyncio
from datetime import timedelta
from typing import Any

from service.clients.hub import Hub
from service.directory.directory import Directory, Keys
from service.directory.node_record import NodeRecord
from service.push.push import Push, new_push_id
from service.push.pusher import Pusher
from service.push.receiver import Receiver
from service.push.report_gathering import Gathering
from service.push.reporter import Reporter
from service.settings import PushMode
from tests.service.fake_servers import FakeBroker, FakeRabbit, FakeStore
from tests.service.fake_sockets import FakeSocket

KEYS = Keys("test:")
TTL = timedelta(seconds=15)


class MemoryNode:
    """One node without HTTP and WebSockets."""

    def __init__(self, cluster: "MemoryCluster", node: str) -> None:
        self.id = node
        self.mode: PushMode = "routed"
        self.hub = Hub(asyncio.get_running_loop(), lambda _: None)
        self.receiver = Receiver(self.hub)
        self.broker = FakeBroker(cluster.rabbit, node, self.receiver.handle)
        self.directory = Directory(
            cluster.store,  # type: ignore[arg-type]  # held to the real one in tests/contract
            KEYS,
            node,
            expected=list,
            lost=lambda: None,
        )
        self.pusher = Pusher(
            node,
            self.broker,  # type: ignore[arg-type]  # held to the real one in tests/contract
            self.directory,
            self.receiver,
            lambda: self.mode,
        )
        self.gathering = Gathering(
            node,
            self.directory,  # type: ignore[arg-type]  # one Directory for all of them
            lambda: (),
        )
        self.receiver.reporter = self.reporter = Reporter(
            node,
            self.hub,
            self.broker,  # type: ignore[arg-type]  # as above
            self.gathering.add,
        )
        self.task: asyncio.Future[Any]

    async def start(self) -> None:
        await self.broker.connect()
        await self.look()
        record = NodeRecord(self.id, "", "", 0, 0, 0, 0, "routed", "", "")
        await self.directory.beat(record, TTL)
        await self.look()
        self.task = asyncio.gather(self.pusher.run(), self.reporter.run())

    async def look(self) -> None:
        await self.directory.look()

    async def join(self, user: str) -> FakeSocket:
        """Connect a user here, known to the directory."""
        socket = FakeSocket(user)
        self.hub.add(socket)
        await self.directory.write_homes({user: b'{"connections":1}'})
        return socket

    async def die(self) -> None:
        """End without a word: only the queue goes, as by auto-delete."""
        self.task.cancel()
        await self.broker.close()


class MemoryCluster:
    """Some nodes; `a` and `b` from the start."""

    def __init__(self) -> None:
        self.store = FakeStore()
        self.rabbit = FakeRabbit()
        self.nodes: dict[str, MemoryNode] = {}

    async def add(self, node: str) -> MemoryNode:
        found = self.nodes[node] = MemoryNode(self, node)
        await found.start()
        for other in self.nodes.values():
            await other.look()
        return found

    async def close(self) -> None:
        for node in self.nodes.values():
            node.task.cancel()
        await asyncio.gather(*(node.task for node in self.nodes.values()), return_exceptions=True)


def push(content: str, *targets: str) -> Push:
    """Make a push of a plain string, to everyone when no target is named."""
    return Push(new_push_id(), b'"%s"' % content.encode(), targets or None)


async def received(socket: FakeSocket) -> list[str]:
    """Give the plain strings that a client has got so far."""
    await asyncio.sleep(0)
    data, texts = socket.sent, []
    while data:
        size = data[1]
        start = 2
        if size == 126:
            size, start = int.from_bytes(data[2:4], "big"), 4
        texts.append(data[start : start + size].decode())
        data = data[start + size :]
    return texts

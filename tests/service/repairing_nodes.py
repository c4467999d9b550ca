"""Nodes in one process at a real RabbitMQ, each with its Broker and its Repair."""

import asyncio
import json
import uuid
from datetime import timedelta

import msgspec

from nacos_boot.config.live import LiveSettings
from service.broker.amqp import DIRECT
from service.broker.broker import Broker
from service.broker.confirms import Outcome
from service.broker.envelope import Part, read_envelope, write_envelope
from service.broker.publication import Publication, Way
from service.broker.repair import Repair
from service.push.push import Push, new_push_id, read_push, write_push
from service.settings import NodeSettings
from tests.rabbit import local_rabbit

PREFIX = "repair-"


class RepairingNode:
    """One node; `got` is what came, and `accepted` what it has published, by receiver."""

    def __init__(self, fleet: "RepairingFleet", port: int) -> None:
        self.id = uuid.uuid4().hex
        self.got: list[str] = []
        self.live = LiveSettings(NodeSettings())
        self.settings = local_rabbit(port=port)
        self._fleet = fleet
        self._count = 0
        self.broker = Broker(
            self.id,
            self.handle,
            settings=lambda: self.settings,
            peers=dict,
            limit=lambda: timedelta(seconds=30),
        )
        self.repair = Repair(
            self.id, self.broker, self.handle, lambda: {node.id for node in fleet.nodes}, self.live
        )

    def resend(self, **values: object) -> None:
        """Put other settings of `websocket.resend` in force."""
        self.live.swap(NodeSettings.model_validate({"websocket": {"resend": values}}))

    def handle(self, exchange: str, body: bytes, message_id: str | None) -> None:
        if exchange == DIRECT:
            envelope = read_envelope(body)
            if envelope.resend is not None:
                self.repair.take(envelope.resend)
            self.got += [json.loads(bytes(part.content)) for part in envelope.parts]
        # The servers of this test run are shared: only what these tests have sent counts.
        elif message_id is not None and message_id.startswith(PREFIX):
            self.got.append(json.loads(read_push(body, message_id).content))

    async def publish(self, count: int, receiver: "RepairingNode | None" = None) -> list[str]:
        """Publish to one node, or to all; gives what the broker has confirmed."""
        named: list[tuple[str, Publication]] = []
        for _ in range(count):
            self._count += 1
            name = f"{self.id[:4]}-{self._count}"
            content = json.dumps(name).encode()
            way: Way = "direct" if receiver else "fanout"
            if receiver:
                body = write_envelope([Part("", ("nobody-here",), msgspec.Raw(content))])
            else:
                body = write_push(Push("", content, ("nobody-here",)))
            message_id = f"{PREFIX}{new_push_id()}"
            node = receiver.id if receiver else ""
            named.append((name, Publication(way, node, message_id, body, (0,))))
        outcomes = await self.broker.publish([publication for _, publication in named])
        return [
            name
            for (name, _), outcome in zip(named, outcomes, strict=True)
            if outcome is Outcome.CONFIRMED
        ]


class RepairingFleet:
    """Some nodes that know one another; `nodes` are those that live."""

    def __init__(self) -> None:
        self.nodes: list[RepairingNode] = []
        self._all: list[RepairingNode] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def add(self, port: int) -> RepairingNode:
        node = RepairingNode(self, port)
        await node.broker.connect()
        self.nodes.append(node)
        self._all.append(node)
        self._tasks += [
            asyncio.create_task(node.broker.run()),
            asyncio.create_task(node.repair.run()),
        ]
        return node

    async def close(self) -> None:
        assert not any(task.done() for task in self._tasks)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for node in self._all:
            await node.broker.close()

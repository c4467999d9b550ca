"""What a node relies on in its Broker, on a real RabbitMQ and on the fake that stands for it."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta

import pytest

from devtools.servers import Servers
from service.broker.amqp import DIRECT, FANOUT
from service.broker.broker import Broker
from service.broker.confirms import Outcome
from service.broker.publication import Publication
from tests.rabbit import local_rabbit
from tests.service.fake_servers import FakeBroker, FakeRabbit
from tests.waiting import eventually

CONFIRMED, RETURNED, FAILED = Outcome.CONFIRMED, Outcome.RETURNED, Outcome.FAILED


class Node:
    """A node's Broker, and what its handler was given: (exchange, body, message id)."""

    def __init__(self) -> None:
        self.id = uuid.uuid4().hex
        self.got: list[tuple[str, bytes, str | None]] = []
        self.broker: Broker

    def handle(self, exchange: str, body: bytes, message_id: str | None) -> None:
        # The servers of this test run are shared: only what this file has sent counts.
        if message_id is not None and message_id.startswith("contract-"):
            self.got.append((exchange, body, message_id))

    @property
    def bodies(self) -> list[bytes]:
        return [body for _, body, _ in self.got]


MakeNode = Callable[[], Awaitable[Node]]


@pytest.fixture(params=["fake", "rabbitmq"])
async def make_node(request: pytest.FixtureRequest) -> AsyncIterator[MakeNode]:
    nodes: list[Node] = []
    rabbit = FakeRabbit()

    async def make() -> Node:
        node = Node()
        if request.param == "fake":
            node.broker = FakeBroker(rabbit, node.id, node.handle)  # type: ignore[assignment]  # what this file is about
        else:
            servers: Servers = request.getfixturevalue("servers")
            settings = local_rabbit(port=servers.ports.rabbitmq)
            node.broker = Broker(
                node.id,
                node.handle,
                settings=lambda: settings,
                peers=dict,
                limit=lambda: timedelta(seconds=30),
            )
        nodes.append(node)
        await node.broker.connect()
        return node

    yield make
    for node in nodes:
        await node.broker.close()


def direct(node: str, body: bytes) -> Publication:
    return Publication("direct", node, f"contract-{uuid.uuid4().hex}", body, (0,))


def fanout(body: bytes) -> Publication:
    return Publication("fanout", "", f"contract-{uuid.uuid4().hex}", body, (0,))


# A MsgDTO for nobody: other nodes may be listening on the exchange.
NOBODY = b'{"content":%d,"allUser":false,"targetUserList":["nobody-here"]}'


async def test_a_node_is_publishing_and_consuming_once_connected(make_node: MakeNode) -> None:
    node = await make_node()
    assert node.broker.publishing
    assert node.broker.consuming
    await node.broker.close()
    assert not node.broker.publishing
    assert not node.broker.consuming


async def test_a_direct_message_reaches_its_node_only(make_node: MakeNode) -> None:
    sender, home, other = await make_node(), await make_node(), await make_node()
    item = direct(home.id, b"\x00 any bytes \xff")
    assert await sender.broker.publish([item]) == [CONFIRMED]
    await eventually(lambda: home.got)
    assert home.got == [(DIRECT, item.body, item.message_id)]
    # What comes later has come after anything that went astray.
    await sender.broker.publish([direct(other.id, b"last")])
    await eventually(lambda: other.got)
    assert other.bodies == [b"last"]
    assert sender.got == []


async def test_a_direct_message_to_itself_comes(make_node: MakeNode) -> None:
    node = await make_node()
    assert await node.broker.publish([direct(node.id, b"me")]) == [CONFIRMED]
    await eventually(lambda: node.bodies == [b"me"])


async def test_a_fanout_message_reaches_all_but_the_node_that_sent_it(make_node: MakeNode) -> None:
    sender, first, second = await make_node(), await make_node(), await make_node()
    item = fanout(NOBODY % 1)
    assert await sender.broker.publish([item, direct(sender.id, b"last")]) == [CONFIRMED] * 2
    await eventually(lambda: first.got and second.got and sender.got)
    assert first.got == second.got == [(FANOUT, item.body, item.message_id)]
    assert sender.bodies == [b"last"]


async def test_messages_of_both_ways_keep_their_order(make_node: MakeNode) -> None:
    sender, home = await make_node(), await make_node()
    # Of one frame and of many, since the client splits bodies.
    bodies = [
        NOBODY % number + b" " * (300_000 if number % 40 == 0 else 0) for number in range(200)
    ]
    items = [
        fanout(body) if number % 3 == 0 else direct(home.id, body)
        for number, body in enumerate(bodies)
    ]
    first, second = await asyncio.gather(
        sender.broker.publish(items[:100]), sender.broker.publish(items[100:])
    )
    assert first + second == [CONFIRMED] * 200
    await eventually(lambda: len(home.got) == 200)
    assert [body for body in home.bodies if body in bodies[:100]] == bodies[:100]
    assert [body for body in home.bodies if body in bodies[100:]] == bodies[100:]


async def test_what_is_sent_before_the_last_is_confirmed_keeps_its_order(
    make_node: MakeNode,
) -> None:
    sender, home = await make_node(), await make_node()
    bodies = [NOBODY % number for number in range(60)]
    sent = [
        await sender.broker.send([fanout(body) if number % 2 else direct(home.id, body)])
        for number, body in enumerate(bodies)
    ]
    assert not all(future.done() for future in sent)
    assert await asyncio.gather(*sent) == [[CONFIRMED]] * 60
    await eventually(lambda: len(home.got) == 60)
    assert home.bodies == bodies
    assert await (await sender.broker.send([])) == []


async def test_what_has_no_node_is_returned_and_the_rest_goes(make_node: MakeNode) -> None:
    sender, home = await make_node(), await make_node()
    gone = uuid.uuid4().hex
    items = [direct(gone if number % 2 else home.id, str(number).encode()) for number in range(100)]
    assert await sender.broker.publish(items) == [CONFIRMED, RETURNED] * 50
    await eventually(lambda: len(home.got) == 50)
    assert home.bodies == [str(number).encode() for number in range(0, 100, 2)]


async def test_what_is_sent_to_a_node_that_has_closed_is_returned(make_node: MakeNode) -> None:
    sender, home = await make_node(), await make_node()
    await home.broker.close()
    assert await sender.broker.publish([direct(home.id, b"")]) == [RETURNED]


async def test_a_fanout_message_without_any_other_node_is_confirmed(make_node: MakeNode) -> None:
    sender = await make_node()
    assert await sender.broker.publish([fanout(NOBODY % 1)]) == [CONFIRMED]


async def test_nothing_to_publish_gives_nothing(make_node: MakeNode) -> None:
    sender = await make_node()
    assert await sender.broker.publish([]) == []


async def test_without_a_connection_everything_fails(make_node: MakeNode) -> None:
    sender, home = await make_node(), await make_node()
    await sender.broker.close()
    items = [direct(home.id, b""), fanout(NOBODY % 1)]
    assert await sender.broker.publish(items) == [FAILED, FAILED]
    assert home.got == []

"""What a node does with a message of its queue."""

import asyncio

import msgspec
import pytest

from service import metrics
from service.broker.amqp import DIRECT, FANOUT
from service.broker.envelope import Part, write_envelope
from service.clients.hub import Hub
from service.push.push import PushError
from service.push.receiver import Receiver
from tests.service.cluster_in_memory import received
from tests.service.fake_sockets import FakeSocket


class Node:
    def __init__(self) -> None:
        self.hub = Hub(asyncio.get_running_loop(), lambda _: None)
        self.receiver = Receiver(self.hub)

    def join(self, user: str, *, cluster_form: bool = False) -> FakeSocket:
        socket = FakeSocket(user, cluster_form=cluster_form)
        self.hub.add(socket)
        return socket


@pytest.fixture
async def node() -> Node:
    return Node()


def part(push_id: str, content: bytes, *users: str) -> Part:
    return Part(push_id, users, msgspec.Raw(content))


async def test_a_message_by_fanout_is_read_leniently(node: Node) -> None:
    alice, bob = node.join("alice"), node.join("bob", cluster_form=True)
    deliveries = metrics.DELIVERIES._value.get()
    node.receiver.handle(FANOUT, b'{"content":"1","targetUserList":[{"id":"alice"},null]}', None)
    node.receiver.handle(FANOUT, b'{"content":"2","allUser":true}', "an-id")
    assert await received(alice) == ["1", "2"]
    [text] = await received(bob)
    assert msgspec.json.decode(text)["id"] == "an-id"
    assert metrics.DELIVERIES._value.get() == deliveries + 3


async def test_an_envelope_is_delivered_in_its_order(node: Node) -> None:
    alice, bob = node.join("alice"), node.join("bob")
    parts = [
        part("p1", b'"1"', "alice"),
        part("p2", b'"2"', "bob", "alice"),
        part("p3", b"3", "bob"),
    ]
    deliveries = metrics.DELIVERIES._value.get()
    node.receiver.handle(DIRECT, write_envelope(parts), "message-id")
    assert await received(alice) == ["1", "2"]
    assert await received(bob) == ["2", "3"]
    assert metrics.DELIVERIES._value.get() == deliveries + 4


async def test_users_who_have_left_are_counted(node: Node) -> None:
    node.join("alice")
    before = metrics.GONE._value.get()
    node.receiver.handle(DIRECT, write_envelope([part("p", b"1", "alice", "bob", "carol")]), None)
    assert metrics.GONE._value.get() == before + 2


async def test_an_envelope_disconnects_users_after_their_pushes(node: Node) -> None:
    first, second, bob = node.join("alice"), node.join("alice"), node.join("bob")
    node.receiver.handle(DIRECT, write_envelope([], ["alice", "nobody"]), None)
    assert first.closed == second.closed == [(4403, "disconnected by the API")]
    assert bob.closed == []


@pytest.mark.parametrize(
    ("exchange", "body"),
    [(FANOUT, b"no json"), (FANOUT, b'{"content":1}'), (DIRECT, b"no json"), (DIRECT, b"[]")],
)
async def test_poison_is_told_to_the_consumer(node: Node, exchange: str, body: bytes) -> None:
    with pytest.raises(PushError):
        node.receiver.handle(exchange, body, None)

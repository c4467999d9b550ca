"""What does not arrive is counted, by reason."""

import asyncio

import pytest

from service import metrics
from service.clients.frames import PING, close_frame, text_frame
from service.clients.undelivered import count_closed, count_slow, texts_in
from tests.service.cluster_in_memory import MemoryCluster, MemoryNode, push
from tests.service.fake_sockets import FakeSocket


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 70_000])
def test_texts_of_every_length_are_counted(size: int) -> None:
    one = text_frame(b"x" * size)
    assert texts_in(one) == 1
    assert texts_in(one + PING + one + close_frame(4001, "bye") + one) == 3


def test_nothing_is_no_text() -> None:
    assert texts_in(b"") == texts_in(PING) == 0


def test_each_reason_has_its_counter() -> None:
    closed, slow = metrics.CLOSED._value.get(), metrics.SLOW._value.get()
    count_closed([text_frame(b"1"), text_frame(b"2") * 2])
    count_slow(text_frame(b"1") * 4)
    assert metrics.CLOSED._value.get() == closed + 3
    assert metrics.SLOW._value.get() == slow + 4


def counts() -> dict[str, float]:
    reasons = ("offline", "returned", "gone", "closed", "slow")
    return {reason: metrics.UNDELIVERED.labels(reason)._value.get() for reason in reasons}


async def test_every_target_that_reaches_no_socket_has_a_reason(
    cluster: MemoryCluster, a: MemoryNode, b: MemoryNode
) -> None:
    before = counts()
    dead = await cluster.add("dead")
    await dead.join("ghost")
    await dead.die()
    for node, user in ((a, "left-here"), (b, "left-there")):
        socket = await node.join(user)
        node.hub.remove(socket)
    await a.join("here")
    await a.pusher.push(push("x", "here", "nobody", "nobody-2", "ghost", "left-here", "left-there"))
    after = counts()
    grown = {reason: after[reason] - before[reason] for reason in after}
    assert grown == {"offline": 2, "returned": 1, "gone": 2, "closed": 0, "slow": 0}


async def test_what_waited_for_a_connection_that_closed_is_counted(a: MemoryNode) -> None:
    socket = FakeSocket("alice", is_open=False)
    a.hub.add(socket)
    before = counts()
    for text in ("1", "2"):
        a.receiver.deliver(push(text, "alice"), ("alice",))
    await asyncio.sleep(0)
    a.hub.remove(socket)
    assert counts()["closed"] == before["closed"] + 2
    assert socket.writes == []

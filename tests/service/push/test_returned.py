"""Pushes that came back because their node is gone are followed up, and never silently lost."""

import asyncio
from collections.abc import Sequence

import pytest

from service import metrics
from service.push.answers import Accepted, PushesFailedError
from tests.service.cluster_in_memory import MemoryCluster, MemoryNode, push, received
from tests.service.fake_sockets import FakeSocket
from tests.waiting import eventually

pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.push.returned._PAUSES", (0.001,) * 5)


async def dead(cluster: MemoryCluster, *users: str) -> MemoryNode:
    """Give a node that has died, with its record and its users' entries still there."""
    node = await cluster.add("dead")
    for user in users:
        await node.join(user)
    await node.die()
    return node


def unknown(node: MemoryNode, user: str) -> FakeSocket:
    """Connect a user whom the directory does not know."""
    socket = FakeSocket(user)
    node.hub.add(socket)
    return socket


async def test_a_user_who_is_nowhere_else_is_offline(cluster: MemoryCluster, a: MemoryNode) -> None:
    here = await a.join("x")
    await dead(cluster, "ghost")
    before = metrics.PUSHES_RETRIED._value.get()
    item = push("hi", "nobody", "ghost", "x")
    assert await a.pusher.push(item) == Accepted(item.id, "routed", 3, ("nobody", "ghost"))
    assert await received(here) == ["hi"]
    assert metrics.PUSHES_RETRIED._value.get() > before


async def test_a_user_who_is_at_another_node_too_has_it_once(
    cluster: MemoryCluster, a: MemoryNode, b: MemoryNode
) -> None:
    await dead(cluster, "x", "y")
    sockets = [await a.join("x"), await b.join("x"), await b.join("y")]
    accepted = await a.pusher.push(push("hi", "x", "y"))
    assert accepted.offline == ()
    for socket in sockets:
        assert await received(socket) == ["hi"]


@pytest.mark.parametrize("place", ["a", "b"])
async def test_a_user_is_followed_to_where_they_come_back(
    cluster: MemoryCluster, a: MemoryNode, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.push.returned._PAUSES", (0.02,) * 5)
    await dead(cluster, "walker")
    pushing = asyncio.create_task(a.pusher.push(push("wait for me", "walker")))
    await eventually(lambda: cluster.rabbit.published)
    back = await cluster.nodes[place].join("walker")
    assert (await pushing).offline == ()
    assert await received(back) == ["wait for me"]


async def test_later_pushes_do_not_wait_for_one_that_is_tried_again(
    cluster: MemoryCluster, a: MemoryNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.push.returned._PAUSES", (30.0,))
    here = await a.join("x")
    await dead(cluster, "ghost")
    slow = a.pusher.submit(push("1", "ghost", "x"))
    quick = a.pusher.submit(push("2", "x"))
    await asyncio.wait_for(quick, 1)
    assert not slow.done()
    assert await received(here) == ["1", "2"]


async def test_merged_pushes_that_come_back_are_told_apart(
    cluster: MemoryCluster, a: MemoryNode
) -> None:
    await dead(cluster, "g", "h")
    results = await asyncio.gather(
        *(a.pusher.submit(push(name, *name)) for name in ("g", "gh", "h"))
    )
    assert [result.offline for result in results] == [("g",), ("g", "h"), ("h",)]


async def test_when_nobody_knows_any_more_only_those_without_it_get_it_by_fanout(
    cluster: MemoryCluster, a: MemoryNode, b: MemoryNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.push.returned._PAUSES", (0.02,) * 5)
    await dead(cluster, "both", "ghost")
    reached = await b.join("both")
    pushing = asyncio.create_task(a.pusher.push(push("hi", "both", "ghost")))
    await eventually(lambda: len(cluster.rabbit.published) == 2)
    # The ghost comes back just as Redis goes: not written anywhere.
    back = unknown(b, "ghost")
    cluster.store.away = True
    accepted = await pushing
    assert accepted.offline == ()
    assert await received(back) == ["hi"]
    assert await received(reached) == ["hi"]


async def test_an_unknown_user_here_gets_it_as_well(
    cluster: MemoryCluster, a: MemoryNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.push.returned._PAUSES", (0.02,) * 5)
    await dead(cluster, "ghost")
    pushing = asyncio.create_task(a.pusher.push(push("hi", "ghost")))
    await eventually(lambda: cluster.rabbit.published)
    back = unknown(a, "ghost")
    cluster.store.away = True
    await pushing
    assert await received(back) == ["hi"]


@pytest.mark.parametrize("redis_away", [False, True])
async def test_when_the_broker_goes_meanwhile_it_fails_instead_of_being_called_offline(
    cluster: MemoryCluster,
    a: MemoryNode,
    b: MemoryNode,
    redis_away: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("service.push.returned._PAUSES", (0.02,) * 3)
    await dead(cluster, "walker")
    pushing = asyncio.create_task(a.pusher.push(push("hi", "walker")))
    await eventually(lambda: cluster.rabbit.published)
    await b.join("walker")
    cluster.rabbit.failing = True
    cluster.store.away = redis_away
    with pytest.raises(PushesFailedError, match="did not confirm"):
        await pushing


async def test_a_bug_while_trying_again_fails_the_push(
    cluster: MemoryCluster, a: MemoryNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.push.returned._PAUSES", (0.05,))
    await dead(cluster, "ghost")

    async def broken(users: Sequence[str]) -> list[None]:
        raise KeyError("no such thing")

    pushing = asyncio.create_task(a.pusher.push(push("hi", "ghost")))
    await eventually(lambda: cluster.rabbit.published)
    monkeypatch.setattr(a.directory, "homes", broken)
    with pytest.raises(PushesFailedError, match="no such thing"):
        await asyncio.wait_for(pushing, 2)

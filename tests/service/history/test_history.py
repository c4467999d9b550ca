"""The History at one node, on sockets and a Redis in memory."""

import asyncio
import json
import random
from collections.abc import AsyncIterator

import pytest

from service import metrics
from service.broker.notes import Notes
from service.clients.frames import NO_TAIL
from service.clients.hub import Hub
from service.history.history import History
from service.history.position import read_token
from service.history.settings import HistorySection
from service.history.store import Addition, Item
from tests.service.cluster_in_memory import received
from tests.service.fake_history import FakeHistoryStore
from tests.service.fake_sockets import FakeSocket
from tests.waiting import eventually

SETTINGS = HistorySection()


class Node:
    """A Hub with a History whose tasks run."""

    def __init__(self, store: FakeHistoryStore) -> None:
        self.store = store
        self.hub = Hub(asyncio.get_running_loop(), lambda _: None)
        self.history = History(self.hub, store, lambda: SETTINGS)
        works = (self.history.catch_up.read_heads, self.history.catch_up.fill_gaps)
        self.tasks = [asyncio.create_task(work()) for work in works]

    async def join(self, user: str, *, direct: bool = True) -> FakeSocket:
        socket = FakeSocket(user, cluster_form=True, is_open=False)
        self.hub.add(socket)
        track = self.history.enter(user)
        self.history.catch_up.ask(user)
        await eventually(lambda: track.last is not None or track.blind)
        socket.open, socket.has_direct = True, direct
        self.hub.opened(socket)
        return socket

    async def append(self, content: str, *users: str) -> tuple[str, bytes, tuple[str, ...], Notes]:
        """Keep a push as the node that accepts it does; gives what it tells the others."""
        item = Item(f"id-{content}", b'"%s"' % content.encode())
        streams: tuple[str | None, ...] = users or (None,)
        data_set, positions = await self.store.append(
            [Addition(s, item) for s in streams], SETTINGS
        )
        told = dict(zip(users, positions, strict=True)) if users else positions[0]
        return item.id, item.content, users, Notes(told, data_set=data_set)

    def hear(self, push_id: str, content: bytes, users: tuple[str, ...], notes: Notes) -> int:
        return self.history.deliver(push_id, content, users or None, notes)


@pytest.fixture
async def node() -> AsyncIterator[Node]:
    found = Node(FakeHistoryStore())
    yield found
    for task in found.tasks:
        task.cancel()


async def contents(socket: FakeSocket) -> list[str]:
    return [json.loads(text)["content"] for text in await received(socket)]


async def test_tokens_tell_what_the_socket_has_got_of_both_streams(node: Node) -> None:
    sockets = [await node.join("alice"), await node.join("alice", direct=False)]
    bob = await node.join("bob")
    tracks = node.history.users
    bases: dict[str | None, str] = {user: track.base for user, track in tracks.items()}
    bases[None] = node.history.all.base
    rng = random.Random(7)  # noqa: S311 - to shuffle
    for number in range(60):
        users = rng.choice(((), ("alice",), ("bob",), ("alice", "bob")))
        node.hear(*await node.append(f"{number}", *users))
        if rng.random() < 0.5:
            # What is written in one turn, or in some.
            await asyncio.sleep(0)
    for socket in (*sockets, bob):
        own = iter(node.store.streams[socket.user])
        everyone = iter(node.store.streams[None])
        ids = {item.id for _, item in node.store.streams[None]}
        at_all, at_user = bases[None], bases[socket.user]
        for text in await received(socket):
            frame = json.loads(text)
            if frame["id"] in ids:
                at_all, item = next(everyone)
            else:
                at_user, item = next(own)
            assert item.id == frame["id"]
            assert read_token(frame["token"]) == (node.store.data_set, at_all, at_user)
        assert next(own, None) is next(everyone, None) is None


async def test_what_does_not_come_is_fetched_and_what_comes_twice_is_dropped(node: Node) -> None:
    alice = await node.join("alice")
    told = [await node.append(f"{number}", "alice") for number in range(6)]
    repeats = metrics.HISTORY_REPEATS.collect()[0].samples[0].value
    assert node.hear(*told[0]) == 1
    assert node.hear(*told[0]) == 0
    # 1 is lost, 2 is late, 3 comes at once.
    assert node.hear(*told[3]) == 0
    assert await contents(alice) == ["0"]

    async def came() -> bool:
        return await contents(alice) == ["0", "1", "2", "3", "4", "5"]

    # Redis has two more, which may as well go now.
    await eventually(came)
    for item in told[2:]:
        assert node.hear(*item) == 0
    assert metrics.HISTORY_REPEATS.collect()[0].samples[0].value == repeats + 5
    # What was the last of its stream, and lost, is seen when all are compared.
    await node.append("last", "alice")
    await node.append("to all")
    node.history.catch_up.ask_all()
    await eventually(lambda: _ends_with(alice, {"last", "to all"}))


async def _ends_with(socket: FakeSocket, ends: set[str]) -> bool:
    return set((await contents(socket))[-len(ends) :]) == ends


async def test_without_redis_messages_go_on_and_gaps_close_when_it_is_back(node: Node) -> None:
    alice = await node.join("alice")
    told = [await node.append(f"{number}", "alice") for number in range(4)]
    node.store.away = True
    bob = await node.join("bob")
    node.hear("plain", b'"plain"', ("bob",), Notes("", data_set=node.store.data_set))
    assert await contents(bob) == ["plain"]
    node.hear(*told[0])
    node.hear(*told[2])
    await asyncio.sleep(0.1)
    assert await contents(alice) == ["0"]
    node.store.away = False
    await eventually(lambda: _ends_with(alice, {"2", "3"}))
    assert await contents(alice) == ["0", "1", "2", "3"]
    await eventually(lambda: node.history.users["bob"].last is not None)


async def test_other_data_disturbs_nobody_who_is_connected(node: Node) -> None:
    alice = await node.join("alice")
    node.hear(*await node.append("old", "alice"))
    gap = [await node.append(f"{number}", "alice") for number in range(2)]
    node.hear(*gap[1])
    node.store.lose()
    for number in range(3):
        node.hear(*await node.append(f"new {number}", "alice"))
        await asyncio.sleep(0)
    # At once, though this node has not asked Redis yet; without a token.
    assert (await contents(alice))[-3:] == ["new 0", "new 1", "new 2"]
    await eventually(lambda: node.history.data_set == node.store.data_set)
    await eventually(lambda: node.history.users["alice"].last is not None)
    node.hear(*await node.append("after", "alice"))
    # What was held behind a gap in the lost data came, too.
    got = await contents(alice)
    assert sorted(got) == ["1", "after", "new 0", "new 1", "new 2", "old"]
    token = read_token(json.loads((await received(alice))[-1])["token"])
    assert token is not None
    assert token.data_set == node.store.data_set
    assert token.user == node.store.last["alice"]


async def test_a_message_without_a_position_has_no_token(node: Node) -> None:
    alice = await node.join("alice")
    data_set = node.store.data_set
    odd: tuple[dict[str, str] | str | None, ...] = (None, {}, {"bob": "0"}, "0" * 20)
    for positions in odd:
        count = node.history.deliver("x", b"1", ("alice",), Notes(positions, data_set=data_set))
        assert count == 1
    node.history.deliver("y", b"2", None, Notes({}, data_set=data_set))
    assert [json.loads(text)["token"] for text in await received(alice)] == [None] * 5


async def test_users_who_leave_are_forgotten(node: Node) -> None:
    alice = await node.join("alice")
    alice.held = None  # type: ignore[attr-defined]  # what a Connection has
    node.hub.remove(alice)
    node.history.leave(alice)  # type: ignore[arg-type]  # all it asks
    assert not node.history.users
    again = await node.join("alice")
    assert again.tail != NO_TAIL

"""Nodes of netty-websocket-cluster beside ours."""

import asyncio

import pytest

from service.directory import foreign
from service.directory.foreign import ForeignNodes
from tests.service.fake_servers import FakeStore
from tests.waiting import eventually

JAVA = "websocket:node:websocket_node_0123456789abcdef"
OURS = "websocket:node:fedcba9876543210"


class Looking:
    def __init__(self) -> None:
        self.store = FakeStore()
        self.enabled = True
        self.nodes = ForeignNodes(lambda: self.store, lambda: self.enabled)  # type: ignore[arg-type,return-value]  # held to the real one in tests/contract

    async def look(self) -> None:
        """Have it look at least once more."""
        seen = len(self.store.commands)
        await eventually(lambda: len(self.store.commands) >= seen + 2)


@pytest.fixture
async def looking(monkeypatch: pytest.MonkeyPatch) -> Looking:
    monkeypatch.setattr(foreign, "_INTERVAL", 0.01)
    monkeypatch.setattr(foreign, "_COUNT", 2)
    return Looking()


async def test_java_nodes_are_found_by_their_keys_and_gone_with_them(looking: Looking) -> None:
    task = asyncio.create_task(looking.nodes.watch())
    for number in range(5):
        looking.store.texts[f"websocket:directory:{number}"] = b"{}"
    looking.store.texts[OURS] = b"{}"
    await looking.look()
    assert looking.nodes.queues == ()
    assert not looking.nodes.may_hold_users
    looking.store.texts[JAVA] = b"queue"
    await eventually(lambda: looking.nodes.queues == ("websocket_node_0123456789abcdef",))
    assert looking.nodes.may_hold_users
    del looking.store.texts[JAVA]
    await eventually(lambda: looking.nodes.queues == ())
    assert not looking.nodes.may_hold_users
    task.cancel()


async def test_before_the_first_look_one_may_be_there(looking: Looking) -> None:
    assert looking.nodes.may_hold_users
    looking.enabled = False
    assert not looking.nodes.may_hold_users


async def test_while_redis_is_away_the_last_list_stays(looking: Looking) -> None:
    looking.store.texts[JAVA] = b"queue"
    task = asyncio.create_task(looking.nodes.watch())
    await eventually(lambda: looking.nodes.queues)
    looking.store.away = True
    await looking.look()
    assert looking.nodes.may_hold_users
    assert looking.nodes.queues
    task.cancel()


async def test_after_a_move_the_server_in_use_is_looked_at(looking: Looking) -> None:
    looking.store.texts[JAVA] = b"queue"
    task = asyncio.create_task(looking.nodes.watch())
    await eventually(lambda: looking.nodes.queues)
    left, looking.store = looking.store, FakeStore()
    await eventually(lambda: looking.nodes.queues == ())
    assert JAVA in left.texts
    task.cancel()


async def test_switched_off_nothing_is_looked_for(looking: Looking) -> None:
    looking.store.texts[JAVA] = b"queue"
    task = asyncio.create_task(looking.nodes.watch())
    await eventually(lambda: looking.nodes.queues)
    looking.enabled = False
    assert not looking.nodes.may_hold_users
    await eventually(lambda: looking.nodes.queues == ())
    looking.store.commands.clear()
    timer = asyncio.get_running_loop().time() + 0.05
    await eventually(lambda: asyncio.get_running_loop().time() > timer)
    assert looking.store.commands == []
    # Switched on again, one may be there until it has looked.
    looking.enabled = True
    assert looking.nodes.may_hold_users
    task.cancel()

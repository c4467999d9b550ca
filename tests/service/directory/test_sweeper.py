"""What dead nodes left behind is removed, and nothing else."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from service.directory import sweeper
from service.directory.directory import Directory
from service.directory.sweeper import Sweeper
from tests.service.directory.test_directory import ENTRY, KEYS, TTL, record
from tests.service.fake_servers import FakeStore
from tests.waiting import eventually


class SlowStore(FakeStore):
    """Lets a test step in before one of the commands."""

    def __init__(self) -> None:
        super().__init__()
        self.before: dict[str, Callable[[], Awaitable[object]]] = {}

    async def _command(self, name: str) -> None:
        await super()._command(name)
        if name in self.before:
            await self.before.pop(name)()


class Node:
    """A node's Directory and Sweeper."""

    def __init__(self, store: FakeStore, node: str) -> None:
        self.id = node
        self.directory = Directory(store, KEYS, node, expected=list, lost=lambda: None)  # type: ignore[arg-type]  # held to the real one in tests/contract
        self.discarded: list[str] = []
        self.sweeper = Sweeper(KEYS, lambda: (store, self.directory), self.discard)  # type: ignore[arg-type, return-value]  # the same

    async def discard(self, node: str) -> None:
        self.discarded.append(node)

    async def beat(self) -> None:
        await self.directory.look()
        await self.directory.beat(record(self.id, self.directory.run_id), TTL)
        await self.directory.look()


@pytest.fixture
async def store() -> SlowStore:
    return SlowStore()


@pytest.fixture
async def alive(store: SlowStore, monkeypatch: pytest.MonkeyPatch) -> Node:
    """The node that sweeps."""
    monkeypatch.setattr(sweeper, "_PAUSE", 0)
    monkeypatch.setattr(sweeper, "_COUNT", 3)
    node = Node(store, "alive")
    await node.beat()
    return node


async def dead_node(store: SlowStore, node: str, *users: str) -> Node:
    """Give a node that has died, leaving users."""
    found = Node(store, node)
    await found.beat()
    await found.directory.write_homes(dict.fromkeys(users, ENTRY))
    store.expire(KEYS.node(node))
    return found


USERS = tuple(f"user-{number}" for number in range(10))


async def sweep(node: Node) -> int:
    await node.directory.look()
    return await node.sweeper.sweep_if_due()


async def test_with_nobody_dead_nothing_is_walked_through(store: SlowStore, alive: Node) -> None:
    await alive.directory.write_homes(dict.fromkeys(USERS, ENTRY))
    for _ in range(3):
        assert await sweep(alive) == 0
    assert "scan" not in store.commands


async def test_a_dead_nodes_users_and_name_are_removed_and_nothing_else(
    store: SlowStore, alive: Node
) -> None:
    await dead_node(store, "dead", *USERS)
    await alive.directory.write_homes({USERS[0]: ENTRY, "other": ENTRY})
    # Dead once may be a hiccup; dead twice is swept.
    assert await sweep(alive) == 0
    assert await sweep(alive) == len(USERS)
    assert store.homes(KEYS.user(USERS[0])) == {"alive": {"connections": 1}}
    users = {key for key in store.texts if key.startswith("test:directory:")}
    assert users == {KEYS.user(USERS[0]), KEYS.user("other")}
    assert store.sets[KEYS.nodes] == {"alive"}
    assert alive.discarded == ["dead"]
    # Done is done.
    assert await sweep(alive) == 0
    assert await sweep(alive) == 0
    assert alive.discarded == ["dead"]


async def test_several_dead_nodes_go_in_one_walk(store: SlowStore, alive: Node) -> None:
    await dead_node(store, "one", *USERS)
    await dead_node(store, "two", *USERS[:3])
    await sweep(alive)
    assert await sweep(alive) == len(USERS) + 3
    assert store.sets[KEYS.nodes] == {"alive"}
    assert not any(key.startswith("test:directory:") for key in store.texts)


async def test_a_name_that_is_part_of_another_is_left_alone(store: SlowStore, alive: Node) -> None:
    await dead_node(store, "live", *USERS)
    await alive.directory.write_homes({"x": b'{"attributes":{"alive":"so live"}}'})
    await sweep(alive)
    assert await sweep(alive) == len(USERS)
    assert store.homes(KEYS.user("x")).keys() == {"alive"}


async def test_one_node_sweeps_at_a_time(store: SlowStore, alive: Node) -> None:
    other = Node(store, "other")
    await other.beat()
    await dead_node(store, "dead", *USERS)
    await sweep(alive)
    await sweep(other)
    assert await sweep(alive) == len(USERS)
    await dead_node(store, "dead-2", *USERS)
    await sweep(other)
    # The lock of the last sweep has not ended.
    assert await sweep(other) == 0
    store.expire(KEYS.sweep)
    assert await sweep(other) == len(USERS)


async def test_a_node_that_is_back_by_the_second_look_is_not_swept(
    store: SlowStore, alive: Node
) -> None:
    cut_off = await dead_node(store, "cut-off", *USERS)
    await sweep(alive)
    await cut_off.beat()
    assert await sweep(alive) == 0
    assert store.homes(KEYS.user(USERS[0])).keys() == {"cut-off"}


async def test_a_node_that_comes_back_during_the_sweep_keeps_what_it_writes(
    store: SlowStore, alive: Node
) -> None:
    cut_off = await dead_node(store, "cut-off", *USERS)
    await sweep(alive)

    async def comes_back() -> None:
        # As the heartbeat and the writer do: the record, then every user.
        await cut_off.beat()
        await cut_off.directory.write_homes(dict.fromkeys(USERS, ENTRY))

    async def after_the_first_page() -> None:
        store.before["scan"] = comes_back

    store.before["scan"] = after_the_first_page
    assert await sweep(alive) <= 3
    for user in USERS:
        assert store.homes(KEYS.user(user)).keys() == {"cut-off"}, user
    assert KEYS.node("cut-off") in store.texts
    assert "cut-off" in store.sets[KEYS.nodes]


async def test_while_the_directory_is_not_settled_nobody_is_taken_for_dead(
    store: SlowStore, alive: Node
) -> None:
    await dead_node(store, "dead", *USERS)
    await sweep(alive)
    store.restart()
    await dead_node(store, "dead", *USERS)
    assert await sweep(alive) == 0
    assert await sweep(alive) == 0


async def test_it_goes_on_by_itself_whatever_redis_does(
    store: SlowStore, alive: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeper, "_INTERVAL", 0.01)
    monkeypatch.setattr("service.directory.settling.HOLD", 0.0)
    await dead_node(store, "dead", *USERS)
    await alive.directory.look()
    task = asyncio.create_task(alive.sweeper.watch())
    store.away = True
    store.commands.clear()
    await eventually(lambda: len(store.commands) >= 2)
    store.away = False
    await eventually(lambda: store.sets[KEYS.nodes] == {"alive"})
    assert not task.done()
    task.cancel()


async def test_after_a_move_the_server_in_use_is_swept(store: SlowStore, alive: Node) -> None:
    await dead_node(store, "dead", *USERS)
    await sweep(alive)
    new = SlowStore()
    moved = Node(new, "alive")
    await moved.beat()
    alive.sweeper._in_use = lambda: (new, moved.directory)  # type: ignore[assignment,return-value]  # held to the real one in tests/contract
    await dead_node(new, "dead", *USERS[:2])
    await moved.directory.look()
    # Suspected before, and dead here, too.
    assert await alive.sweeper.sweep_if_due() == 2
    assert new.sets[KEYS.nodes] == {"alive"}
    assert store.sets[KEYS.nodes] == {"alive", "dead"}

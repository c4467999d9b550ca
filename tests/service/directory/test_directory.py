"""The Directory: who is where, and when that may be believed."""

import asyncio
import json
from collections.abc import Collection
from datetime import timedelta
from typing import Any

import pytest

from service.directory.directory import Directory, Keys
from service.directory.node_record import NodeRecord, write_record
from service.directory.redis_store import StoreError
from tests.service.fake_servers import FakeStore

KEYS = Keys("test:")
TTL = timedelta(seconds=15)
ENTRY = b'{"connections":1}'


class Node:
    """A node's Directory, its record, and how often it was told that its entries are lost."""

    def __init__(self, store: FakeStore, node: str, expected: Collection[str] | None) -> None:
        self.id = node
        self.expected = expected
        self.lost = 0
        self.directory = Directory(
            store,  # type: ignore[arg-type]  # held to the real one in tests/contract
            KEYS,
            node,
            expected=lambda: self.expected,
            lost=self.note_loss,
        )

    def note_loss(self) -> None:
        self.lost += 1

    def record(self) -> NodeRecord:
        return record(self.id, self.directory.run_id)

    async def live(self) -> None:
        """Look and beat, as the heartbeat does."""
        await self.directory.look()
        await self.directory.beat(self.record(), TTL)
        await self.directory.look()

    async def holds(self, *users: str) -> None:
        await self.directory.write_homes(dict.fromkeys(users, ENTRY))


def record(node: str, run_id: str) -> NodeRecord:
    return NodeRecord(node, "192.0.2.1:1", "", 0, 0, 0, 0, "routed", "", "", run_id)


@pytest.fixture
async def store() -> FakeStore:
    return FakeStore()


@pytest.fixture
async def pair(store: FakeStore) -> tuple[Node, Node]:
    """Two nodes that know of each other."""
    nodes = Node(store, "a", ["a", "b"]), Node(store, "b", ["a", "b"])
    for node in (*nodes, *nodes):
        await node.live()
    assert all(node.directory.settled for node in nodes)
    return nodes


@pytest.fixture
def no_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.directory.settling.HOLD", 0.0)


async def test_homes_are_where_users_are(pair: tuple[Node, Node]) -> None:
    a, b = pair
    await a.holds("x", "y")
    await b.holds("y", "z")
    for node in pair:
        assert await node.directory.homes(["z", "nobody", "y", "x"]) == [
            frozenset({"b"}),
            frozenset(),
            frozenset({"a", "b"}),
            frozenset({"a"}),
        ]
    await a.directory.write_homes({"y": b""})
    assert await b.directory.homes(["y"]) == [frozenset({"b"})]
    assert await b.directory.homes([]) == []


async def test_homes_of_many_users_are_one_command(
    pair: tuple[Node, Node], store: FakeStore
) -> None:
    await pair[1].holds(*map(str, range(500)))
    store.commands.clear()
    await pair[0].directory.homes(list(map(str, range(500))))
    assert store.commands == ["get_many"]


async def test_a_user_is_described_by_each_node_that_holds_them(pair: tuple[Node, Node]) -> None:
    a, b = pair
    await a.directory.write_homes({"x": b'{"connections":2,"since":1.5}'})
    await b.holds("x")
    assert await b.directory.user("x") == {
        "a": {"connections": 2, "since": 1.5},
        "b": {"connections": 1},
    }
    assert await b.directory.user("nobody") == {}


async def test_users_are_walked_through(pair: tuple[Node, Node]) -> None:
    a, b = pair
    await a.holds(*(f"u{number}" for number in range(7)))
    await b.holds("u0", "v")
    found: dict[str, Any] = {}
    cursor, pages = 0, 0
    while cursor or not pages:
        cursor, entries = await a.directory.users(cursor, 3)
        found.update(entries)
        pages += 1
    assert found.keys() == {f"u{number}" for number in range(7)} | {"v"}
    assert found["u0"].keys() == {"a", "b"}
    assert pages > 1


async def test_entries_count_only_while_the_nodes_record_lives(
    pair: tuple[Node, Node], store: FakeStore
) -> None:
    a, b = pair
    await b.holds("x", "y")
    await a.holds("y")
    store.expire(KEYS.node("b"))
    a.expected = ["a"]
    await a.directory.look()
    assert list(a.directory.alive) == ["a"]
    assert await a.directory.homes(["x", "y"]) == [frozenset(), frozenset({"a"})]
    assert await a.directory.user("x") == {}
    assert (await a.directory.users(0, 100))[1].keys() == {"y"}


async def test_a_node_that_has_just_started_is_known_by_its_first_user(
    pair: tuple[Node, Node], store: FakeStore
) -> None:
    late = Node(store, "c", None)
    await late.live()
    await late.holds("x")
    a, b = pair
    assert "c" not in a.directory.alive
    assert await a.directory.homes(["x"]) == [frozenset({"c"})]
    assert (await b.directory.user("x")).keys() == {"c"}


async def test_before_the_first_look_nothing_is_known(store: FakeStore) -> None:
    node = Node(store, "a", ["a"])
    assert not node.directory.up
    assert await node.directory.homes(["x"]) == [None]
    assert store.commands == []


async def test_unknown_is_not_offline_while_a_node_has_not_written(store: FakeStore) -> None:
    a = Node(store, "a", ["a", "b"])
    await a.live()
    assert a.directory.up
    assert not a.directory.settled
    assert await a.directory.homes(["x", "y"]) == [None, None]
    b = Node(store, "b", ["a", "b"])
    await b.live()
    await b.live()
    await a.directory.look()
    assert await a.directory.homes(["x"]) == [frozenset()]


async def test_while_redis_is_away_everything_is_unknown(
    pair: tuple[Node, Node], store: FakeStore
) -> None:
    a, _ = pair
    store.away = True
    assert await a.directory.homes(["x", "y"]) == [None, None]
    assert not a.directory.up
    for call in (
        a.directory.look(),
        a.directory.beat(a.record(), TTL),
        a.directory.write_homes({"x": b""}),
        a.directory.user("x"),
        a.directory.users(0, 10),
        a.directory.forget(),
    ):
        with pytest.raises(StoreError):
            await call
    # Nobody asks again before the heartbeat has seen it back.
    store.commands.clear()
    assert await a.directory.homes(["x"]) == [None]
    assert store.commands == []
    # Back, but what others could not write during it may be missing.
    store.away = False
    await a.live()
    assert a.directory.up
    assert await a.directory.homes(["x"]) == [None]
    assert a.lost == 1


async def test_another_server_has_everything_written_again(
    pair: tuple[Node, Node], store: FakeStore
) -> None:
    a, _ = pair
    assert a.lost == 1
    store.restart()
    await a.directory.look()
    assert a.lost == 2
    assert a.directory.run_id == store.run_id
    assert await a.directory.homes(["x"]) == [None]
    await a.live()
    assert a.lost == 2


@pytest.mark.usefixtures("no_hold")
async def test_another_server_is_believed_as_soon_as_all_have_written_to_it(
    pair: tuple[Node, Node], store: FakeStore
) -> None:
    a, b = pair
    store.restart()
    await a.directory.look()
    # A push between the look and the beat takes the missing record for no loss of data.
    assert await a.directory.homes(["x"]) == [None]
    await a.live()
    assert await a.directory.homes(["x"]) == [None]
    await b.live()
    await a.live()
    assert await a.directory.homes(["x"]) == [frozenset()]


@pytest.mark.usefixtures("no_hold")
async def test_data_lost_by_a_running_server_is_doubted_although_records_are_back(
    pair: tuple[Node, Node], store: FakeStore
) -> None:
    a, b = pair
    store.lose()
    await a.live()
    await b.live()
    await a.live()
    assert await a.directory.homes(["x"]) == [None]


async def test_data_lost_by_a_running_server_is_noticed_by_the_beat(
    pair: tuple[Node, Node], store: FakeStore
) -> None:
    a, _ = pair
    store.lose()
    await a.live()
    assert a.lost == 2
    assert await a.directory.homes(["x"]) == [None]


async def test_data_lost_by_a_running_server_is_noticed_by_a_push(
    pair: tuple[Node, Node], store: FakeStore
) -> None:
    a, _ = pair
    store.lose()
    assert await a.directory.homes(["x"]) == [None]
    assert not a.directory.settled


@pytest.mark.parametrize("text", [b"", b"nonsense", b"[]", b"1", b'{"\xff":1}', b"[" * 100_000])
async def test_an_entry_that_cannot_be_read_is_nobodys(
    pair: tuple[Node, Node], store: FakeStore, text: bytes
) -> None:
    store.texts[KEYS.user("x")] = text
    a, _ = pair
    assert await a.directory.homes(["x"]) == [frozenset()]
    assert await a.directory.user("x") == {}
    assert (await a.directory.users(0, 100))[1] == {}


@pytest.mark.parametrize("text", [b"", b"nonsense", b"\xff", b"{}", b"[" * 100_000])
async def test_a_record_that_cannot_be_read_is_of_no_living_node(
    pair: tuple[Node, Node], store: FakeStore, text: bytes
) -> None:
    a, _ = pair
    store.texts[KEYS.node("b")] = text
    await a.directory.look()
    assert list(a.directory.alive) == ["a"]


async def test_a_node_that_ends_leaves_no_record(pair: tuple[Node, Node], store: FakeStore) -> None:
    a, b = pair
    await b.directory.forget()
    assert KEYS.node("b") not in store.texts
    assert store.sets[KEYS.nodes] == {"a"}
    await a.directory.look()
    assert list(a.directory.alive) == ["a"]


async def test_the_names_in_redis(store: FakeStore) -> None:
    node = Node(store, "n1", ["n1"])
    await node.live()
    await node.holds("alice@x:1")
    prefix = Keys("websocket:")
    assert prefix.node("n1") == "websocket:node:n1"
    assert prefix.nodes == "websocket:nodes"
    assert prefix.user("alice") == "websocket:directory:alice"
    assert prefix.user_of("websocket:directory:a:directory:b") == "a:directory:b"
    assert json.loads(store.texts["test:directory:alice@x:1"]) == {"n1": {"connections": 1}}
    assert store.texts["test:node:n1"] == write_record(node.record())


async def test_beats_at_once_do_not_confuse_it(pair: tuple[Node, Node]) -> None:
    a, _ = pair
    await asyncio.gather(*(a.live() for _ in range(5)))
    assert a.lost == 1
    assert a.directory.settled

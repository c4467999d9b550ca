"""A node moves to another Redis: nobody is missed, whoever learns of the move when."""

import asyncio
import copy
from collections.abc import AsyncIterator
from typing import Any

import pytest

from service.directory import directory_writer, heartbeat, redis_side, settling
from service.directory.node_record import NodeRecord, read_record
from service.directory.redis_side import RedisSide
from service.moving import handover, mover
from tests.service.fake_servers import FakeStore
from tests.service.moving_nodes import KEYS, NEW, OLD, MovingNode, MovingNodes
from tests.waiting import eventually


@pytest.fixture
async def house(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[MovingNodes]:
    monkeypatch.setattr(heartbeat, "_LOOK_INTERVAL", 0.01)
    monkeypatch.setattr(redis_side, "_PAUSE", 0.02)
    monkeypatch.setattr(directory_writer, "_PAUSE", 0.02)
    monkeypatch.setattr(mover, "_TICK", 0.005)
    monkeypatch.setattr(mover, "_REST", 0.02)
    monkeypatch.setattr(handover, "HOLD", 0.1)
    monkeypatch.setattr(settling, "HOLD", 0.0)
    house = MovingNodes()
    yield house
    await house.close()


@pytest.fixture
async def node(house: MovingNodes) -> MovingNode:
    [node] = await house.add("a")
    return node


@pytest.fixture
async def pair(house: MovingNodes) -> tuple[MovingNode, MovingNode]:
    a, b = await house.add("a", "b")
    return a, b


def old(house: MovingNodes) -> FakeStore:
    return house.stores[OLD]


def new(house: MovingNodes) -> FakeStore:
    return house.stores[NEW]


def unused(node: MovingNode) -> list[RedisSide]:
    sides = node.directories.mover.sides.values()
    return [side for side in sides if side is not node.directories.side]


async def test_a_node_takes_its_users_along_and_leaves_nothing_behind(
    house: MovingNodes, node: MovingNode
) -> None:
    for user in ("x", "y"):
        await node.enter(user)
    node.move(NEW)
    await eventually(lambda: node.moved)
    assert node.reads == "r:2/0"
    assert await node.directories.homes(["x", "y", "z"]) == [{"a"}, {"a"}, frozenset()]
    await eventually(lambda: house.left_at(OLD) == [])
    assert read_record(new(house).texts[KEYS.node("a")]).run_id == new(house).run_id  # type: ignore[union-attr]  # it is there


async def test_nobody_is_missed_though_the_nodes_move_one_after_the_other(
    house: MovingNodes, pair: tuple[MovingNode, MovingNode]
) -> None:
    a, b = pair
    for number in range(5):
        await a.enter(f"a{number}")
        await b.enter(f"b{number}")
    missed: list[object] = []
    offline: list[object] = []
    moving = True

    async def ask() -> None:
        # Users come and go all the while; whoever is in is found by either node.
        count = 0
        while moving:
            count += 1
            socket = await (a, b)[count % 2].enter(f"guest{count}")
            known = [*a.hub.users, *b.hub.users]
            for asking in pair:
                found = await asking.directories.homes(known)
                missed.extend(u for u, homes in zip(known, found, strict=True) if homes == set())
                offline.extend([u for u in known if not await asking.directories.user(u)])
            (a, b)[count % 2].hub.remove(socket)

    asking = asyncio.create_task(ask())
    a.move(NEW)
    await eventually(lambda: "r:2/0" in a.directories.standing.keeps)
    # What it waits for, for whoever looks at its health.
    assert a.directories.details["movingTo"] == "r:2/0"
    assert a.directories.details["waitingFor"] == ["b"]
    assert a.reads == b.reads == "r:1/0"
    b.move(NEW)
    for node in pair:
        await eventually(lambda node=node: node.moved)
        assert node.reads == "r:2/0"
    moving = False
    await asking
    assert missed == offline == []
    await eventually(lambda: house.left_at(OLD) == [])
    a.move(OLD)
    b.move(OLD)
    for node in pair:
        await eventually(lambda node=node: node.moved)
    await eventually(lambda: house.left_at(NEW) == [])
    assert await a.directories.homes(["b0"]) == [{"b"}]


async def test_a_client_waits_for_every_server_where_a_node_may_look(
    house: MovingNodes, pair: tuple[MovingNode, MovingNode]
) -> None:
    a, _ = pair
    a.move(NEW)
    await eventually(lambda: "r:2/0" in a.directories.standing.keeps)
    for port, other in ((OLD, NEW), (NEW, OLD)):
        user = f"user{port}"
        house.stores[port].gate.clear()
        a.join(user)
        await eventually(lambda: house.stores[other].homes(KEYS.user(user)))  # noqa: B023 - at once
        assert user not in a.started
        house.stores[port].gate.set()
        await eventually(lambda: user in a.started)  # noqa: B023 - at once
        assert house.stores[port].homes(KEYS.user(user))


async def test_a_client_does_not_wait_for_a_server_that_is_away_or_not_written_yet(
    house: MovingNodes, node: MovingNode
) -> None:
    await node.enter("x")
    new(house).away = True
    node.move(NEW)
    await eventually(lambda: "error" in node.directories.details)
    await node.enter("y")
    # It answers, but the users who were there before take their time.
    new(house).away = False
    asked, writing = asyncio.Event(), asyncio.Event()
    original = new(house).set_homes

    async def slow(*arguments: object) -> None:
        asked.set()
        await writing.wait()
        await original(*arguments)  # type: ignore[arg-type]

    new(house).set_homes = slow  # type: ignore[method-assign,assignment]
    await asyncio.wait_for(asked.wait(), 5)
    await node.enter("z")
    assert node.reads == "r:1/0"
    writing.set()
    await eventually(lambda: node.moved)
    assert await node.directories.homes(["x", "y", "z"]) == [{"a"}] * 3


async def test_a_server_that_cannot_be_reached_is_explained_once_and_tried_again(
    house: MovingNodes, node: MovingNode, caplog: pytest.LogCaptureFixture
) -> None:
    await node.enter("x")
    new(house).away = True
    node.move(NEW)
    await eventually(lambda: new(house).commands.count("connect") > 3)
    warnings = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == 1
    assert "r:2" in warnings[0]
    assert "spring.data.redis.host" in warnings[0]
    assert node.directories.details["movingTo"] == "r:2/0"
    assert "r:2" in str(node.directories.details["error"])
    # Everything stays as it was.
    assert node.directories.up
    assert node.directories.settled
    assert await node.directories.homes(["x"]) == [{"a"}]
    # An edit back heals.
    node.move(OLD)
    await eventually(lambda: node.moved)
    assert node.directories.details == {"address": "r:1/0", "directorySettled": True}
    # And so does the server itself.
    node.move(NEW)
    await eventually(lambda: "error" in node.directories.details)
    new(house).away = False
    await eventually(lambda: node.moved and node.reads == "r:2/0")


async def test_another_account_at_the_same_server_is_taken_at_once_and_removes_nothing(
    house: MovingNodes, pair: tuple[MovingNode, MovingNode]
) -> None:
    a, b = pair
    await a.enter("x")
    before = a.directories.side
    told: list[NodeRecord | None] = []
    original = old(house).beat

    async def beat(key: str, record: bytes, *arguments: Any) -> tuple[bool, str]:
        told.append(read_record(record))
        assert KEYS.user("x") in old(house).texts
        return await original(key, record, *arguments)

    writes = old(house).set_homes

    async def slow(*arguments: Any) -> None:
        # The new side takes its time to write everybody again.
        await asyncio.sleep(0.1)
        await writes(*arguments)

    old(house).set_homes = slow  # type: ignore[method-assign]
    old(house).beat = beat  # type: ignore[method-assign,assignment]
    a.move(OLD, password="other")
    # B has not heard of it, and does not have to.
    await eventually(lambda: a.moved and a.directories.side is not before)
    # Nobody was told for a moment that a's users are not there.
    assert {record.run_id for record in told if record} == {old(house).run_id}
    assert await b.directories.homes(["x"]) == [{"a"}]


async def test_what_a_broken_off_write_may_have_overwritten_is_written_again(
    house: MovingNodes, node: MovingNode
) -> None:
    await node.enter("x")
    # The same data by another account, which works while the first one hangs.
    other = house.special[0, "other"] = copy.copy(old(house))
    other.commands = []
    old(house).gate = asyncio.Event()
    node.join("y")
    node.move(OLD, username="other")
    await eventually(lambda: node.moved)
    # Nobody waits for the side that is gone, as it is a few turns of the loop after the move.
    await eventually(lambda: node.started == ["x", "y"], limit=1)
    await eventually(lambda: not node.directories.side.writer.unwritten)
    # Everything, and then once more what may still be under way.
    assert other.commands.count("set_homes") == 2
    assert set(other.texts) == {KEYS.user("x"), KEYS.user("y"), KEYS.node("a")}


async def test_an_account_that_is_given_up_before_it_works_takes_nothing_away(
    house: MovingNodes, node: MovingNode
) -> None:
    await node.enter("x")
    other = house.special[0, "other"] = copy.copy(old(house))
    other.commands = []

    closed = asyncio.Event()

    async def hang(*_: object) -> None:
        other.set_homes = old(house).set_homes  # type: ignore[method-assign]
        await asyncio.Event().wait()

    async def close() -> None:
        closed.set()

    other.set_homes = hang  # type: ignore[method-assign]
    other.close = close  # type: ignore[method-assign]
    node.move(OLD, username="other")
    await eventually(lambda: any(side.directory.up for side in unused(node)))
    node.move(OLD)
    await asyncio.wait_for(closed.wait(), 5)
    assert node.moved
    assert "forget" not in other.commands
    assert set(other.texts) == {KEYS.user("x"), KEYS.node("a")}


async def test_another_database_is_another_server(house: MovingNodes, node: MovingNode) -> None:
    # One server, and hence one run id, with two databases.
    database = house.special[1, ""] = FakeStore()
    database.run_id = old(house).run_id
    await node.enter("x")
    node.move(OLD, database=1)
    await eventually(lambda: node.moved)
    assert node.reads == "r:1/1"
    await eventually(lambda: house.left_at(OLD) == [])
    assert await node.directories.homes(["x"]) == [{"a"}]


async def test_after_the_limit_a_node_that_stays_behind_takes_nobody_for_offline(
    house: MovingNodes, pair: tuple[MovingNode, MovingNode]
) -> None:
    a, b = pair
    await a.enter("x")
    await b.enter("y")
    a.move(NEW, limit="200ms")
    answers: set[object] = set()
    while not a.moved:
        answers.update(await a.directories.homes(["y"]))
        answers.update(await b.directories.homes(["x"]))
        await asyncio.sleep(0)
    assert a.reads == "r:2/0"
    assert b.reads == "r:1/0"
    # Found, and then not known; never offline.
    assert answers == {frozenset({"a"}), frozenset({"b"}), None}
    for asking, user in ((a, "y"), (b, "x")):
        assert await asking.directories.homes([user]) == [None]


async def test_without_nacos_a_node_that_stays_behind_is_known_by_its_record(
    house: MovingNodes, pair: tuple[MovingNode, MovingNode]
) -> None:
    a, b = pair
    await b.enter("y")
    house.expected = None
    a.move(NEW, limit="100ms")
    await eventually(lambda: a.reads == "r:2/0")
    assert len(a.directories.mover.sides) == 2
    # However long ago the last doubt was.
    a.directories.side.directory._ttl = 0.0
    assert await a.directories.homes(["y"]) == [None]
    assert await b.directories.homes(["y"]) == [{"b"}]


async def test_what_was_left_behind_in_haste_does_not_come_to_life_again(
    house: MovingNodes, node: MovingNode
) -> None:
    gone = await node.enter("gone")
    await node.enter("stays")
    old(house).away = True
    node.move(NEW)
    await eventually(lambda: node.moved)
    node.hub.remove(gone)
    await eventually(lambda: KEYS.user("gone") not in new(house).texts)
    # The old server is back, with all that it had.
    old(house).away = False
    assert KEYS.user("gone") in old(house).texts
    node.move(OLD)
    await eventually(lambda: node.moved and node.reads == "r:1/0")
    assert await node.directories.user("gone") == {}
    assert (await node.directories.user("stays")).keys() == {"a"}


async def test_a_walk_through_the_users_ends_where_it_began(
    house: MovingNodes, pair: tuple[MovingNode, MovingNode]
) -> None:
    a, b = pair
    users = {f"u{number}" for number in range(40)}
    for user in sorted(users):
        a.join(user)
    await eventually(lambda: len(a.started) == 40)
    cursor, page = await a.directories.users(0, 5)
    a.move(NEW)
    b.move(NEW)
    await eventually(lambda: a.reads == b.reads == "r:2/0" and len(a.directories.mover.sides) == 2)
    found = set(page)
    # In turns by either node, as through the gateway.
    for asking in (b, a, b):
        cursor, page = await asking.directories.users(cursor, 5)
        assert not found & page.keys()
        found.update(page)
    await eventually(lambda: a.moved and b.moved)
    # From the start again, where the server was left; nobody is missed.
    while cursor:
        cursor, page = await a.directories.users(cursor, 5)
        found.update(page)
    assert found == users


async def test_a_new_cron_is_in_force_at_every_side(
    house: MovingNodes, pair: tuple[MovingNode, MovingNode]
) -> None:
    a, _ = pair
    a.move(NEW)
    await eventually(lambda: "r:2/0" in a.directories.standing.keeps)
    for store in house.stores.values():
        store.commands.clear()
    changed = a.live.current.model_dump(by_alias=True)
    changed["websocket"]["node"] = {"heartbeat-cron": "*/2 * * * * *", "ttl": "44s"}
    a.live.swap(type(a.live.current).model_validate(changed))
    now = asyncio.get_running_loop().time
    for store in house.stores.values():
        await eventually(lambda store=store: store.expiry[KEYS.node("a")] - now() > 40)


async def test_at_the_end_nothing_is_left_at_any_side(
    house: MovingNodes, pair: tuple[MovingNode, MovingNode]
) -> None:
    a, b = pair
    await a.enter("x")
    a.move(NEW)
    await eventually(lambda: "r:2/0" in a.directories.standing.keeps)
    await a.directories.forget()
    assert house.left_at(NEW) == []
    assert set(house.left_at(OLD)) == {KEYS.node("b"), "b"}
    await house.stop(a)
    assert house.left_at(NEW) == []
    assert set(house.left_at(OLD)) == {KEYS.node("b"), "b"}
    assert b.directories.up

"""What the Directory relies on in a store, on a real Redis and on the fake that stands for it."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Awaitable
from datetime import timedelta

import pytest

from devtools.ports import free_port
from devtools.servers import Servers
from nacos_boot.start.startup import StartError
from service.directory.directory import Keys
from service.directory.redis_store import RedisStore, StoreError
from service.settings_servers import RedisSection
from tests.service.fake_servers import FakeStore
from tests.waiting import eventually

LONG = timedelta(seconds=30)
SHORT = timedelta(milliseconds=150)


@pytest.fixture(params=["fake", "redis"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[RedisStore]:
    if request.param == "fake":
        yield FakeStore()  # type: ignore[misc]  # what this file is about
        return
    servers: Servers = request.getfixturevalue("servers")
    real = RedisStore(RedisSection(port=servers.ports.redis))
    await real.connect()
    yield real
    await real.close()


@pytest.fixture
def keys() -> Keys:
    return Keys(f"test-{uuid.uuid4().hex}:")


async def homes(store: RedisStore, key: str) -> dict[str, object] | None:
    [text] = await store.get_many([key])
    return None if text is None else dict(json.loads(text))


async def test_absent_keys_are_none_in_their_places(store: RedisStore, keys: Keys) -> None:
    await store.set_homes("a", {keys.user("x"): b"1", keys.user("y"): b"2"})
    wanted = [keys.user("none"), keys.user("y"), keys.user("none"), keys.user("x")]
    assert await store.get_many(wanted) == [None, b'{"a":2}', None, b'{"a":1}']


async def test_a_node_writes_its_own_member_only(store: RedisStore, keys: Keys) -> None:
    key = keys.user("x")
    await store.set_homes("a", {key: b'{"connections":1}'})
    await store.set_homes("b", {key: b'{"connections":2}'})
    await store.set_homes("a", {key: b'{"connections":3}'})
    assert await homes(store, key) == {"a": {"connections": 3}, "b": {"connections": 2}}
    await store.set_homes("a", {key: b""})
    assert await homes(store, key) == {"b": {"connections": 2}}
    await store.set_homes("a", {key: b""})
    assert await homes(store, key) == {"b": {"connections": 2}}


async def test_two_nodes_writing_at_once_do_not_clobber_each_other(
    store: RedisStore, keys: Keys
) -> None:
    users = [keys.user(f"u{number}") for number in range(300)]
    await asyncio.gather(
        *(store.set_homes(node, dict.fromkeys(users, b"1")) for node in ("a", "b", "c")),
        *(store.set_homes("a", {user: b"2"}) for user in users[:30]),
    )
    for user in users:
        found = await homes(store, user)
        assert found is not None
        assert found.keys() == {"a", "b", "c"}


async def test_who_has_too_many_connections_is_named(store: RedisStore, keys: Keys) -> None:
    few, many, odd = keys.user("few"), keys.user("many"), keys.user("odd")
    two, one = b'{"connections":2}', b'{"connections":1}'
    assert await store.set_homes("a", {few: one, many: two, odd: b"1"}, 2) == {}
    assert await store.set_homes("b", {few: one, many: one, odd: two}, 0) == {}
    over = await store.set_homes("b", {few: one, many: one, odd: two}, 2)
    assert {key: json.loads(text) for key, text in over.items()} == {
        many: {"a": {"connections": 2}, "b": {"connections": 1}}
    }
    assert await store.set_homes("b", {few: one, many: b"", odd: two}, 2) == {}
    # More than go in one call.
    users = [keys.user(f"u{number}") for number in range(250)]
    await store.set_homes("a", dict.fromkeys(users, one), 1)
    wanted = {users[0], users[99], users[100], users[249]}
    entries = {user: one if user in wanted else b"" for user in users}
    assert (await store.set_homes("b", entries, 1)).keys() == wanted


async def test_a_key_goes_with_its_last_member(store: RedisStore, keys: Keys) -> None:
    key = keys.user("x")
    await store.set_homes("a", {key: b"1"})
    await store.set_homes("a", {key: b""})
    assert await store.get_many([key]) == [None]
    assert await store.scan(0, keys.all_users, 10_000_000) == (0, [])


async def test_an_entry_comes_back_as_it_was_written(store: RedisStore, keys: Keys) -> None:
    entry = {
        "connections": 2,
        "since": 1_712_345_678.123,
        "addresses": ["192.0.2.1", "2001:db8::1"],
        "attributes": {'"quoted"/': "ü😀\\\n\u0000", "1": "2", "": "", "a.b[0]": "{}"},
    }
    key = keys.user("a@b.c:1+2~3-4")
    await store.set_homes("a", {key: json.dumps(entry).encode()})
    # Written by another node, it goes through the server's own JSON once more.
    await store.set_homes("b", {key: b"{}"})
    found = await homes(store, key)
    assert found is not None
    assert found["a"] == entry


async def test_a_beat_tells_whether_the_record_was_there(store: RedisStore, keys: Keys) -> None:
    record = keys.node("a")
    known, run_id = await store.beat(record, b"one", SHORT, keys.nodes, "a")
    assert not known
    assert await store.get_many([record]) == [b"one"]
    known, again = await store.beat(record, b"two", SHORT, keys.nodes, "a")
    assert known
    assert again == run_id != ""
    assert await store.get_many([record]) == [b"two"]

    async def expired() -> bool:
        return await store.get_many([record]) == [None]

    await eventually(expired, limit=2)
    known, _ = await store.beat(record, b"three", LONG, keys.nodes, "a")
    assert not known


async def test_a_beat_prolongs_the_life_of_the_record(store: RedisStore, keys: Keys) -> None:
    await store.beat(keys.node("a"), b"", SHORT, keys.nodes, "a")
    await store.beat(keys.node("b"), b"", SHORT, keys.nodes, "b")
    await store.beat(keys.node("a"), b"", LONG, keys.nodes, "a")

    async def only_b_expired() -> bool:
        return await store.get_many([keys.node("a"), keys.node("b")]) == [b"", None]

    await eventually(only_b_expired, limit=2)


async def test_the_index_holds_names_until_they_are_forgotten(
    store: RedisStore, keys: Keys
) -> None:
    assert (await store.members(keys.nodes))[0] == set()
    _, run_id = await store.beat(keys.node("a"), b"", LONG, keys.nodes, "a")
    await store.beat(keys.node("b"), b"", LONG, keys.nodes, "b")
    assert await store.members(keys.nodes) == ({"a", "b"}, run_id)
    await store.forget(keys.node("a"), keys.nodes, "a")
    assert await store.members(keys.nodes) == ({"b"}, run_id)
    assert await store.get_many([keys.node("a"), keys.node("b")]) == [None, b""]
    await store.forget(keys.node("a"), keys.nodes, "a")


async def test_a_lock_is_taken_once_until_it_ends(store: RedisStore, keys: Keys) -> None:
    assert await store.claim(keys.sweep, SHORT)
    assert not await store.claim(keys.sweep, LONG)

    async def free() -> bool:
        return await store.claim(keys.sweep, LONG)

    await eventually(free, limit=2)
    assert not await store.claim(keys.sweep, SHORT)


async def test_a_scan_finds_every_key_of_the_pattern_and_ends(
    store: RedisStore, keys: Keys
) -> None:
    wanted = {keys.user(f"user-{number}") for number in range(200)}
    await store.set_homes("a", dict.fromkeys(wanted, b"1"))
    await store.beat(keys.node("a"), b"", LONG, keys.nodes, "a")
    found: set[str] = set()
    cursor, pages = 0, 0
    while True:
        cursor, page = await store.scan(cursor, keys.all_users, 50)
        found.update(page)
        pages += 1
        if cursor == 0:
            break
    assert found == wanted
    assert pages > 1


async def test_a_scan_finds_every_key_that_stays_while_others_go(
    store: RedisStore, keys: Keys
) -> None:
    wanted = {keys.user(f"user-{number}") for number in range(200)}
    await store.set_homes("a", dict.fromkeys(wanted, b"1"))
    found: set[str] = set()
    cursor = 0
    while True:
        cursor, page = await store.scan(cursor, keys.all_users, 20)
        found.update(page)
        if page:
            await store.set_homes("a", dict.fromkeys(page, b""))
        if cursor == 0:
            break
    assert found == wanted
    assert await store.get_many(sorted(wanted)) == [None] * 200


@pytest.fixture(params=["fake", "redis"])
async def away(request: pytest.FixtureRequest) -> AsyncIterator[RedisStore]:
    if request.param == "fake":
        fake = FakeStore()
        fake.away = True
        yield fake  # type: ignore[misc]  # what this file is about
        return
    real = RedisStore(RedisSection(port=free_port()))
    yield real
    await real.close()


async def test_a_server_that_is_away_is_a_store_error_that_names_it(away: RedisStore) -> None:
    calls: list[Awaitable[object]] = [
        away.get_many(["k"]),
        away.set_homes("a", {"k": b"1"}),
        away.beat("k", b"", LONG, "i", "a"),
        away.members("i"),
        away.forget("k", "i", "a"),
        away.claim("k", LONG),
        away.scan(0, "*", 10),
    ]
    for call in calls:
        with pytest.raises(StoreError) as caught:
            await call
        assert away.address in str(caught.value)
    with pytest.raises(StartError, match=r"spring\.data\.redis\.host") as refused:
        await away.connect()
    assert away.address in str(refused.value)

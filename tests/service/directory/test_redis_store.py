"""The store's ways with a real Redis that only a real one has. The rest is in tests/contract."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from redis.asyncio import Redis
from redis.exceptions import TimeoutError as RedisTimeoutError

from devtools.ports import free_port
from devtools.redis import RedisServer
from devtools.servers import Servers
from nacos_boot.start.startup import StartError
from service.directory.directory import Keys
from service.directory.redis_store import RedisStore, StoreError
from service.settings_servers import RedisSection
from tests.service.tcp_proxy import TcpProxy
from tests.waiting import eventually

TTL = timedelta(seconds=30)
TIMEOUT = timedelta(milliseconds=200)


@pytest.fixture
async def redis(servers: Servers) -> AsyncIterator[Redis]:
    client = Redis(port=servers.ports.redis)
    yield client
    await client.aclose()


@pytest.fixture
async def store(servers: Servers) -> AsyncIterator[RedisStore]:
    store = RedisStore(RedisSection(port=servers.ports.redis))
    await store.connect()
    yield store
    await store.close()


@pytest.fixture
async def proxy(servers: Servers) -> AsyncIterator[TcpProxy]:
    async with TcpProxy(servers.ports.redis) as proxy:
        yield proxy


@pytest.fixture
async def far(proxy: TcpProxy) -> AsyncIterator[RedisStore]:
    """A store on the other side of the proxy."""
    store = RedisStore(RedisSection(port=proxy.port, timeout=TIMEOUT))
    await store.connect()
    yield store
    await store.close()


async def test_a_server_that_hangs_at_the_end_is_a_fault_like_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = RedisStore(RedisSection())

    async def hang() -> None:
        raise RedisTimeoutError("Timed out closing connection after 0.2")

    monkeypatch.setattr(store._redis, "aclose", hang)
    with pytest.raises(StoreError, match="Timed out closing"):
        await store.close()


@pytest.fixture
def keys() -> Keys:
    return Keys(f"test-{uuid.uuid4().hex}:")


async def test_scripts_that_were_flushed_are_loaded_again(
    store: RedisStore, redis: Redis, keys: Keys
) -> None:
    users = [keys.user(f"u{number}") for number in range(50)]
    for _ in range(2):
        await redis.script_flush()
        await store.set_homes("a", dict.fromkeys(users, b"1"))
    # In the midst of others that write.
    await asyncio.gather(
        redis.script_flush(),
        *(store.set_homes("b", {user: b"2"}) for user in users),
    )
    for text in await store.get_many(users):
        assert json.loads(text or b"") == {"a": 1, "b": 2}


async def test_many_users_cost_few_commands_and_none_is_left_out(
    store: RedisStore, redis: Redis, keys: Keys
) -> None:
    users = [keys.user(f"u{number}") for number in range(250)]

    async def calls() -> int:
        found = await redis.info("commandstats")
        return int(found.get("cmdstat_evalsha", {"calls": 0})["calls"])

    await store.set_homes("a", {keys.user("first"): b"1"})
    before = await calls()
    await store.set_homes("a", {user: b'{"u":%d}' % place for place, user in enumerate(users)})
    assert await calls() - before == 3
    found = await store.get_many(users)
    assert [json.loads(text or b"") for text in found] == [
        {"a": {"u": place}} for place in range(250)
    ]
    # Some come, some go, some stay as they are elsewhere.
    await store.set_homes("b", dict.fromkeys(users[:50], b"1"))
    await store.set_homes("a", {**dict.fromkeys(users[:150], b""), users[200]: b"2"})
    found = await store.get_many(users)
    assert found[:50] == [b'{"b":1}'] * 50
    assert found[50:150] == [None] * 100
    assert found[200] == b'{"a":2}'


@pytest.mark.parametrize("text", [b"", b"nonsense", b"[1,2]", b"1", b"null", b'{"a":'])
async def test_an_entry_that_cannot_be_read_is_written_over(
    store: RedisStore, redis: Redis, keys: Keys, text: bytes
) -> None:
    key = keys.user("x")
    await redis.set(key, text)
    await store.set_homes("a", {key: b'{"connections":1}'})
    found = json.loads((await store.get_many([key]))[0] or b"")
    assert found["a"] == {"connections": 1}


async def test_a_key_of_another_type_costs_the_other_users_nothing(
    store: RedisStore, redis: Redis, keys: Keys
) -> None:
    await redis.hset(keys.user("hash"), "field", "value")
    await redis.rpush(keys.user("list"), "value")
    entries = {keys.user(name): b"1" for name in ("a", "hash", "b", "list", "c")}
    await store.set_homes("n", entries)
    assert await store.get_many(list(entries)) == [b'{"n":1}'] * 5
    await redis.delete(keys.user("hash"))
    await redis.hset(keys.user("hash"), "field", "value")
    await store.set_homes("n", dict.fromkeys(entries, b""))
    assert await store.get_many(list(entries)) == [None] * 5


async def test_names_that_are_not_utf8_are_passed_by(
    store: RedisStore, redis: Redis, keys: Keys
) -> None:
    await redis.sadd(keys.nodes, b"\xff\xfe", b"good")
    await redis.set(keys.user("x").encode() + b"\xff", b"{}")
    names, _ = await store.members(keys.nodes)
    assert "good" in names
    found: list[str] = []
    cursor = -1
    while cursor:
        cursor, page = await store.scan(max(cursor, 0), keys.all_users, 1000)
        found += page
    assert len(found) == 1
    assert await store.get_many(found) == [None]


async def test_more_callers_than_connections_wait_for_each_other(store: RedisStore) -> None:
    assert await asyncio.gather(*(store.get_many(["none"]) for _ in range(500))) == [[None]] * 500


async def test_a_server_that_hangs_is_given_up_in_time(far: RedisStore, proxy: TcpProxy) -> None:
    loop = asyncio.get_running_loop()
    proxy.hang()
    for call in (
        far.get_many(["k"]),
        far.beat("k", b"", TTL, "i", "n"),
        far.set_homes("n", {"k": b"1"}),
    ):
        started = loop.time()
        with pytest.raises(StoreError, match="does not answer"):
            await call
        assert loop.time() - started < 2 * TIMEOUT.total_seconds()
    # With a crowd, too.
    started = loop.time()
    results = await asyncio.gather(
        *(far.get_many(["k"]) for _ in range(200)), return_exceptions=True
    )
    assert {type(result) for result in results} == {StoreError}
    assert loop.time() - started < 3 * TIMEOUT.total_seconds()
    proxy.flow()
    await eventually(lambda: answers(far))


async def answers(store: RedisStore) -> bool:
    try:
        return await store.get_many(["none"]) == [None]
    except StoreError:
        return False


async def test_connections_that_ended_while_idle_cost_no_command(
    far: RedisStore, proxy: TcpProxy, keys: Keys
) -> None:
    await asyncio.gather(*(far.get_many(["none"]) for _ in range(10)))
    for _ in range(3):
        proxy.cut()
        await far.set_homes("n", {keys.user("x"): b"1"})
        proxy.cut()
        await far.beat(keys.node("n"), b"", TTL, keys.nodes, "n")
        proxy.cut()
        assert await far.get_many([keys.user("x")]) == [b'{"n":1}']


async def test_look_ups_one_after_the_other_share_a_connection(
    far: RedisStore, proxy: TcpProxy, keys: Keys
) -> None:
    await far.set_homes("n", {keys.user("x"): b"1"})
    await far.get_many(["none"])
    before = proxy.connections
    for number in range(20):
        assert await far.get_many([keys.user("x"), "none"]) == [b'{"n":1}', None]
        if number % 5 == 0:
            # Known to have ended, not only cut.
            proxy.cut()
            await eventually(lambda: _has_ended(far))
    assert proxy.connections <= before + 2 * 4


def _has_ended(store: RedisStore) -> bool:
    connection = store._for_look_ups
    return connection is None or connection._reader is None or connection._reader.at_eof()


async def test_a_look_up_that_was_given_up_leaves_no_answer_behind(
    far: RedisStore, proxy: TcpProxy, keys: Keys
) -> None:
    await far.set_homes("n", {keys.user("x"): b"1"})
    assert await far.get_many(["none"]) == [None]
    proxy.hang()
    given_up = asyncio.create_task(far.get_many([keys.user("x")]))
    await eventually(lambda: proxy.held)
    given_up.cancel()
    await asyncio.gather(given_up, return_exceptions=True)
    proxy.flow()
    for _ in range(5):
        assert await far.get_many(["none", "none"]) == [None, None]


async def test_a_password_that_is_changed_costs_no_command(second_redis: RedisServer) -> None:
    store = RedisStore(RedisSection(port=second_redis.port))
    async with Redis(port=second_redis.port) as admin:
        # As many as the heartbeat and the writer need; a crowd shares them.
        await asyncio.gather(*(store.get_many(["none"]) for _ in range(3)))
        await admin.config_set("requirepass", "new")
        try:
            for _ in range(20):
                assert await store.get_many(["none"]) == [None]
            found = await asyncio.gather(*(store.get_many(["none"]) for _ in range(200)))
            assert found == [[None]] * 200
            for _ in range(20):
                assert await store.get_many(["none"]) == [None]
            changed = RedisStore(RedisSection(port=second_redis.port, password="new"))
            await changed.connect()
            await changed.close()
            await store.close()
            # Without a connection from before it is refused.
            with pytest.raises(StartError, match=r"spring\.data\.redis\.password"):
                await store.connect()
        finally:
            await admin.config_set("requirepass", "")
    await store.close()


async def test_a_database_that_is_not_there_is_explained(servers: Servers) -> None:
    store = RedisStore(RedisSection(port=servers.ports.redis, database=99))
    with pytest.raises(StartError, match=r"spring\.data\.redis\.database"):
        await store.connect()
    await store.close()


async def test_a_start_without_redis_names_address_and_settings() -> None:
    port = free_port()
    store = RedisStore(RedisSection(port=port))
    with pytest.raises(
        StartError, match=rf"127\.0\.0\.1:{port} .*spring\.data\.redis\.host"
    ) as caught:
        await store.connect()
    assert not caught.value.final
    await store.close()


async def test_a_refused_account_is_final_and_shows_no_password(servers: Servers) -> None:
    store = RedisStore(RedisSection(port=servers.ports.redis, username="nobody", password="hush"))
    with pytest.raises(StartError, match=r"spring\.data\.redis\.password") as caught:
        await store.connect()
    assert caught.value.final
    assert "hush" not in str(caught.value)
    await store.close()

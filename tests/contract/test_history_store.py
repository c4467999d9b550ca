"""What the history relies on in a real Redis, and what its fake does likewise."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
import redis.asyncio as redis

from devtools.servers import Servers
from service.directory.redis_store import RedisStore, StoreError
from service.history.position import START, entry_id, ms_of, number_of, position
from service.history.settings import HistorySection
from service.history.store import LIFE, Addition, HistoryStore, Item, Span
from service.settings_servers import RedisSection
from tests.service.fake_history import FakeHistoryStore
from tests.waiting import eventually

SETTINGS = HistorySection()
ONE, TWO = Item("id-1", b'"one"'), Item("id-2", b'{"two":[2]}')
KEPT = Item("id-kept", '"b\u00fccher"'.encode(), keep=True)


@pytest.fixture
async def place(servers: Servers) -> AsyncIterator[RedisStore]:
    found = RedisStore(RedisSection(port=servers.ports.redis))
    yield found
    await found.close()


@pytest.fixture(params=["fake", "redis"])
def store(request: pytest.FixtureRequest) -> HistoryStore:
    if request.param == "fake":
        return FakeHistoryStore()
    return HistoryStore(lambda: request.getfixturevalue("place"), new_prefix())


@pytest.fixture
async def real(place: RedisStore) -> HistoryStore:
    return HistoryStore(lambda: place, new_prefix())


@pytest.fixture
async def client(servers: Servers) -> AsyncIterator[redis.Redis]:
    found = redis.Redis(port=servers.ports.redis, decode_responses=True)
    yield found
    await found.aclose()


def new_prefix() -> str:
    return f"test-{uuid.uuid4().hex}[*]:"


def everything(stream: str | None) -> Span:
    return Span(stream, START, None, 1000)


async def test_positions_count_up_by_one_in_each_stream(
    place: RedisStore, store: HistoryStore
) -> None:
    assert place
    additions = [Addition("a", ONE), Addition("b", ONE), Addition(None, TWO), Addition("a", TWO)]
    data_set, positions = await store.append(additions, SETTINGS)
    assert [number_of(at) for at in positions] == [1, 1, 1, 2]
    again, more = await store.append([Addition("a", ONE), Addition(None, ONE)], SETTINGS)
    assert [number_of(at) for at in more] == [3, 2]
    assert again == data_set
    assert positions[0] < positions[3] < more[0]
    found, [of_a, of_all, of_c] = await store.read(
        [everything("a"), everything(None), everything("c")]
    )
    assert found == data_set
    assert of_a == [(positions[0], ONE), (positions[3], TWO), (more[0], ONE)]
    assert of_all == [(positions[2], TWO), (more[1], ONE)]
    assert of_c == []


async def test_a_span_is_behind_its_beginning_and_up_to_its_end(
    place: RedisStore, store: HistoryStore
) -> None:
    assert place
    _, at = await store.append([Addition("a", ONE)] * 5, SETTINGS)
    spans = [Span("a", at[0], at[3], 10), Span("a", at[0], None, 2), Span("a", at[4], None, 10)]
    _, pages = await store.read(spans)
    assert [[p for p, _ in page] for page in pages] == [at[1:4], at[1:3], []]


async def test_many_at_once_keep_their_order(place: RedisStore, store: HistoryStore) -> None:
    assert place
    additions = [Addition(f"u{n % 7}", Item(f"i{n}", b"%d" % n)) for n in range(2300)]
    _, positions = await store.append(additions, HistorySection(length=10_000))
    _, pages = await store.read([everything(f"u{n}") for n in range(7)])
    for user, page in enumerate(pages):
        assert [item.id for _, item in page] == [f"i{n}" for n in range(user, 2300, 7)]
        assert [at for at, _ in page] == positions[user::7]


async def test_heads_tell_where_streams_end_and_what_is_kept(
    place: RedisStore, store: HistoryStore
) -> None:
    assert place
    before = await store.heads(["a"])
    assert before.users["a"].position == position(before.now, 0)
    assert number_of(before.all) == 0
    data_set, at = await store.append(
        [Addition("a", ONE), Addition("a", KEPT), Addition(None, ONE)], SETTINGS
    )
    heads = await store.heads(["a", "nobody"])
    assert heads.data_set == data_set == before.data_set
    assert heads.all == at[2]
    assert heads.users["a"] == (at[1], 1)
    assert number_of(heads.users["nobody"].position) == heads.users["nobody"].kept == 0
    assert ms_of(heads.users["nobody"].position) == heads.now
    assert await store.kept("a") == [(at[1], KEPT)]
    assert await store.kept("nobody") == []
    await store.release({"a": ["id-1", KEPT.id], "nobody": ["x"]})
    assert await store.kept("a") == []
    assert (await store.heads(["a"])).users["a"].kept == 0


async def begin_tries(store: HistoryStore, client: redis.Redis) -> str:
    """Do what the taking of an Idempotency-Key does; gives the key of the tries."""
    name = f"test-{uuid.uuid4().hex}:tries"
    if isinstance(store, FakeHistoryStore):
        store.tries[name] = {}
    else:
        await client.hset(name, "seed", "x")
    return name


async def test_a_push_that_is_tried_again_has_one_entry_in_each_stream(
    place: RedisStore, store: HistoryStore, client: redis.Redis
) -> None:
    assert place
    tries, others = await begin_tries(store, client), await begin_tries(store, client)
    users = [f"u{n}" for n in range(230)]
    request = [
        *(Addition(user, KEPT, tries) for user in users),
        Addition(None, ONE, tries),
        Addition("u0", TWO, tries),
    ]
    data_set, first = await store.append(request[:150], SETTINGS)
    await store.append([Addition("u0", ONE), Addition(None, TWO)], SETTINGS)
    await store.release({"u1": [KEPT.id]})
    # The first try has come to a part of it; the next one has others before it.
    mixed = [Addition("u0", TWO), *request, Addition("u0", KEPT, others), Addition("u0", KEPT)]
    _, second = await store.append(mixed, SETTINGS)
    assert second[1:151] == first
    assert await store.append(request, SETTINGS) == (data_set, second[1:-2])
    _, [of_u0, of_last, of_all] = await store.read(
        [everything("u0"), everything(users[-1]), everything(None)]
    )
    assert [item.id for _, item in of_u0] == [item.id for item in (KEPT, ONE, TWO, TWO, KEPT, KEPT)]
    assert [number_of(at) for at, _ in of_u0] == [1, 2, 3, 4, 5, 6]
    assert of_last == [(second[230], KEPT)]
    assert [item.id for _, item in of_all] == [TWO.id, ONE.id]
    # What a user has had, a later try does not keep again.
    assert await store.kept("u1") == []
    assert len(await store.kept(users[-1])) == 1


async def test_a_try_whose_entry_is_gone_or_of_which_nothing_is_known_is_appended(
    real: HistoryStore, client: redis.Redis
) -> None:
    tries = await begin_tries(real, client)
    request = [Addition("a", ONE, tries), Addition("b", ONE, tries)]
    _, first = await real.append(request, SETTINGS)
    await client.xtrim(real._key("a"), maxlen=0, approximate=False)
    _, second = await real.append(request, SETTINGS)
    assert [number_of(at) for at in second] == [2, 1]
    assert (second[0] > first[0], second[1] == first[1]) == (True, True)
    assert (await real.append(request, SETTINGS))[1] == second
    # Another stream has begun, and has another push there.
    await client.delete(real._key("b"))
    await client.xadd(real._key("b"), {"i": "other", "c": "1"}, id=entry_id(first[1]))
    _, [same, third] = await real.append(request, SETTINGS)
    assert (same, number_of(third)) == (second[0], 2)
    # The request has succeeded, or its time is over: nothing is left behind.
    await client.delete(tries)
    _, fourth = await real.append(request, SETTINGS)
    assert [number_of(at) for at in fourth] == [3, 3]
    assert not await client.exists(tries)


async def test_two_nodes_that_append_at_once(place: RedisStore, store: HistoryStore) -> None:
    assert place
    replies = await asyncio.gather(
        *(store.append([Addition("a", ONE), Addition(None, ONE)], SETTINGS) for _ in range(40))
    )
    for stream in range(2):
        taken = sorted(number_of(positions[stream]) for _, positions in replies)
        assert taken == list(range(1, 41))
    assert len({data_set for data_set, _ in replies}) == 1


async def test_streams_are_capped_and_users_ones_end(
    real: HistoryStore, client: redis.Redis
) -> None:
    few = HistorySection(length=100, all_length=200, age=timedelta(hours=1))
    for _ in range(6):
        await real.append([Addition("a", KEPT._replace(id=uuid.uuid4().hex))] * 90, few)
        await real.append([Addition(None, ONE)] * 90, few)
    _, [of_a, of_all] = await real.read([everything("a"), everything(None)])
    assert 100 <= len(of_a) <= 220
    assert 200 <= len(of_all) <= 320
    # What was trimmed is not kept any more either.
    assert {at for at, _ in await real.kept("a")} <= {at for at, _ in of_a}
    life = await client.pttl(real._key("a")) / 1000
    assert timedelta(hours=1) + LIFE > timedelta(seconds=life) > LIFE
    assert await client.pttl(real._key(None)) == -1


async def test_pointers_do_not_outgrow_their_stream(
    real: HistoryStore, client: redis.Redis
) -> None:
    few = HistorySection(length=100)
    for start in range(0, 1200, 100):
        items = [KEPT._replace(id=f"{start + n}") for n in range(100)]
        await real.append([Addition("a", item) for item in items], few)
    assert await client.hlen(f"{real._kept}a") <= 401


async def test_the_sweep_trims_by_age_and_keeps_the_numbers(
    real: HistoryStore, client: redis.Redis
) -> None:
    await real.append([Addition("a", ONE), Addition("b", ONE), Addition(None, ONE)], SETTINGS)
    await asyncio.sleep(0.05)
    await real.append([Addition("a", TWO)], SETTINGS)
    assert await real.trim(timedelta(hours=1), timedelta(milliseconds=60)) == 0
    # One node at a time.
    assert await real.trim(timedelta(0), timedelta(seconds=9)) is None

    async def swept() -> bool:
        return await real.trim(timedelta(milliseconds=20), timedelta(milliseconds=5)) == 4

    await asyncio.sleep(0.1)
    await eventually(swept)
    _, pages = await real.read([everything("a"), everything("b"), everything(None)])
    assert pages == [[], [], []]
    _, positions = await real.append([Addition("a", ONE), Addition(None, ONE)], SETTINGS)
    assert [number_of(at) for at in positions] == [3, 2]
    assert await client.exists(real._key("b"))


async def test_data_that_is_lost_is_another_data_set(
    real: HistoryStore, client: redis.Redis
) -> None:
    before, _ = await real.append([Addition("a", ONE)], SETTINGS)
    await client.delete(real._id, real._key("a"))
    data_set, _ = await real.read([everything("a")])
    assert data_set != before
    after, [at] = await real.append([Addition("a", ONE)], SETTINGS)
    assert after != before
    assert number_of(at) == 1


async def test_scripts_that_were_flushed_are_loaded_again(
    real: HistoryStore, client: redis.Redis
) -> None:
    await real.append([Addition("a", ONE)], SETTINGS)
    await client.script_flush()
    _, [at] = await real.append([Addition("a", ONE)], SETTINGS)
    assert number_of(at) == 2


async def test_what_somebody_else_wrote_is_an_error_or_nothing(
    real: HistoryStore, client: redis.Redis
) -> None:
    await client.set(real._key("a"), "no stream")
    with pytest.raises(StoreError, match=r"127\.0\.0\.1"):
        await real.append([Addition("a", ONE)], SETTINGS)
    await client.xadd(real._key("b"), {"x": "y"})
    _, [page] = await real.read([everything("b")])
    assert [item for _, item in page] == [Item("", b"null")]

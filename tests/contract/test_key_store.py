"""What Idempotency relies on in a store, on a real Redis and on the fake that stands for it."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from devtools.ports import free_port
from devtools.servers import Servers
from service.directory.redis_store import RedisStore, StoreError
from service.push.idempotency_store import KeyStore, RedisKeyStore
from service.push.tries import Tries
from service.settings_servers import RedisSection
from tests.service.fake_keys import FakeKeyStore
from tests.waiting import eventually

LONG = timedelta(seconds=30)
SHORT = timedelta(milliseconds=150)
PRINT = "a" * 64
OTHER = "b" * 64


@pytest.fixture(params=["fake", "redis"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[KeyStore]:
    if request.param == "fake":
        yield FakeKeyStore()
        return
    servers: Servers = request.getfixturevalue("servers")
    real = RedisStore(RedisSection(port=servers.ports.redis))
    await real.connect()
    yield RedisKeyStore(f"test-{uuid.uuid4().hex}:", lambda: real)
    await real.close()


async def taken(store: KeyStore, name: str, lease: bytes, ttl: timedelta) -> bool:
    return isinstance(await store.take(name, PRINT, lease, ttl, LONG), Tries)


async def tries_of(store: KeyStore, name: str, request: str, life: timedelta = LONG) -> Tries:
    """Try once, in vain."""
    tries = await store.take(name, request, b"lease", LONG, life)
    assert isinstance(tries, Tries)
    await store.free(name, b"lease")
    return tries


async def test_a_name_is_taken_once(store: KeyStore) -> None:
    assert await taken(store, "k", b"lease-1", LONG)
    assert await store.take("k", PRINT, b"lease-2", LONG, LONG) == b"lease-1"
    assert await taken(store, "other", b"lease-2", LONG)
    # Asked again because the first answer was lost.
    assert await taken(store, "k", b"lease-1", LONG)


async def test_of_many_at_once_one_takes_it(store: KeyStore) -> None:
    leases = [f"lease-{number}".encode() for number in range(50)]
    found = await asyncio.gather(*(store.take("k", PRINT, lease, LONG, LONG) for lease in leases))
    [winner] = [place for place, item in enumerate(found) if isinstance(item, Tries)]
    assert set(found) == {found[winner], leases[winner]}


async def test_what_is_kept_stays_for_its_time(store: KeyStore) -> None:
    await store.take("k", PRINT, b"lease", SHORT, LONG)
    assert await store.keep("k", b"lease", b"the answer", LONG)
    await asyncio.sleep(0.2)
    assert await store.take("k", PRINT, b"another", LONG, LONG) == b"the answer"
    assert not await store.keep("k", b"lease", b"another answer", LONG)
    await store.take("short", PRINT, b"lease", LONG, LONG)
    await store.keep("short", b"lease", b"the answer", SHORT)

    async def over() -> bool:
        return await taken(store, "short", b"another", LONG)

    await eventually(over, limit=2)


async def test_a_lease_ends_by_itself_and_counts_for_nothing_then(store: KeyStore) -> None:
    await store.take("k", PRINT, b"lease", SHORT, LONG)

    async def free() -> bool:
        return await taken(store, "k", b"another", LONG)

    await eventually(free, limit=2)
    assert not await store.keep("k", b"lease", b"the answer", LONG)
    await store.free("k", b"lease")
    assert await store.take("k", PRINT, b"third", LONG, LONG) == b"another"


async def test_an_answer_is_kept_also_where_the_lease_ended_and_nobody_came(
    store: KeyStore,
) -> None:
    # Redis may have lost it.
    assert await store.keep("k", b"lease", b"the answer", LONG)
    assert await store.take("k", PRINT, b"another", LONG, LONG) == b"the answer"


async def test_a_name_is_given_free_by_its_owner(store: KeyStore) -> None:
    await store.take("k", PRINT, b"lease", LONG, LONG)
    await store.free("k", b"another")
    assert await store.take("k", PRINT, b"another", LONG, LONG) == b"lease"
    await store.free("k", b"lease")
    await store.free("k", b"lease")
    assert await taken(store, "k", b"another", LONG)


async def test_the_tries_of_a_request_are_the_same_until_they_are_over(store: KeyStore) -> None:
    first = await tries_of(store, "k", PRINT)
    other, another = await tries_of(store, "k", OTHER), await tries_of(store, "l", PRINT)
    assert len({first, other, another}) == len({first.key, other.key, another.key}) == 3
    assert len({first.seed, other.seed, another.seed}) == 3
    assert await tries_of(store, "k", PRINT) == first
    # Its node died: the lease ends, the tries go on.
    assert await store.take("k", PRINT, b"dead", SHORT, LONG) == first

    async def goes_on() -> bool:
        return await store.take("k", PRINT, b"heir", LONG, LONG) == first

    await eventually(goes_on, limit=2)
    # The dead node's was no node's any more.
    assert not await store.keep("k", b"dead", b"the answer", LONG, first)
    await store.free("k", b"dead", first)
    await store.free("k", b"heir")
    assert await tries_of(store, "k", PRINT) == first

    # Refused for good, or answered: what comes later is another push.
    await store.take("k", PRINT, b"lease", LONG, LONG)
    await store.free("k", b"lease", first)
    second = await tries_of(store, "k", PRINT)
    assert (second.key, second.seed != first.seed) == (first.key, True)
    await store.take("k", PRINT, b"lease", LONG, LONG)
    assert await store.keep("k", b"lease", b"the answer", SHORT, second)

    async def anew() -> bool:
        found = await store.take("k", PRINT, b"third", LONG, LONG)
        return isinstance(found, Tries) and found.seed not in {first.seed, second.seed}

    await eventually(anew, limit=2)
    await store.free("k", b"third")
    assert await tries_of(store, "k", OTHER) == other


async def test_tries_are_forgotten_after_their_life(store: KeyStore) -> None:
    first = await tries_of(store, "k", PRINT, SHORT)
    assert await tries_of(store, "k", PRINT, SHORT) == first
    await asyncio.sleep(0.25)
    assert await tries_of(store, "k", PRINT) != first


@pytest.mark.parametrize("kind", ["fake", "redis"])
async def test_a_server_that_is_away_is_a_store_error(kind: str) -> None:
    fake, real = FakeKeyStore(), RedisStore(RedisSection(port=free_port()))
    fake.away = True
    away: KeyStore = fake if kind == "fake" else RedisKeyStore("test:", lambda: real)
    for call in (
        away.take("k", PRINT, b"lease", LONG, LONG),
        away.keep("k", b"lease", b"", LONG),
        away.free("k", b"lease"),
    ):
        with pytest.raises(StoreError, match="does not answer"):
            await call
    await real.close()

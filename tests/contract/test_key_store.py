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
from service.settings_servers import RedisSection
from tests.service.fake_keys import FakeKeyStore
from tests.waiting import eventually

LONG = timedelta(seconds=30)
SHORT = timedelta(milliseconds=150)


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


async def test_a_name_is_taken_once(store: KeyStore) -> None:
    assert await store.take("k", b"lease-1", LONG) is None
    assert await store.take("k", b"lease-2", LONG) == b"lease-1"
    assert await store.take("other", b"lease-2", LONG) is None
    # Asked again because the first answer was lost.
    assert await store.take("k", b"lease-1", LONG) is None


async def test_of_many_at_once_one_takes_it(store: KeyStore) -> None:
    leases = [f"lease-{number}".encode() for number in range(50)]
    found = await asyncio.gather(*(store.take("k", lease, LONG) for lease in leases))
    assert found.count(None) == 1
    assert set(found) == {None, leases[found.index(None)]}


async def test_what_is_kept_stays_for_its_time(store: KeyStore) -> None:
    await store.take("k", b"lease", SHORT)
    assert await store.keep("k", b"lease", b"the answer", LONG)
    await asyncio.sleep(0.2)
    assert await store.take("k", b"another", LONG) == b"the answer"
    assert not await store.keep("k", b"lease", b"another answer", LONG)
    await store.take("short", b"lease", LONG)
    await store.keep("short", b"lease", b"the answer", SHORT)

    async def over() -> bool:
        return await store.take("short", b"another", LONG) is None

    await eventually(over, limit=2)


async def test_a_lease_ends_by_itself_and_counts_for_nothing_then(store: KeyStore) -> None:
    await store.take("k", b"lease", SHORT)

    async def free() -> bool:
        return await store.take("k", b"another", LONG) is None

    await eventually(free, limit=2)
    assert not await store.keep("k", b"lease", b"the answer", LONG)
    await store.free("k", b"lease")
    assert await store.take("k", b"third", LONG) == b"another"


async def test_an_answer_is_kept_also_where_the_lease_ended_and_nobody_came(
    store: KeyStore,
) -> None:
    # Redis may have lost it.
    assert await store.keep("k", b"lease", b"the answer", LONG)
    assert await store.take("k", b"another", LONG) == b"the answer"


async def test_a_name_is_given_free_by_its_owner(store: KeyStore) -> None:
    await store.take("k", b"lease", LONG)
    await store.free("k", b"another")
    assert await store.take("k", b"another", LONG) == b"lease"
    await store.free("k", b"lease")
    await store.free("k", b"lease")
    assert await store.take("k", b"another", LONG) is None


@pytest.mark.parametrize("kind", ["fake", "redis"])
async def test_a_server_that_is_away_is_a_store_error(kind: str) -> None:
    fake, real = FakeKeyStore(), RedisStore(RedisSection(port=free_port()))
    fake.away = True
    away: KeyStore = fake if kind == "fake" else RedisKeyStore("test:", lambda: real)
    for call in (
        away.take("k", b"lease", LONG),
        away.keep("k", b"lease", b"", LONG),
        away.free("k", b"lease"),
    ):
        with pytest.raises(StoreError, match="does not answer"):
            await call
    await real.close()

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import pytest

from nacos_boot.instance import Instance
from nacos_boot.registration import Registration
from tests.fakes.nacos import GROUP, FakeNacos, FakeNacosClient
from tests.waiting import eventually

SELDOM = timedelta(hours=1)
OFTEN = timedelta(milliseconds=10)
OURS = Instance("demo", "10.0.0.1", 81, metadata={"version": "1"})
OTHER = Instance("demo", "10.0.0.2", 81)


@pytest.fixture
def nacos() -> FakeNacos:
    return FakeNacos()


class Counting(FakeNacosClient):
    """Counts the watchdog's questions; with `hiding` the answer is nobody."""

    asked = 0
    hiding = False

    async def instances(self, service: str, group: str) -> tuple[Instance, ...]:
        self.asked += 1
        found = await super().instances(service, group)
        return () if self.hiding else found

    async def asked_again(self, times: int) -> None:
        before = self.asked
        await eventually(lambda: self.asked > before + times)


@pytest.fixture
def client(nacos: FakeNacos) -> Counting:
    return Counting(nacos)


@asynccontextmanager
async def registered(
    client: FakeNacosClient, interval: timedelta = SELDOM
) -> AsyncIterator[Registration]:
    registration = Registration(client, OURS, GROUP, interval)
    await registration.register()
    watch = asyncio.create_task(registration.watch())
    try:
        yield registration
        assert not watch.done()
    finally:
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)


async def test_registered_and_taken_out(nacos: FakeNacos, client: Counting) -> None:
    nacos.put(OTHER, GROUP)
    async with registered(client) as registration:
        assert nacos.instances("demo") == (OTHER, OURS)
        assert registration.error is None
        await registration.deregister()
        assert nacos.instances("demo") == (OTHER,)


async def test_metadata_and_weight_are_updated(nacos: FakeNacos, client: Counting) -> None:
    async with registered(client) as registration:
        registration.update(metadata={"md5": "abc"})
        expected = replace(OURS, metadata={"version": "1", "md5": "abc"})
        await eventually(lambda: nacos.instances("demo") == (expected,))
        registration.update(weight=0.0)
        await eventually(lambda: nacos.instances("demo") == (replace(expected, weight=0.0),))


async def test_an_update_while_nacos_is_away_is_made_up_for(
    nacos: FakeNacos, client: Counting
) -> None:
    async with registered(client, OFTEN) as registration:
        nacos.up = False
        registration.update(weight=0.5)
        await eventually(lambda: registration.error)
        nacos.up = True
        await eventually(lambda: nacos.instances("demo") == (replace(OURS, weight=0.5),))
        await eventually(lambda: registration.error is None)
        assert registration.lost == 0


async def test_an_update_during_a_registration_is_not_lost(
    nacos: FakeNacos, client: Counting
) -> None:
    async with registered(client) as registration:
        client.held = asyncio.Event()
        registration.update(weight=0.5)
        for _ in range(10):
            await asyncio.sleep(0)
        registration.update(weight=0.7)
        client.held.set()
        await eventually(lambda: nacos.instances("demo") == (replace(OURS, weight=0.7),))


async def test_an_update_during_a_registration_is_made_up_for_when_it_fails(
    nacos: FakeNacos, client: Counting
) -> None:
    async with registered(client, OFTEN) as registration:
        client.held = asyncio.Event()
        registration.update(weight=0.5)
        for _ in range(10):
            await asyncio.sleep(0)
        registration.update(weight=0.7)
        nacos.up = False
        client.held.set()
        await eventually(lambda: registration.error)
        nacos.up = True
        await eventually(lambda: nacos.instances("demo") == (replace(OURS, weight=0.7),))


async def test_a_lost_registration_is_put_back_and_counted(
    nacos: FakeNacos, client: Counting, caplog: pytest.LogCaptureFixture
) -> None:
    async with registered(client, OFTEN) as registration:
        for times in (1, 2):
            nacos.lose("demo")
            await eventually(lambda: nacos.instances("demo") == (OURS,))
            assert registration.lost == times
            await client.asked_again(2)
        assert "the registry has lost 10.0.0.1:81; registering again" in caplog.text


async def test_the_watch_leaves_a_registration_that_is_there_alone(
    nacos: FakeNacos, client: Counting
) -> None:
    async with registered(client, OFTEN) as registration:
        # What somebody changed in the console stays changed.
        edited = replace(OURS, weight=3.0)
        nacos.put(edited, GROUP)
        await client.asked_again(3)
        assert nacos.instances("demo") == (edited,)
        assert registration.lost == 0


async def test_an_instance_that_stays_out_of_sight_is_lost_once(
    nacos: FakeNacos, client: Counting
) -> None:
    async with registered(client, OFTEN) as registration:
        client.hiding = True
        await client.asked_again(5)
        assert registration.lost == 1
        client.hiding = False
        await client.asked_again(2)
        client.hiding = True
        await eventually(lambda: registration.lost == 2)


async def test_registering_while_nacos_is_away_is_made_up_for(
    nacos: FakeNacos, client: Counting, caplog: pytest.LogCaptureFixture
) -> None:
    nacos.up = False
    async with registered(client, OFTEN) as registration:
        assert "fake:8848" in str(registration.error)
        nacos.up = True
        await eventually(lambda: nacos.instances("demo") == (OURS,))
        await eventually(lambda: registration.error is None)
        assert registration.lost == 0
        assert caplog.text.count("trying again") == 1


async def test_the_watch_does_not_undo_a_deregistration(nacos: FakeNacos, client: Counting) -> None:
    async with registered(client, OFTEN) as registration:
        await registration.deregister()
        registration.update(metadata={"md5": "abc"})
        await eventually(lambda: not registration._stirred.is_set())
        await registration._check()
        assert nacos.instances("demo") == ()
        assert registration.lost == 0


async def test_a_registration_under_way_does_not_outlive_the_deregistration(
    nacos: FakeNacos, client: Counting
) -> None:
    async with registered(client) as registration:
        client.held = asyncio.Event()
        registration.update(weight=0.5)
        for _ in range(10):
            await asyncio.sleep(0)
        leaving = asyncio.create_task(registration.deregister())
        for _ in range(10):
            await asyncio.sleep(0)
        client.held.set()
        await leaving
        await registration._put()  # the one under way has ended when this returns
        assert nacos.instances("demo") == ()


async def test_a_deregistration_that_fails_raises_nothing(
    nacos: FakeNacos, client: Counting, caplog: pytest.LogCaptureFixture
) -> None:
    async with registered(client) as registration:
        nacos.up = False
        await registration.deregister()
        assert "Nacos drops the instance by itself" in caplog.text
        await registration.deregister()


async def test_what_was_never_registered_is_not_deregistered(
    nacos: FakeNacos, client: Counting
) -> None:
    nacos.put(OURS, GROUP)
    await client.connect()
    await Registration(client, OURS, GROUP, SELDOM).deregister()
    assert nacos.instances("demo") == (OURS,)

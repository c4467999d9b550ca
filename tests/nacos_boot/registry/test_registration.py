import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from prometheus_client import REGISTRY

from nacos_boot.registry.instance import Instance
from nacos_boot.registry.registration import Registration
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


def update(registration: Registration, **changes: Any) -> None:
    ours = registration.instance
    now = {"weight": ours.weight, "enabled": ours.enabled, "metadata": ours.metadata}
    registration.update(**{**now, **changes})


class Broken(FakeNacosClient):
    """A client that has a bug for as long as it is broken."""

    broken = False

    async def instances(self, service: str, group: str) -> tuple[Instance, ...]:
        if self.broken:
            raise TypeError("a bug in the client")
        return await super().instances(service, group)


async def test_a_client_with_a_bug_does_not_end_the_watch(
    nacos: FakeNacos, caplog: pytest.LogCaptureFixture
) -> None:
    client = Broken(nacos)
    async with registered(client, OFTEN):
        client.broken = True
        await eventually(lambda: "a bug in the client" in caplog.text)
        client.broken = False
        nacos.lose("demo")
        await eventually(lambda: nacos.instances("demo") == (OURS,))


async def test_registered_and_taken_out(nacos: FakeNacos, client: Counting) -> None:
    nacos.put(OTHER, GROUP)
    async with registered(client) as registration:
        assert nacos.instances("demo") == (OTHER, OURS)
        assert registration.error is None
        assert registration.registered
        assert REGISTRY.get_sample_value("nacos_registered") == 1
        await registration.deregister()
        assert nacos.instances("demo") == (OTHER,)
        assert not registration.registered
        assert REGISTRY.get_sample_value("nacos_registered") == 0


async def test_metadata_and_weight_are_updated(nacos: FakeNacos, client: Counting) -> None:
    async with registered(client) as registration:
        update(registration, metadata={"md5": "abc"})
        expected = replace(OURS, metadata={"md5": "abc"})
        await eventually(lambda: nacos.instances("demo") == (expected,))
        update(registration, weight=0.0)
        await eventually(lambda: nacos.instances("demo") == (replace(expected, weight=0.0),))
        update(registration, enabled=False)
        await eventually(lambda: nacos.instances("demo") == ())
        update(registration, enabled=True)
        await eventually(lambda: nacos.instances("demo") == (replace(expected, weight=0.0),))


async def test_an_update_that_changes_nothing_is_not_told(
    nacos: FakeNacos, client: Counting, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    async with registered(client, OFTEN) as registration:
        update(registration)
        await client.asked_again(2)
    assert caplog.text.count("registered 10.0.0.1:81 as demo") == 1


async def test_an_update_while_nacos_is_away_is_made_up_for(
    nacos: FakeNacos, client: Counting
) -> None:
    async with registered(client, OFTEN) as registration:
        nacos.up = False
        update(registration, weight=0.5)
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
        update(registration, weight=0.5)
        for _ in range(10):
            await asyncio.sleep(0)
        update(registration, weight=0.7)
        client.held.set()
        await eventually(lambda: nacos.instances("demo") == (replace(OURS, weight=0.7),))


async def test_an_update_during_a_registration_is_made_up_for_when_it_fails(
    nacos: FakeNacos, client: Counting
) -> None:
    async with registered(client, OFTEN) as registration:
        client.held = asyncio.Event()
        update(registration, weight=0.5)
        for _ in range(10):
            await asyncio.sleep(0)
        update(registration, weight=0.7)
        nacos.up = False
        client.held.set()
        await eventually(lambda: registration.error)
        nacos.up = True
        await eventually(lambda: nacos.instances("demo") == (replace(OURS, weight=0.7),))


async def test_a_lost_registration_is_put_back_and_counted(
    nacos: FakeNacos, client: Counting, caplog: pytest.LogCaptureFixture
) -> None:
    before = lost_in_all()
    async with registered(client, OFTEN) as registration:
        for times in (1, 2):
            nacos.lose("demo")
            await eventually(lambda: nacos.instances("demo") == (OURS,))
            assert registration.lost == times
            await client.asked_again(2)
        assert "10.0.0.1:81 is registered again: the registry has lost it" in caplog.text
    assert lost_in_all() == before + 2


async def test_a_lost_connection_takes_the_instance_along(
    nacos: FakeNacos, client: Counting, caplog: pytest.LogCaptureFixture
) -> None:
    async with registered(client) as registration:
        nacos.restart()
        # Noticed by the connection, with the watchdog an hour away.
        await eventually(lambda: nacos.instances("demo") == (OURS,))
        assert registration.lost == 1
        assert "its connection to Nacos was lost" in caplog.text
        await registration.deregister()
        nacos.restart()
        await eventually(lambda: not registration._stirred.is_set())
        assert nacos.instances("demo") == ()
        assert registration.lost == 1


async def test_a_persistent_instance_does_not_go_with_the_connection(
    nacos: FakeNacos, client: Counting
) -> None:
    lasting = replace(OURS, ephemeral=False)
    registration = Registration(client, lasting, GROUP, SELDOM)
    await registration.register()
    client.reconnected()
    assert registration.lost == 0
    await client.close()
    assert nacos.instances("demo") == (lasting,)
    await client.connect()
    await registration.deregister()
    assert nacos.instances("demo") == ()


async def test_a_service_of_the_other_kind_is_told_of(nacos: FakeNacos, client: Counting) -> None:
    nacos.put(OTHER, GROUP)
    lasting = replace(OURS, ephemeral=False)
    registration = Registration(client, lasting, GROUP, SELDOM)
    await registration.register()
    assert "'demo' is ephemeral there" in str(registration.error)
    assert "spring.cloud.nacos.discovery.ephemeral" in str(registration.error)
    assert not registration.registered


def lost_in_all() -> float:
    return REGISTRY.get_sample_value("nacos_registration_lost_total") or 0.0


def puts(caplog: pytest.LogCaptureFixture) -> int:
    return caplog.text.count("registered 10.0.0.1:81 as demo")


async def test_what_a_former_process_left_at_our_address_is_put_right(
    nacos: FakeNacos, client: Counting
) -> None:
    async with registered(client, OFTEN) as registration:
        stale = replace(OURS, weight=3.0, metadata={"version": "0", "node": "old"})
        nacos.put(stale, GROUP)
        await eventually(lambda: nacos.instances("demo") == (OURS,))
        await client.asked_again(2)
        assert registration.lost == 0
        assert registration.overridden == {}


async def test_an_edit_in_the_console_is_told_and_not_fought(
    nacos: FakeNacos, client: Counting, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    async with registered(client, OFTEN) as registration:
        nacos.edit(OURS, weight=3.0, metadata={"version": "0", "note": "slow"})
        kept = {"the weight": "3", "note": "slow", "version": "0"}
        await eventually(lambda: registration.overridden == kept)
        before = puts(caplog)
        await client.asked_again(5)
        assert puts(caplog) == before
        assert registration.error is None
        assert registration.lost == 0
        assert caplog.text.count("the console's edit of 10.0.0.1:81 counts more") == 1

        # Our own news still go there, beside what the console keeps.
        update(registration, metadata={"version": "1", "md5": "abc"})
        await eventually(lambda: nacos.instances("demo")[0].metadata.get("md5") == "abc")
        assert nacos.instances("demo")[0].weight == 3.0
        nacos.edit(OURS)
        await eventually(lambda: registration.overridden == {})


async def test_an_instance_that_stays_out_of_sight_is_lost_once(
    nacos: FakeNacos, client: Counting, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    async with registered(client, OFTEN) as registration:
        nacos.edit(OURS, enabled=False)
        await eventually(lambda: registration.error)
        assert "was it taken offline in the console?" in str(registration.error)
        assert not registration.registered
        before = puts(caplog)
        await client.asked_again(5)
        assert registration.lost == 1
        assert puts(caplog) == before
        nacos.edit(OURS)
        await eventually(lambda: registration.registered)
        assert registration.error is None
        client.hiding = True
        await eventually(lambda: registration.lost == 2)


async def test_an_instance_that_is_not_offered_is_not_missed(
    nacos: FakeNacos, client: Counting
) -> None:
    async with registered(client, OFTEN) as registration:
        update(registration, enabled=False)
        await eventually(lambda: nacos.instances("demo") == ())
        await client.asked_again(3)
        assert registration.lost == 0
        assert registration.registered
        assert registration.error is None


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
        update(registration, metadata={"md5": "abc"})
        await eventually(lambda: not registration._stirred.is_set())
        await registration._check()
        assert nacos.instances("demo") == ()
        assert registration.lost == 0


async def test_a_registration_under_way_does_not_outlive_the_deregistration(
    nacos: FakeNacos, client: Counting
) -> None:
    async with registered(client) as registration:
        client.held = asyncio.Event()
        update(registration, weight=0.5)
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


async def test_a_persistent_instance_that_cannot_be_deregistered_is_told_to_stay(
    nacos: FakeNacos, client: Counting, caplog: pytest.LogCaptureFixture
) -> None:
    registration = Registration(client, replace(OURS, ephemeral=False), GROUP, SELDOM)
    await registration.register()
    nacos.up = False
    await registration.deregister()
    assert "stays in the registry until somebody deletes it" in caplog.text


async def test_what_was_never_registered_is_not_deregistered(
    nacos: FakeNacos, client: Counting
) -> None:
    nacos.put(OURS, GROUP)
    await client.connect()
    await Registration(client, OURS, GROUP, SELDOM).deregister()
    assert nacos.instances("demo") == (OURS,)

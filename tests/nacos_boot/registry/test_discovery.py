import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from nacos_boot.registry.discovery import Discovery
from nacos_boot.registry.instance import Instance
from tests.fakes.nacos import GROUP, FakeNacos, FakeNacosClient
from tests.waiting import eventually

SELDOM = timedelta(hours=1)
OFTEN = timedelta(milliseconds=10)
NEVER = timedelta(0)
LONG = timedelta(hours=1)
ONE, TWO = Instance("demo", "10.0.0.1", 81), Instance("demo", "10.0.0.2", 81)


@pytest.fixture
def nacos() -> FakeNacos:
    return FakeNacos()


@asynccontextmanager
async def following(
    nacos: FakeNacos,
    interval: timedelta = SELDOM,
    client: FakeNacosClient | None = None,
    hold: timedelta = NEVER,
) -> AsyncIterator[Discovery]:
    discovery = Discovery(client or FakeNacosClient(nacos), "demo", GROUP, interval, hold)
    watch = asyncio.create_task(discovery.watch())
    try:
        yield discovery
        assert discovery.stopped or not watch.done()
    finally:
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)


async def test_the_list_is_pushed_down_to_the_last_instances_removal(nacos: FakeNacos) -> None:
    nacos.put(TWO, GROUP)
    async with following(nacos) as discovery:
        await eventually(lambda: discovery.instances == (TWO,))
        nacos.put(ONE, GROUP)
        await eventually(lambda: discovery.instances == (ONE, TWO))
        nacos.take_out(TWO, GROUP)
        await eventually(lambda: discovery.instances == (ONE,))
        nacos.take_out(ONE, GROUP)
        await eventually(lambda: discovery.instances == ())


async def test_a_client_with_a_bug_does_not_end_the_watch(
    nacos: FakeNacos, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(FakeNacosClient):
        broken = True

        async def instances(self, service: str, group: str) -> tuple[Instance, ...]:
            if self.broken:
                raise TypeError("a bug in the client")
            return await super().instances(service, group)

    client = Broken(nacos)
    nacos.deaf = True
    async with following(nacos, OFTEN, client) as discovery:
        await eventually(lambda: "a bug in the client" in caplog.text)
        client.broken = False
        nacos.put(ONE, GROUP)
        await eventually(lambda: discovery.instances == (ONE,))


async def test_a_change_of_metadata_or_weight_is_a_change(nacos: FakeNacos) -> None:
    nacos.put(ONE, GROUP)
    changed = Instance("demo", "10.0.0.1", 81, weight=0.5, metadata={"zone": "a"})
    async with following(nacos) as discovery:
        await eventually(lambda: discovery.instances == (ONE,))
        nacos.put(changed, GROUP)
        await eventually(lambda: discovery.instances == (changed,))


async def test_observers_are_told_of_each_change_once_and_of_the_present_list(
    nacos: FakeNacos,
) -> None:
    nacos.put(ONE, GROUP)
    async with following(nacos, OFTEN) as discovery:
        early: list[tuple[Instance, ...]] = []
        discovery.observe(early.append)
        await eventually(lambda: discovery.instances == (ONE,))
        late: list[tuple[Instance, ...]] = []
        discovery.observe(late.append)
        nacos.put(TWO, GROUP)
        await eventually(lambda: discovery.instances == (ONE, TWO))
        assert early == [(ONE,), (ONE, TWO)]
        assert late == [(ONE,), (ONE, TWO)]


async def test_an_observer_that_raises_does_not_stop_the_others(
    nacos: FakeNacos, caplog: pytest.LogCaptureFixture
) -> None:
    armed = False

    def broken(_: object) -> None:
        if armed:
            raise RuntimeError("broken component")

    async with following(nacos, OFTEN) as discovery:
        told: list[tuple[Instance, ...]] = []
        discovery.observe(broken)
        discovery.observe(told.append)
        armed = True
        nacos.put(ONE, GROUP)
        await eventually(lambda: told and told[-1] == (ONE,))
        nacos.put(TWO, GROUP)
        await eventually(lambda: told[-1] == (ONE, TWO))
        assert "broken component" in caplog.text


async def test_a_discovery_that_is_stopped_tells_nobody(nacos: FakeNacos) -> None:
    async with following(nacos) as discovery:
        told: list[tuple[Instance, ...]] = []
        discovery.observe(told.append)
        nacos.put(ONE, GROUP)
        await eventually(lambda: told and told[-1] == (ONE,))
        discovery.stop()
        before = list(told)
        nacos.put(TWO, GROUP)
        await eventually(lambda: discovery.instances == (ONE, TWO))
        assert told == before


async def test_the_first_list_is_told_even_when_it_is_empty(nacos: FakeNacos) -> None:
    nacos.up = False
    async with following(nacos, OFTEN) as discovery:
        told: list[tuple[Instance, ...]] = []
        discovery.observe(told.append)
        await eventually(lambda: discovery.error)
        # An outage is no list.
        assert told == []
        nacos.up = True
        await eventually(lambda: told == [()])


async def test_the_watchdog_finds_what_was_not_pushed(nacos: FakeNacos) -> None:
    nacos.deaf = True
    async with following(nacos, OFTEN) as discovery:
        nacos.put(ONE, GROUP)
        await eventually(lambda: discovery.instances == (ONE,))
        nacos.take_out(ONE, GROUP)
        await eventually(lambda: discovery.instances == ())


async def test_while_nacos_is_away_the_last_list_stays(
    nacos: FakeNacos, caplog: pytest.LogCaptureFixture
) -> None:
    nacos.put(ONE, GROUP)
    async with following(nacos, OFTEN) as discovery:
        await eventually(lambda: discovery.instances == (ONE,))
        nacos.up = False
        await eventually(lambda: discovery.error)
        assert "fake:8848" in str(discovery.error)
        assert discovery.instances == (ONE,)
        nacos.deaf = True
        nacos.put(TWO, GROUP)
        nacos.up = True
        await eventually(lambda: discovery.instances == (ONE, TWO))
        assert discovery.error is None
        assert caplog.text.count("the last list of demo stays in force") == 1


async def test_it_connects_and_subscribes_once_nacos_can_be_asked(nacos: FakeNacos) -> None:
    nacos.up = False
    discovery = Discovery(FakeNacosClient(nacos), "demo", GROUP, SELDOM)
    await discovery.refresh()
    assert discovery.error
    nacos.up = True
    await discovery.refresh()
    nacos.put(ONE, GROUP)
    await eventually(lambda: discovery.instances == (ONE,))


async def test_an_instance_outlives_a_restart_of_nacos(
    nacos: FakeNacos, caplog: pytest.LogCaptureFixture
) -> None:
    nacos.put(ONE, GROUP)
    nacos.put(TWO, GROUP)
    async with following(nacos, OFTEN, hold=LONG) as discovery:
        told: list[tuple[Instance, ...]] = []
        discovery.observe(told.append)
        await eventually(lambda: discovery.instances == (ONE, TWO))
        nacos.up = False
        await eventually(lambda: discovery.error)
        nacos.lose("demo")
        nacos.up = True
        await eventually(lambda: discovery.held == {ONE.address, TWO.address})
        assert discovery.instances == (ONE, TWO)
        again = Instance("demo", ONE.ip, ONE.port, metadata={"id": "new"})
        nacos.put(again, GROUP)
        await eventually(lambda: discovery.instances == (again, TWO))
        assert discovery.held == {TWO.address}
        assert told[-1] == (again, TWO)
        assert all(len(instances) != 0 for instances in told[1:])
        assert "does not list 10.0.0.1:81, 10.0.0.2:81 of demo yet" in caplog.text


async def test_the_hold_ends_though_nothing_is_pushed_and_the_pull_is_slow(
    nacos: FakeNacos,
) -> None:
    nacos.put(ONE, GROUP)
    async with following(nacos, hold=timedelta(milliseconds=300)) as discovery:
        await eventually(lambda: discovery.instances == (ONE,))
        # Noticed by the connection alone, with pulls an hour apart.
        nacos.restart()
        await eventually(lambda: discovery.held == {ONE.address})
        assert discovery.instances == (ONE,)
        await eventually(lambda: discovery.instances == ())
        assert discovery.held == frozenset()
        # From then on a removal counts at once again.
        nacos.put(ONE, GROUP)
        await eventually(lambda: discovery.instances == (ONE,))
        nacos.take_out(ONE, GROUP)
        await eventually(lambda: discovery.instances == (), limit=1)


async def test_while_nacos_stays_away_it_is_asked_at_the_interval_only(nacos: FakeNacos) -> None:
    class Counting(FakeNacosClient):
        asked = 0

        async def instances(self, service: str, group: str) -> tuple[Instance, ...]:
            self.asked += 1
            return await super().instances(service, group)

    nacos.put(ONE, GROUP)
    client = Counting(nacos)
    hold = timedelta(milliseconds=50)
    async with following(nacos, client=client, hold=hold) as discovery:
        await eventually(lambda: discovery.instances == (ONE,))
        nacos.restart()
        nacos.up = False  # it is gone again before the hold is over
        await eventually(lambda: discovery.error)
        before = client.asked
        await asyncio.sleep(0.2)
        assert client.asked == before
        assert discovery.instances == (ONE,)


async def test_an_answer_older_than_what_was_pushed_meanwhile_is_dropped(nacos: FakeNacos) -> None:
    class Late(FakeNacosClient):
        async def instances(self, service: str, group: str) -> tuple[Instance, ...]:
            found = await super().instances(service, group)
            nacos.put(TWO, group)
            await asyncio.sleep(0)  # the push goes out, and only then the answer
            return found

    nacos.put(ONE, GROUP)
    client = Late(nacos)
    discovery = Discovery(client, "demo", GROUP, SELDOM)
    await discovery.refresh()
    assert discovery.instances == (ONE, TWO)

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from nacos_boot.discovery import Discovery
from nacos_boot.instance import Instance
from tests.fakes.nacos import GROUP, FakeNacos, FakeNacosClient
from tests.waiting import eventually

SELDOM = timedelta(hours=1)
OFTEN = timedelta(milliseconds=10)
ONE, TWO = Instance("demo", "10.0.0.1", 81), Instance("demo", "10.0.0.2", 81)


@pytest.fixture
def nacos() -> FakeNacos:
    return FakeNacos()


@asynccontextmanager
async def following(
    nacos: FakeNacos, interval: timedelta = SELDOM, client: FakeNacosClient | None = None
) -> AsyncIterator[Discovery]:
    client = client or FakeNacosClient(nacos)
    await client.connect()
    discovery = Discovery(client, "demo", GROUP, interval)
    watch = asyncio.create_task(discovery.watch())
    try:
        yield discovery
        assert not watch.done()
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
        assert early == [(), (ONE,), (ONE, TWO)]
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
        await eventually(lambda: told[-1] == (ONE,))
        nacos.put(TWO, GROUP)
        await eventually(lambda: told[-1] == (ONE, TWO))
        assert "broken component" in caplog.text


async def test_a_discovery_that_is_stopped_tells_nobody(nacos: FakeNacos) -> None:
    async with following(nacos) as discovery:
        told: list[tuple[Instance, ...]] = []
        discovery.observe(told.append)
        nacos.put(ONE, GROUP)
        await eventually(lambda: told == [(), (ONE,)])
        discovery.stop()
        nacos.put(TWO, GROUP)
        await eventually(lambda: discovery.instances == (ONE, TWO))
        assert told == [(), (ONE,)]


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
        nacos.up = True
        nacos.deaf = True
        nacos.put(TWO, GROUP)
        await eventually(lambda: discovery.instances == (ONE, TWO))
        assert discovery.error is None
        assert caplog.text.count("the last list of demo stays in force") == 1


async def test_it_subscribes_once_nacos_can_be_asked(nacos: FakeNacos) -> None:
    nacos.up = False
    client = FakeNacosClient(nacos)
    discovery = Discovery(client, "demo", GROUP, SELDOM)
    await discovery.refresh()
    assert discovery.error
    nacos.up = True
    await client.connect()
    await discovery.refresh()
    nacos.put(ONE, GROUP)
    await eventually(lambda: discovery.instances == (ONE,))


async def test_an_answer_older_than_what_was_pushed_meanwhile_is_dropped(nacos: FakeNacos) -> None:
    class Late(FakeNacosClient):
        async def instances(self, service: str, group: str) -> tuple[Instance, ...]:
            found = await super().instances(service, group)
            nacos.put(TWO, group)
            await asyncio.sleep(0)  # the push goes out, and only then the answer
            return found

    nacos.put(ONE, GROUP)
    client = Late(nacos)
    await client.connect()
    discovery = Discovery(client, "demo", GROUP, SELDOM)
    await discovery.refresh()
    assert discovery.instances == (ONE, TWO)

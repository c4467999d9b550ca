"""A Nacos of its own that is stopped, killed and started, and what discovery makes of it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from devtools.guard import Guard
from devtools.nacos import NacosServer
from devtools.ports import Ports
from nacos_boot.nacos.client import NacosClient
from nacos_boot.registry.discovery import Discovery
from nacos_boot.registry.instance import Instance
from nacos_boot.registry.registration import Registration
from nacos_boot.start.nacos_settings import NacosSettings
from tests.waiting import eventually

GROUP = "DEFAULT_GROUP"
# Above the SDK's longest pause between two attempts to connect, on a slow machine.
HOLD = timedelta(seconds=10)
OFTEN = timedelta(seconds=0.5)
ONE = Instance("restart", "10.255.0.1", 81, metadata={"id": "one"})
TWO = Instance("restart", "10.255.0.2", 81, metadata={"id": "two"})
LASTING = Instance("restart-lasting", "10.255.0.3", 81, ephemeral=False)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NacosServer]:
    state = tmp_path.resolve()
    guard = Guard(state)
    nacos = NacosServer(state, Ports.free())
    nacos.start()
    yield nacos
    nacos.kill()
    guard.release()


@asynccontextmanager
async def client(server: NacosServer) -> AsyncIterator[NacosClient]:
    account = {"username": "nacos", "password": "nacos"}
    made = NacosClient(NacosSettings.model_validate({"server-addr": [server.address], **account}))
    await made.connect()
    try:
        yield made
    finally:
        await made.close()


async def test_no_instance_is_lost_when_nacos_is_started_anew(server: NacosServer) -> None:
    tasks: list[asyncio.Task[None]] = []
    async with client(server) as first, client(server) as second, client(server) as third:
        one = Registration(first, ONE, GROUP, OFTEN)
        two = Registration(second, TWO, GROUP, OFTEN)
        lasting = Registration(second, LASTING, GROUP, OFTEN)
        discovery = Discovery(third, ONE.service, GROUP, OFTEN, HOLD)
        lists: list[tuple[Instance, ...]] = []
        try:
            for registration in (one, two, lasting):
                await registration.register()
                tasks.append(asyncio.create_task(registration.watch()))
            tasks.append(asyncio.create_task(discovery.watch()))
            await eventually(lambda: discovery.instances == (ONE, TWO))
            discovery.observe(lists.append)

            async def in_registry() -> bool:
                return set(await third.instances(ONE.service, GROUP)) == {ONE, TWO}

            for end in (server.stop, server.kill):
                lost = one.lost, two.lost
                await asyncio.to_thread(end)
                await eventually(lambda: discovery.error, limit=10)
                await asyncio.to_thread(server.start)
                await eventually(lambda: discovery.error is None, limit=20)
                # The registrations are back by themselves, before the hold is over.
                await eventually(in_registry, limit=20)
                assert one.lost > lost[0]
                assert two.lost > lost[1]
                await eventually(lambda: not discovery.held)
                await eventually(lambda: one.registered and two.registered, limit=20)
            assert all(len(found) == 2 for found in lists)

            # What is pushed arrives again, once subscriptions are made up for.
            heavy = replace(ONE, weight=2.0)
            one.update(weight=2.0, enabled=True, metadata=ONE.metadata)
            await eventually(lambda: discovery.instances == (heavy, TWO))
            # And who is really gone goes, at the latest when the hold is over.
            await two.deregister()
            await eventually(
                lambda: discovery.instances == (heavy,), limit=HOLD.total_seconds() + 5
            )
            await one.deregister()
            await eventually(lambda: discovery.instances == ())

            # The persistent one was never lost: the server kept it on its disk.
            assert lasting.lost == 0
            [found] = await third.instances(LASTING.service, GROUP)
            assert (found.address, found.ephemeral) == (LASTING.address, False)
            await lasting.deregister()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

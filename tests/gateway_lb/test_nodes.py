"""The pool follows the nodes of the service that the settings name."""

import asyncio
from typing import cast

from gateway_lb.nodes import follow_nodes
from gateway_lb.pool import Pool
from gateway_lb.settings import GatewaySettings
from nacos_boot.background import Background
from nacos_boot.boot import Boot
from nacos_boot.config.live import LiveSettings
from nacos_boot.registry.discovery import Discovery
from nacos_boot.registry.instance import Instance
from tests.fakes.nacos import GROUP, FakeNacos, FakeNacosClient
from tests.nacos_boot.registry.test_discovery import SELDOM
from tests.waiting import eventually

ONE, OTHER = Instance("nodes", "10.0.0.1", 81), Instance("others", "10.0.0.2", 81)


class Discovering:
    """The part of Boot that is used here."""

    def __init__(self, nacos: FakeNacos, background: Background) -> None:
        self.client = FakeNacosClient(nacos)
        self._background = background

    def discover(self, service: str) -> Discovery:
        discovery = Discovery(self.client, service, GROUP, SELDOM)
        self._background.spawn(service, discovery.watch())
        return discovery


def settings(service: str) -> GatewaySettings:
    return GatewaySettings.model_validate({"gateway": {"service-name": service}})


async def test_another_name_replaces_the_list_when_nacos_has_given_it() -> None:
    nacos, background, pool = FakeNacos(), Background(), Pool()
    nacos.put(ONE, GROUP)
    live = LiveSettings(settings("nodes"))
    boot = Discovering(nacos, background)
    # Only what is used of it is there.
    await follow_nodes(cast("Boot[GatewaySettings]", boot), live, pool)

    def addresses() -> list[str]:
        return [member.instance.address for member in pool.members]

    assert addresses() == [ONE.address]
    nacos.up = False
    live.swap(settings("others"))
    for _ in range(10):
        await asyncio.sleep(0)
    assert addresses() == [ONE.address]
    nacos.up = True
    nacos.put(OTHER, GROUP)
    boot.client.reconnected()
    await eventually(lambda: addresses() == [OTHER.address])
    nacos.take_out(ONE, GROUP)
    nacos.put(Instance("nodes", "10.0.0.3", 81), GROUP)
    for _ in range(10):
        await asyncio.sleep(0)
    assert addresses() == [OTHER.address]

    # A name that nobody has: that is a list, too.
    live.swap(settings("nobody"))
    await eventually(lambda: addresses() == [])
    await background.close()

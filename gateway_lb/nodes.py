"""Keep the pool equal to the nodes that Nacos knows, under the name that the settings give."""

from gateway_lb.pool import Pool
from gateway_lb.settings import GatewaySettings
from nacos_boot.boot import Boot
from nacos_boot.config.live import LiveSettings


async def follow_nodes(
    boot: Boot[GatewaySettings], live: LiveSettings[GatewaySettings], pool: Pool
) -> None:
    """Follow `gateway.service-name`, from a first list on.

    Another name replaces the list when Nacos has given it.
    """
    following = boot.discover(live.current.gateway.service_name)
    await following.refresh()
    following.observe(pool.replace)

    def renamed(old: GatewaySettings, new: GatewaySettings) -> None:
        nonlocal following
        if old.gateway.service_name == new.gateway.service_name:
            return
        following.stop()
        following = boot.discover(new.gateway.service_name)
        following.observe(pool.replace)

    live.subscribe(renamed)

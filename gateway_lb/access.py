"""Who may call the gateway's own routes; what it passes on is judged by the nodes."""

from gateway_lb.settings import GatewaySettings
from nacos_boot.config.live import LiveSettings
from nacos_boot.http.access import Access
from nacos_boot.http.proxies import TrustedProxies


def gateway_access(live: LiveSettings[GatewaySettings], proxies: TrustedProxies) -> Access:
    """Make the door of the gateway's own routes; it follows `gateway.api.keys`."""
    return Access.of(
        live,
        proxies,
        lambda _method, _rule: "read",
        setting="gateway.api.keys",
        keys=lambda settings: settings.gateway.api.keys,
    )

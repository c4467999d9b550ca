"""Who may call a node's API: the scope of each route, and the door in front of them all."""

from nacos_boot.config.live import LiveSettings
from nacos_boot.http.access import Access
from nacos_boot.http.proxies import TrustedProxies
from service.api.settings import Scope
from service.settings import NodeSettings


def scope_of(method: str, rule: str) -> Scope | None:
    """Give the scope that a route asks for; None where everybody may (`/openapi.json`)."""
    if not rule.startswith("/api/"):
        return None
    if method in {"GET", "HEAD"}:
        return "read"
    return "disconnect" if method == "DELETE" else "push"


def node_access(live: LiveSettings[NodeSettings], proxies: TrustedProxies) -> Access:
    """Make the door of a node's HTTP side; it follows `websocket.api.keys`."""
    return Access.of(
        live,
        proxies,
        scope_of,
        setting="websocket.api.keys",
        keys=lambda settings: settings.websocket.api.keys,
    )

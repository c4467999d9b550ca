"""How long the head of a request may be, and how long it may take. A handshake is no more."""

from collections.abc import Mapping

from nacos_boot.config.live import LiveSettings
from nacos_boot.http.protocol import HttpProtocol, http_protocol
from service import metrics
from service.settings import NodeSettings

_LIMITS: Mapping[int, str] = {408: "head-timeout", 431: "head-size"}


def limited_http(live: LiveSettings[NodeSettings]) -> type[HttpProtocol]:
    """Give the class of a node's connections, which follows the settings."""
    http = http_protocol()
    http.on_refused = staticmethod(_count)

    def use(settings: NodeSettings) -> None:
        limits = settings.websocket.limits
        http.head_limit = limits.head_size
        http.head_timeout = limits.head_timeout.total_seconds()

    use(live.current)
    live.subscribe(lambda _, new: use(new))
    return http


def _count(status: int) -> None:
    if status in _LIMITS:
        metrics.LIMITED.labels(_LIMITS[status]).inc()

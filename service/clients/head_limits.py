"""How long the head of a request may be, and how long it may take. A handshake is no more."""

from collections.abc import Mapping

from nacos_boot.config.live import LiveSettings
from nacos_boot.http.head_limits import limited_http
from nacos_boot.http.protocol import HttpProtocol
from service import metrics
from service.settings import NodeSettings

_LIMITS: Mapping[int, str] = {408: "head-timeout", 431: "head-size"}


def counted_http(live: LiveSettings[NodeSettings]) -> type[HttpProtocol]:
    """Give the class of a node's connections, which follows the settings and counts refusals."""
    http = limited_http(live, lambda settings: settings.websocket.limits)
    http.on_refused = staticmethod(_count)
    return http


def _count(status: int) -> None:
    if status in _LIMITS:
        metrics.LIMITED.labels(_LIMITS[status]).inc()

"""The gateway's metrics, in one place so that names and meanings are found at once."""

from collections.abc import Iterator

from prometheus_client import REGISTRY, Counter, Gauge
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

RELAYS_OPEN = Gauge("gateway_relays_open", "WebSockets being relayed now.")
RELAYS = Counter("gateway_relays", "WebSockets relayed since the start.")
HANDSHAKE_FAILURES = Counter(
    "gateway_handshake_failures", "Handshakes that did not become a relay, by reason.", ["reason"]
)
NODE_FAILURES = Counter(
    "gateway_node_failures", "Attempts that a node failed, by reason; it is set aside.", ["reason"]
)
RETRIES = Counter("gateway_retries", "Handshakes and requests taken to a further node.")
PROXIED = Counter("gateway_proxied", "HTTP requests passed on, by class of the answer.", ["status"])


class Traffic(Collector):
    """Bytes relayed, by direction.

    Plain integers, because a prometheus Counter takes a lock, which a relay would feel per frame.
    """

    __slots__ = ("down", "up")

    def __init__(self) -> None:
        self.up = Direction()
        self.down = Direction()

    def collect(self) -> Iterator[CounterMetricFamily]:
        """Give the sums of this moment."""
        family = CounterMetricFamily(
            "gateway_relayed_bytes",
            "Bytes relayed: up to the nodes, down to the clients.",
            labels=["direction"],
        )
        family.add_metric(["up"], self.up.bytes)
        family.add_metric(["down"], self.down.bytes)
        yield family


class Direction:
    """The bytes that went one way."""

    __slots__ = ("bytes",)

    def __init__(self) -> None:
        self.bytes = 0


TRAFFIC = Traffic()
REGISTRY.register(TRAFFIC)

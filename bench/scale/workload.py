"""What the cluster is asked to carry, and what one machine can give."""

from dataclasses import dataclass

from service.settings import PushMode


@dataclass(frozen=True, slots=True)
class Workload:
    """Rates are per second and of the whole cluster; times are seconds, sizes bytes.

    `batch` pushes come in one request; 1 is `POST /api/push`. Requests go to all nodes alike. Each
    push is for one user, all are as likely, and all are connected, for `lifetime` each time.
    `look_up` and `confirm` are what Redis and RabbitMQ take to answer when nobody is busy.
    """

    users: float
    pushes: float
    mode: PushMode = "routed"
    batch: float = 100
    connections_per_user: float = 1.0
    payload: int = 200
    lifetime: float = 1800.0
    ping_interval: float = 25.0
    look_up: float = 0.001
    confirm: float = 0.002
    look_interval: float = 1.0
    registry_interval: float = 5.0
    scrape_interval: float = 15.0

    @property
    def connections(self) -> float:
        """Open WebSockets."""
        return self.users * self.connections_per_user

    @property
    def churn(self) -> float:
        """WebSockets that open each second; as many end."""
        return self.connections / self.lifetime


@dataclass(frozen=True, slots=True)
class Limits:
    """What there is. A `headroom` of 0.5: it must do for twice the load.

    A node and a gateway are one process, hence one core; memory and network are its share of a
    machine of 16 cores, 64 GB and 10 Gbit/s. A broker is a whole machine.
    """

    headroom: float = 0.5
    node_memory: float = 4e9
    node_connections: float = 100_000
    node_bytes: float = 1.25e9 / 16
    broker_cores: float = 16
    broker_bytes: float = 1.25e9
    redis_memory: float = 16e9
    gateway_files: float = 1_000_000
    local_ports: float = 28_232
    nacos_bytes: float = 1.25e9
    machine_cores: int = 16
    max_nodes: int = 5000


LIMITS = Limits()

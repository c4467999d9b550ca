"""Nodes whose users a load generator connects: what pushes are measured on."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise

from bench.cpu import confined, cpu_seconds, move
from bench.lab import Lab
from bench.load import Load
from bench.node import READY_LIMIT, Node
from devtools.probes import http
from devtools.waiting import StartError, wait_for

ROUTED = {"WEBSOCKET_PUSH_MODE": "routed"}

# So many starts keep two cores busy; more of them would only wait for each other.
_AT_ONCE = 4


class Nodes:
    """Nodes of one cluster. Started on all cores; then they stay on `cores`, if there are any."""

    def __init__(self, lab: Lab, settings: Mapping[str, str], cores: Sequence[int] = ()) -> None:
        self._lab = lab
        self._settings = settings
        self._cores = cores
        self.all: list[Node] = []

    def grow(self, count: int) -> None:
        """Start so many more nodes, and wait until all know each other. Raises StartError."""
        for begun in range(0, count, _AT_ONCE):
            wave = [
                self._lab.spawn_node(settings=self._settings)
                for _ in range(min(_AT_ONCE, count - begun))
            ]
            self.all += wave
            for node in wave:
                node.wait_ready()
                if self._cores:
                    move(node.child.pid, self._cores)
        if not wait_for(lambda: all(map(_settled, self.all)), READY_LIMIT):
            raise StartError(f"the nodes did not find each other within {READY_LIMIT:g} s")

    def connect(self, load: Load, counts: Sequence[int], first: int = 0) -> None:
        """Connect users, so many at each node: the first node's are u<first>, and so on.

        Raises LoadError.
        """
        bounds = [first + sum(counts[:place]) for place in range(len(counts) + 1)]
        for node, (begin, end) in zip(self.all, pairwise(bounds), strict=True):
            if end > begin:
                # The greeting comes when the Directory has the user.
                load.connect(node.address, "/websocket/u{n}", end - begin, first=begin, greeting=1)

    def cpu_seconds(self) -> float:
        """Give the CPU time that all of them have used up to now."""
        return cpu_seconds(node.child.pid for node in self.all)

    def stop(self) -> None:
        """End all of them at once, as a crash would: nobody is left whom that could mislead."""
        for node in self.all:
            node.child.kill()


@contextmanager
def pair(lab: Lab, cores: Sequence[int] = ()) -> Iterator[Nodes]:
    """Open two nodes in routed mode, on these cores (all, if none).

    Raises StartError, PortError.
    """
    opened = Nodes(lab, ROUTED, cores)
    try:
        opened.grow(2)
        yield opened
    finally:
        for node in opened.all:
            node.child.stop()


@contextmanager
def servers_aside(lab: Lab) -> Iterator[None]:
    """Keep the servers off the tested core for a while."""
    servers = lab.servers
    pids = [child.pid for child in (servers.nacos, servers.redis, servers.rabbitmq)]
    with confined(pids, lab.cores.others):
        yield


def _settled(node: Node) -> bool:
    """Whether a node tells users that are offline from such as it does not know of."""
    match http(f"http://{node.address}/actuator/health").json():
        case {"components": {"redis": {"details": {"directorySettled": True}}}}:
            return True
    return False

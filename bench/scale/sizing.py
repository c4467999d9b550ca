"""The smallest cluster that carries a workload."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from bench.scale.costs import Costs
from bench.scale.node import Node, Nodes, Shape, nodes_of
from bench.scale.servers import Servers, servers_of
from bench.scale.workload import LIMITS, Limits, Workload

_HALVINGS = 50
_STEPS = 50
_FULL = 1 + 1e-6
_PARTS = (1.0, 0.5, 0.25)


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster that carries its workload; with one node less, `limited_by` would not do."""

    work: Workload
    nodes: Nodes
    servers: Servers
    limited_by: str

    @property
    def machines(self) -> int:
        """Machines of 16 cores for nodes and gateways."""
        return -(-(self.nodes.shape.nodes + self.servers.gateways) // LIMITS.machine_cores)


def used(node: Node, limits: Limits) -> dict[str, float]:
    """Tell what part of each of its limits a node uses."""
    return {
        "CPU": node.busy,
        "connections": node.connections / limits.node_connections,
        "memory": node.memory / limits.node_memory,
        "network": node.bytes_out / limits.node_bytes,
    }


def smallest(
    work: Workload, costs: Costs, limits: Limits = LIMITS, *, publishers: bool = False
) -> Cluster | None:
    """Find the least number of nodes; None where no number up to `limits.max_nodes` is enough.

    With `publishers`, API requests go to nodes of their own. Above 50 nodes the answer may be 2 %
    above the least one.
    """
    holders = max(1, math.ceil(work.connections / (limits.headroom * limits.node_connections)))
    short = "connections" if holders > 1 else "nothing"
    while holders <= limits.max_nodes:
        shape = Shape(holders, _publishers(work, holders, costs, limits) if publishers else 0)
        lacking = _lacking(work, shape, costs, limits)
        if not lacking:
            nodes = nodes_of(work, shape, costs)
            return Cluster(work, nodes, servers_of(work, nodes, costs, limits), short)
        short = lacking
        holders += max(1, holders // _STEPS)
    return None


def _lacking(work: Workload, shape: Shape, costs: Costs, limits: Limits) -> str:
    """Say what these nodes lack most; nothing where they carry the load with its headroom.

    A Pusher that has CPU to spare merges less, so that the nodes with clients may have more to do
    when publishers have less.
    """
    for part in (1 / limits.headroom, *_PARTS):
        load = replace(work, users=work.users * part, pushes=work.pushes * part)
        nodes = nodes_of(load, shape, costs)
        over = {name: part for name, part in used(nodes.holder, limits).items() if part > _FULL}
        if over:
            return max(over, key=lambda name: over[name])
        if not nodes.cycle.keeps_up or nodes.publisher.busy > _FULL:
            return "CPU"
    return ""


def most_pushes(work: Workload, shape: Shape, costs: Costs, limits: Limits = LIMITS) -> float:
    """Find the most pushes per second that these nodes and one broker carry."""
    return _most(lambda p: _carries(replace(work, pushes=p), shape, costs, limits), 1e7)


def reserve(cluster: Cluster, costs: Costs) -> float:
    """Tell how many times its pushes the nodes of a cluster could carry."""
    work, shape = cluster.work, cluster.nodes.shape

    def carry(times: float) -> bool:
        nodes = nodes_of(replace(work, pushes=work.pushes * times), shape, costs)
        return nodes.cycle.keeps_up and max(nodes.holder.busy, nodes.publisher.busy) <= _FULL

    return _most(carry, 1000.0)


def _most(possible: Callable[[float], bool], high: float) -> float:
    low = 0.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if possible(middle):
            low = middle
        else:
            high = middle
    return low


def _publishers(work: Workload, holders: int, costs: Costs, limits: Limits) -> int:
    """Find the least number of nodes that can take all requests."""
    load = replace(work, pushes=work.pushes / limits.headroom)

    def enough(publishers: int) -> bool:
        nodes = nodes_of(load, Shape(holders, publishers), costs)
        return nodes.cycle.keeps_up and nodes.publisher.busy <= _FULL

    high = 1
    while not enough(high) and high < limits.max_nodes:
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        if enough(middle):
            high = middle
        else:
            low = middle
    return high


def _carries(work: Workload, shape: Shape, costs: Costs, limits: Limits) -> bool:
    if _lacking(work, shape, costs, limits):
        return False
    return servers_of(work, nodes_of(work, shape, costs), costs, limits).brokers == 1

"""What each node spends: parts of its core, bytes of memory, bytes a second."""

from dataclasses import dataclass

from bench.scale.costs import Costs
from bench.scale.merging import Cycle, Homes, PusherCosts, cycle
from bench.scale.workload import Workload

PACKET = 82
"""Bytes around a small message: WebSocket, TCP with timestamps, IP and Ethernet headers."""

PART = 90
"""Bytes of a push in an Envelope beside its content: id, user, JSON."""

ENVELOPE = 300
"""Bytes of an AMQP message beside its body: method, properties, headers, TCP."""


@dataclass(frozen=True, slots=True)
class Shape:
    """`holders` hold clients. With `publishers`, nodes of their own take all API requests."""

    holders: int
    publishers: int = 0

    @property
    def nodes(self) -> int:
        """All nodes."""
        return self.holders + self.publishers

    @property
    def pushing(self) -> int:
        """The nodes that take API requests."""
        return self.publishers or self.holders

    @property
    def homes(self) -> Homes:
        """Where pushes go."""
        return Homes(self.holders, own=not self.publishers)


@dataclass(frozen=True, slots=True)
class Node:
    """`cpu` gives the parts of its core by what they are for."""

    connections: float
    cpu: dict[str, float]
    memory: float
    bytes_out: float

    @property
    def busy(self) -> float:
        """The part of the core that is used; above 1 the node cannot keep up."""
        return sum(self.cpu.values())


@dataclass(frozen=True, slots=True)
class Nodes:
    """The nodes of a cluster: one that holds clients, and one that takes requests.

    They are the same where there are no publishers. `cycles` is per second of each Pusher.
    """

    shape: Shape
    holder: Node
    publisher: Node
    cycle: Cycle
    cycles: float

    @property
    def messages(self) -> float:
        """AMQP messages published in the cluster each second."""
        return self.cycles * self.cycle.messages * self.shape.pushing


def nodes_of(work: Workload, shape: Shape, costs: Costs) -> Nodes:
    """Work out the nodes of a cluster."""
    standing = {"standing by": _standing(work, shape, costs)}
    holding = _holding(work, shape, costs)
    taking = {"requests": _requests(work, shape, costs)}
    if work.mode == "fanout":
        turn, cycles = Cycle(1, 1, work.confirm), work.pushes / shape.pushing
        holding["consuming"] = work.pushes * costs.seconds("node.consume")
        taking["publishing"] = cycles * costs.seconds("node.publish")
    else:
        others = {**standing, **taking, **({} if shape.publishers else holding)}
        turn = _turn(work, shape, sum(others.values()), costs)
        cycles = work.pushes / shape.pushing / turn.pushes
        _add_routed(work, shape, (turn, cycles), (holding, taking), costs)
    published = work.pushes / shape.pushing * (work.payload + PART)
    published += cycles * turn.messages * ENVELOPE
    delivered = work.pushes * work.connections_per_user / shape.holders * (work.payload + PACKET)
    connections = work.connections / shape.holders
    if shape.publishers:
        if work.mode == "fanout":
            taking["consuming"] = holding["consuming"]
        holder = _node(connections, {**standing, **holding}, delivered, costs)
        publisher = _node(0, {**standing, **taking}, published, costs)
    else:
        everything = {**standing, **holding, **taking}
        holder = publisher = _node(connections, everything, delivered + published, costs)
    return Nodes(shape, holder, publisher, turn, cycles)


def _holding(work: Workload, shape: Shape, costs: Costs) -> dict[str, float]:
    coming = costs.seconds("node.connect") + costs.seconds("node.disconnect")
    delivered = work.pushes * work.connections_per_user / shape.holders
    pings = work.connections / shape.holders / work.ping_interval
    return {
        "pings": pings * costs.seconds("node.ping"),
        "clients that come and go": work.churn / shape.holders * coming,
        "socket writes": delivered * costs.seconds("node.deliver"),
    }


def _standing(work: Workload, shape: Shape, costs: Costs) -> float:
    looks = shape.nodes / work.look_interval * costs.seconds("node.look_record")
    lists = shape.nodes / work.registry_interval * costs.seconds("node.list_instance")
    scrapes = costs.seconds("node.scrape") / work.scrape_interval
    return looks + lists + scrapes + costs.seconds("node.idle")


def _requests(work: Workload, shape: Shape, costs: Costs) -> float:
    request = costs.seconds("node.request")
    each = request if work.batch <= 1 else request / work.batch + costs.seconds("node.batch_push")
    return work.pushes / shape.pushing * each


def _turn(work: Workload, shape: Shape, others: float, costs: Costs) -> Cycle:
    rate = work.pushes / shape.pushing
    consumed = 0.0
    if not shape.publishers:
        others += rate * work.connections_per_user * costs.seconds("node.part")
        consumed = costs.seconds("node.consume")
    spent = PusherCosts(
        look_up=work.look_up,
        confirm=work.confirm,
        turn=costs.seconds("node.lookup_call"),
        push=costs.seconds("node.lookup_user"),
        message=costs.seconds("node.publish"),
        consumed=consumed,
        others=others,
    )
    return cycle(shape.homes, rate, work.batch, spent)


def _add_routed(
    work: Workload,
    shape: Shape,
    sent: tuple[Cycle, float],
    parts: tuple[dict[str, float], dict[str, float]],
    costs: Costs,
) -> None:
    (turn, cycles), (holding, taking) = sent, parts
    messages = cycles * turn.messages
    taking["look-ups"] = cycles * costs.seconds("node.lookup_call") + (
        work.pushes / shape.pushing * costs.seconds("node.lookup_user")
    )
    taking["publishing"] = messages * costs.seconds("node.publish")
    pushes = work.pushes * work.connections_per_user / shape.holders
    if not shape.publishers:
        pushes *= (shape.holders - 1) / shape.holders
    holding["consuming"] = pushes * costs.seconds("node.part") + (
        messages * shape.pushing / shape.holders * costs.seconds("node.consume")
    )


def _node(connections: float, cpu: dict[str, float], bytes_out: float, costs: Costs) -> Node:
    memory = costs.size("node.bytes") + connections * (
        costs.size("node.connection_bytes") + costs.size("kernel.socket_bytes")
    )
    return Node(connections, cpu, memory, bytes_out)

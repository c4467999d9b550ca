"""The tables of docs/scale.md about sizes; others are in `cells`, `questions` and `storms`."""

from dataclasses import replace

from bench.scale.costs import Costs
from bench.scale.markdown import count, million, number, percent, table
from bench.scale.sizing import Cluster, reserve, smallest, used
from bench.scale.workload import LIMITS, Workload

TIERS = (
    Workload(users=1e6, pushes=1e6),
    Workload(users=1e7, pushes=1e6),
    Workload(users=1e8, pushes=1e6),
)
BATCHES = (1, 100, 1000)

_MEGA = 1e6


def machine(costs: Costs) -> str:
    """Tell where and when the costs were measured."""
    facts = costs.machine
    return f"{facts['date']}, one core of {facts['cpu']}; {facts['versions']}"


def costs_table(costs: Costs) -> str:
    """List every cost, its unit and how it was measured."""
    rows = [
        [f"`{name}`", number(cost.value), cost.unit, cost.how] for name, cost in costs.all.items()
    ]
    text = table(["cost", "value", "unit", "what"], rows, right=[1])
    return f"{machine(costs)}\n\n{text}"


def sizes(costs: Costs) -> str:
    """Size each tier in routed mode, by how many pushes come in one request."""
    heads = [
        "users",
        "pushes per request",
        "nodes",
        "limited by",
        "gateways",
        "machines for both",
        "pushes per AMQP message",
        "a Pusher's cycle, ms",
        "AMQP messages/s",
        "RabbitMQ cores",
        "brokers",
        "Redis primaries",
    ]
    rows = []
    for tier in TIERS:
        for batch in BATCHES:
            cluster = smallest(replace(tier, batch=batch), costs)
            rows.append([million(tier.users), count(batch), *_sizes(cluster)])
    return table(heads, rows, right=[1, 2, *range(4, len(heads))])


def _sizes(cluster: Cluster | None) -> list[str]:
    if cluster is None:
        return ["none is enough", *[""] * 9]
    nodes, servers = cluster.nodes, cluster.servers
    return [
        count(nodes.shape.nodes),
        cluster.limited_by,
        count(servers.gateways),
        count(cluster.machines),
        number(nodes.cycle.per_message),
        number(nodes.cycle.seconds * 1000),
        count(round(servers.messages, -3)),
        number(servers.broker_cores),
        count(servers.brokers),
        count(servers.redis_shards),
    ]


def shares(costs: Costs) -> str:
    """Tell what part of each limit the tiers use, 100 pushes per request."""
    clusters = [smallest(tier, costs) for tier in TIERS]
    found = [_shares(cluster, costs) for cluster in clusters if cluster]
    heads = ["resource", *(f"{million(tier.users)} users" for tier in TIERS)]
    rows = [[name, *(share[name] for share in found)] for name in found[0]]
    return table(heads, rows, right=[1, 2, 3])


def _shares(cluster: Cluster, costs: Costs) -> dict[str, str]:
    node, servers = cluster.nodes.holder, cluster.servers
    parts = used(node, LIMITS)
    return {
        "node: its core": percent(node.busy),
        **{f"… {name}": percent(part) for name, part in node.cpu.items()},
        "node: pushes that it could carry, of these": percent(reserve(cluster, costs)),
        "node: connections, of `max-connections`": percent(parts["connections"]),
        "node: memory, of 4 GB": percent(parts["memory"]),
        "node: network, of 78 MB/s": percent(parts["network"]),
        "RabbitMQ: a queue's process, of a core, at most": percent(servers.queue),
        "RabbitMQ: CPU, of one broker of 16 cores": percent(
            servers.broker_cores / LIMITS.broker_cores
        ),
        "RabbitMQ: network of each broker, of 10 Gbit/s": percent(
            servers.broker_bytes / LIMITS.broker_bytes
        ),
        "Redis: CPU, of one core": percent(servers.redis_cpu),
        "… looks at node records": percent(servers.looks),
        "Redis: memory, of 16 GB": percent(servers.redis_bytes / LIMITS.redis_memory),
        "Nacos: lists asked for, MB/s": number(servers.nacos_bytes / _MEGA),
        "Nacos: cores for these": number(servers.nacos_cores),
        "Nacos: lists pushed when an instance changes, MB": number(servers.nacos_change / _MEGA),
        "Nacos: gRPC connections": count(servers.nacos_connections),
    }

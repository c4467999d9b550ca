"""The tables of docs/scale.md about larger nodes, and about cells: clusters side by side."""

from dataclasses import replace

from bench.scale.costs import Costs
from bench.scale.markdown import count, million, number, percent, table
from bench.scale.sizing import Cluster, smallest
from bench.scale.tables import TIERS
from bench.scale.workload import LIMITS, Workload

CELLS = (1, 5, 20, 50)
LARGER = (100_000, 200_000, 400_000)

_GIGA = 1e9
_MEGA = 1e6
_MOST = 1000
_SERVERS = 5
"""Machines of a cell beside nodes and gateways: a RabbitMQ, a Redis, three Nacos."""


def cut(work: Workload, cells: int) -> Workload:
    """Give the part of one cell."""
    return replace(work, users=work.users / cells, pushes=work.pushes / cells)


def fewest(work: Workload, costs: Costs) -> tuple[int, Cluster] | None:
    """Find the least number of cells of which each can do with one RabbitMQ and one Redis."""
    for cells in range(1, _MOST):
        cluster = smallest(cut(work, cells), costs)
        if cluster and cluster.servers.brokers == cluster.servers.redis_shards == 1:
            return cells, cluster
    return None


def larger(costs: Costs) -> str:
    """Let the nodes of the largest tier have more connections, 100 pushes per request."""
    heads = [
        "`max-connections`",
        "connections of a node",
        "nodes",
        "memory of a node, GB",
        "CPU of a node",
        "looks: part of a Redis core",
        "MB per change in Nacos",
        "a push to everyone takes, ms",
    ]
    rows = []
    for most in LARGER:
        cluster = smallest(TIERS[-1], costs, replace(LIMITS, node_connections=most))
        if cluster is None:
            continue
        node, servers = cluster.nodes.holder, cluster.servers
        rows.append(
            [
                count(most),
                count(node.connections),
                count(cluster.nodes.shape.nodes),
                number(node.memory / _GIGA),
                percent(node.busy),
                percent(servers.looks),
                number(servers.nacos_change / _MEGA),
                number(node.connections * costs.seconds("node.deliver") * 1000),
            ]
        )
    return table(heads, rows, right=range(len(heads)))


def today(costs: Costs) -> str:
    """Build each tier of clusters with one RabbitMQ and one Redis."""
    heads = [
        "users",
        "cells",
        "users of each",
        "nodes of each",
        "gateways of each",
        "RabbitMQ cores of each",
        "Redis core of each",
        "MB per change in each Nacos",
        "machines in all",
    ]
    rows = []
    for tier in TIERS:
        found = fewest(tier, costs)
        if found is None:
            continue
        cells, cluster = found
        rows.append(
            [
                million(tier.users),
                count(cells),
                million(cluster.work.users),
                count(cluster.nodes.shape.nodes),
                count(cluster.servers.gateways),
                number(cluster.servers.broker_cores),
                percent(cluster.servers.redis_cpu),
                number(cluster.servers.nacos_change / _MEGA),
                count(cells * (cluster.machines + _SERVERS)),
            ]
        )
    return table(heads, rows, right=range(1, len(heads)))


def cells(costs: Costs) -> str:
    """Cut the largest tier into more and more cells."""
    heads = [
        "cells",
        "users of each",
        "nodes of each",
        "nodes in all",
        "pushes per AMQP message",
        f"RabbitMQ cores of each, of {LIMITS.broker_cores:g}",
        "Redis primaries of each",
        "Redis GB of each",
        "looks: part of a Redis core",
        "MB per change in each Nacos",
    ]
    rows = []
    for number_of in CELLS:
        cluster = smallest(cut(TIERS[-1], number_of), costs)
        if cluster is None:
            continue
        nodes, servers = cluster.nodes, cluster.servers
        rows.append(
            [
                count(number_of),
                million(cluster.work.users),
                count(nodes.shape.nodes),
                count(nodes.shape.nodes * number_of),
                number(nodes.cycle.per_message),
                number(servers.broker_cores),
                count(servers.redis_shards),
                number(servers.redis_bytes / _GIGA),
                percent(servers.looks),
                number(servers.nacos_change / _MEGA),
            ]
        )
    return table(heads, rows, right=range(len(heads)))

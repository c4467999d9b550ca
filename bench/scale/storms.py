"""The table of docs/scale.md about reconnect storms."""

import math

from bench.scale.costs import Costs
from bench.scale.markdown import count, million, table
from bench.scale.sizing import Cluster, smallest
from bench.scale.storm import Outcome, Stage, Storm, blow
from bench.scale.tables import TIERS
from bench.scale.workload import LIMITS

_SOON = 5.0
_LATER = 120.0
_LEAST = 0.05


def storms(costs: Costs) -> str:
    """Run the reconnect storms of the tiers that are one cluster."""
    heads = [
        "users",
        "what happens",
        "clients that return",
        "within, s",
        "99 % are back after, s",
        "all after, s",
        "handshakes per client",
        "narrowest",
    ]
    rows: list[list[str]] = []
    for tier in TIERS[:2]:
        cluster = smallest(tier, costs)
        if cluster is not None:
            rows.extend(_storms(cluster, costs))
    return table(heads, rows, right=range(2, 7))


def _storms(cluster: Cluster, costs: Costs) -> list[list[str]]:
    holders, gateways = cluster.nodes.shape.holders, cluster.servers.gateways
    each, everyone = cluster.nodes.holder.connections, cluster.work.connections
    tenth = max(1, holders // 10)
    events = (
        ("a node is lost", each, _SOON, holders - 1, gateways),
        ("a gateway is lost", everyone / gateways, _SOON, holders, gateways - 1),
        ("a tenth of the nodes is lost", tenth * each, _SOON, holders - tenth, gateways),
        ("all gateways start anew", everyone, _SOON, holders, gateways),
        ("the same", everyone, _LATER, holders, gateways),
    )
    redis = _stages(cluster, costs, holders, gateways)[-1:]
    rows = []
    for what, clients, spread, nodes_left, gateways_left in events:
        stages = _stages(cluster, costs, nodes_left, gateways_left)
        outcome = blow(Storm(clients, spread, stages))
        rows.append(
            [
                million(cluster.work.users),
                what,
                count(clients),
                count(spread),
                *_times(outcome),
                f"{outcome.tries:.1f}",
                outcome.narrowest,
            ]
        )
    rewritten = blow(Storm(cluster.work.users, 0, redis, patience=math.inf))
    rows.append(
        [
            million(cluster.work.users),
            "Redis is back without its data: users written again",
            count(cluster.work.users),
            "0",
            *_times(rewritten),
            "",
            redis[0].name,
        ]
    )
    return rows


def _times(outcome: Outcome) -> list[str]:
    return ["never" if at is None else count(at) for at in (outcome.nearly, outcome.all)]


def _stages(cluster: Cluster, costs: Costs, holders: int, gateways: int) -> tuple[Stage, ...]:
    nodes, servers = cluster.nodes, cluster.servers
    # Who is left carries the pushes of who is lost, and merges more to have time for clients.
    spare = max(1 - LIMITS.headroom * nodes.shape.holders / holders, _LEAST)
    redis = max(1 - servers.redis_cpu / servers.redis_shards, _LEAST)
    return (
        Stage("gateways", gateways * LIMITS.headroom / costs.seconds("gateway.handshake")),
        Stage("nodes", holders * spare / costs.seconds("node.connect")),
        Stage("Redis", servers.redis_shards * redis / costs.seconds("redis.write_user")),
    )

"""The tables of docs/scale.md about one question each."""

from dataclasses import replace

from bench.scale.costs import Costs
from bench.scale.markdown import count, million, number, percent, table
from bench.scale.merging import Homes, PusherCosts, cycle
from bench.scale.node import PACKET, Shape, nodes_of
from bench.scale.pusher import simulate
from bench.scale.servers import servers_of
from bench.scale.sizing import most_pushes, smallest
from bench.scale.tables import BATCHES, TIERS
from bench.scale.workload import LIMITS, Workload

FANOUT_NODES = (1, 3, 10, 30, 100, 300)
MERGED_NODES = (10, 100, 1000)
WATCHED_NODES = (10, 100, 300, 1000, 2000)
GATHERED = (0.0, 0.01, 0.05)

_MEGA = 1e6
_GIGA = 1e9
_SLOW_LOOK = 5.0
_SLOW_LIST = 60.0
_PUSHES = 1e6


def fanout(costs: Costs) -> str:
    """Find the most that fanout mode carries, with one broker."""
    heads = [
        "nodes",
        "users",
        "most pushes/s, fanout",
        "copies/s",
        "broker cores",
        "most pushes/s, routed",
        "such clusters for 1 million pushes/s by fanout",
    ]
    rows = []
    for nodes in FANOUT_NODES:
        work = Workload(users=nodes * 10_000, pushes=0, mode="fanout")
        shape = Shape(nodes)
        most = most_pushes(work, shape, costs)
        full = replace(work, pushes=most)
        servers = servers_of(full, nodes_of(full, shape, costs), costs, LIMITS)
        routed = most_pushes(replace(work, mode="routed"), shape, costs)
        rows.append(
            [
                count(nodes),
                count(work.users),
                number(most),
                number(most * nodes),
                number(servers.broker_cores),
                number(routed),
                count(-(-_PUSHES // most)),
            ]
        )
    return table(heads, rows, right=range(len(heads)))


def merged(costs: Costs) -> str:
    """Set the formula for merging beside the simulation of one Pusher."""
    heads = [
        "nodes",
        "pushes per request",
        "pushes/s of each node",
        "pushes per cycle: formula",
        "simulated",
        "pushes per message: formula",
        "simulated",
        "a cycle, ms",
    ]
    rows = []
    spent = PusherCosts(
        TIERS[0].look_up,
        TIERS[0].confirm,
        costs.seconds("node.lookup_call"),
        costs.seconds("node.lookup_user"),
        costs.seconds("node.publish"),
        costs.seconds("node.consume"),
        0.3,
    )
    for nodes in MERGED_NODES:
        for batch in BATCHES:
            # A third of what one core can do with all nodes alike.
            rate = 1000.0 if nodes > MERGED_NODES[1] else 3000.0
            formula = cycle(Homes(nodes), rate, batch, spent)
            run = simulate(Homes(nodes), rate, batch, spent)
            rows.append(
                [
                    count(nodes),
                    count(batch),
                    count(rate),
                    number(formula.pushes),
                    number(run.pushes),
                    number(formula.per_message),
                    number(run.per_message),
                    number(formula.seconds * 1000),
                ]
            )
    return table(heads, rows, right=range(len(heads)))


def publishers(costs: Costs) -> str:
    """Set nodes of their own for API requests beside all nodes taking them."""
    heads = [
        "users",
        "requests go to",
        "nodes in all",
        "pushes per AMQP message",
        "AMQP messages/s",
        "RabbitMQ cores",
    ]
    rows = []
    for tier in TIERS:
        for apart in (False, True):
            cluster = smallest(tier, costs, publishers=apart)
            if cluster is None:
                continue
            shape = cluster.nodes.shape
            rows.append(
                [
                    million(tier.users),
                    f"{count(shape.publishers)} of their own" if apart else "all nodes",
                    count(shape.nodes),
                    number(cluster.nodes.cycle.per_message),
                    count(round(cluster.servers.messages, -3)),
                    number(cluster.servers.broker_cores),
                ]
            )
    return table(heads, rows, right=range(2, len(heads)))


def gathering(costs: Costs) -> str:
    """Tell what it would save if a Pusher gathered for a while before each cycle."""
    heads = [
        "users",
        "gathers for, ms",
        "pushes per AMQP message",
        "AMQP messages/s",
        "RabbitMQ cores",
        "CPU of each node",
    ]
    rows = []
    for tier in TIERS:
        cluster = smallest(tier, costs)
        if cluster is None:
            continue
        for seconds in GATHERED:
            # A longer look-up is the same to a Pusher as a wait before it.
            work = replace(tier, look_up=tier.look_up + seconds)
            nodes = nodes_of(work, cluster.nodes.shape, costs)
            servers = servers_of(work, nodes, costs, LIMITS)
            rows.append(
                [
                    million(tier.users),
                    count(seconds * 1000),
                    number(nodes.cycle.per_message),
                    count(round(servers.messages, -3)),
                    number(servers.broker_cores),
                    percent(nodes.holder.busy),
                ]
            )
    return table(heads, rows, right=range(1, len(heads)))


def broadcasts(costs: Costs) -> str:
    """Work out one push to all connected users."""
    heads = [
        "users",
        "nodes",
        "AMQP copies",
        "RabbitMQ CPU, ms",
        "each node writes for, ms",
        "bytes to clients, GB",
        "most per second, if nothing else is done",
    ]
    rows = []
    for tier in TIERS:
        cluster = smallest(tier, costs)
        if cluster is None:
            continue
        nodes = cluster.nodes.shape.nodes
        broker = costs.seconds("rabbitmq.message") + (nodes - 1) * costs.seconds("rabbitmq.copy")
        busy = cluster.nodes.holder.connections * costs.seconds("node.deliver")
        wire = tier.connections * (tier.payload + PACKET)
        rows.append(
            [
                million(tier.users),
                count(nodes),
                count(nodes),
                number(broker * 1000),
                number(busy * 1000),
                number(wire / _GIGA),
                number(
                    min(
                        LIMITS.headroom / busy,
                        LIMITS.headroom * LIMITS.broker_cores / broker,
                        LIMITS.headroom * LIMITS.node_bytes * nodes / wire,
                    )
                ),
            ]
        )
    return table(heads, rows, right=range(len(heads)))


def watching(costs: Costs) -> str:
    """Tell what nodes cost by watching each other: Redis each second, Nacos each 5 s."""
    heads = [
        "nodes",
        "looks: part of a Redis core",
        "MB/s from Redis",
        "part of a core if every 5 s",
        "lists from Nacos, MB/s",
        "if every 60 s",
        "MB per change in Nacos",
        "CPU of each node for it, ms",
    ]
    rows = []
    for nodes in WATCHED_NODES:
        look = nodes**2 * costs.seconds("redis.look_record")
        listed = nodes**2 * costs.size("nacos.instance_bytes")
        rows.append(
            [
                count(nodes),
                percent(look),
                number(nodes**2 * costs.size("redis.record_bytes") / _MEGA),
                percent(look / _SLOW_LOOK),
                number(listed / TIERS[0].registry_interval / _MEGA),
                number(listed / _SLOW_LIST / _MEGA),
                number(listed / _MEGA),
                number(nodes * costs.seconds("node.pushed_instance") * 1000),
            ]
        )
    return table(heads, rows, right=range(len(heads)))

"""What RabbitMQ, Redis, Nacos and the gateways have to give for a number of nodes."""

import math
from dataclasses import dataclass

from bench.scale.costs import Costs
from bench.scale.node import ENVELOPE, PART, Nodes
from bench.scale.workload import Limits, Workload

_MEASURED_BODY = 400  # bytes; `rabbitmq.message` is about these


@dataclass(frozen=True, slots=True)
class Servers:
    """Rates are per second, `cores` of the measured kind, all before headroom.

    `redis_cpu` is what one Redis would have to do alone, and `redis_sharded` the same where each
    user is read by a command of its own, as a Redis Cluster without hash tags wants it.
    """

    messages: float
    broker_cores: float
    brokers: int
    broker_bytes: float
    queue: float
    redis_cpu: float
    redis_sharded: float
    redis_bytes: float
    looks: float
    redis_shards: int
    list_bytes: float
    nacos_bytes: float
    nacos_change: float
    nacos_cores: float
    nacos_connections: int
    gateways: int


def servers_of(work: Workload, nodes: Nodes, costs: Costs, limits: Limits) -> Servers:
    """Work out the servers of a cluster of such nodes."""
    messages, count = nodes.messages, nodes.shape.nodes
    cores, brokers = _brokers(work, nodes, costs, limits)
    body = _body(work, nodes)
    copies = messages * (count if work.mode == "fanout" else 1)
    redis, sharded, looks = _redis(work, nodes, costs)
    memory = work.users * costs.size("redis.user_bytes")
    alone = redis <= limits.headroom
    shards = max(
        1 if alone else math.ceil(sharded / limits.headroom),
        math.ceil(memory / (limits.headroom * limits.redis_memory)),
    )
    gateways = gateways_of(work, nodes, costs, limits)
    list_bytes = count * costs.size("nacos.instance_bytes")
    programs = count + gateways
    lists = programs / work.registry_interval
    return Servers(
        messages=messages,
        broker_cores=cores,
        brokers=brokers,
        broker_bytes=(messages + copies) * (body + ENVELOPE) / brokers,
        queue=copies / nodes.shape.holders * costs.seconds("rabbitmq.queue_message"),
        redis_cpu=redis,
        redis_sharded=sharded,
        redis_bytes=memory,
        looks=looks,
        redis_shards=shards,
        list_bytes=list_bytes,
        nacos_bytes=lists * list_bytes,
        nacos_change=programs * list_bytes,
        nacos_cores=lists * count * costs.seconds("nacos.list_instance"),
        nacos_connections=2 * programs,
        gateways=gateways,
    )


def gateways_of(work: Workload, nodes: Nodes, costs: Costs, limits: Limits) -> int:
    """Count the gateways that relay all clients; API callers go to the nodes directly."""
    frames = work.pushes * work.connections_per_user
    pings = 2 * work.connections / work.ping_interval
    cpu = (frames + pings) * costs.seconds("gateway.frame") + (
        work.churn * costs.seconds("gateway.handshake")
    )
    relay = costs.size("gateway.relay_bytes") + 2 * costs.size("kernel.socket_bytes")
    return max(
        1,
        math.ceil(cpu / limits.headroom),
        math.ceil(work.connections * relay / (limits.headroom * limits.node_memory)),
        math.ceil(2 * work.connections / (limits.headroom * limits.gateway_files)),
        # To one node's address and port, a gateway has one connection for each local port.
        math.ceil(nodes.holder.connections / (limits.headroom * limits.local_ports)),
    )


def _body(work: Workload, nodes: Nodes) -> float:
    part = work.payload + PART
    return part if work.mode == "fanout" else part * nodes.cycle.per_message


def _brokers(work: Workload, nodes: Nodes, costs: Costs, limits: Limits) -> tuple[float, int]:
    messages = nodes.messages
    excess = max(_body(work, nodes) - _MEASURED_BODY, 0) / 1000
    each = costs.seconds("rabbitmq.message") + excess * costs.seconds("rabbitmq.kilobyte")
    if work.mode == "fanout":
        each += (nodes.shape.nodes - 1) * costs.seconds("rabbitmq.copy")
    brokers = 1
    while True:
        # In a cluster most messages come in at another broker than the one with the queue.
        elsewhere = (brokers - 1) / brokers * costs.seconds("rabbitmq.hop")
        cores = messages * (each + elsewhere)
        needed = max(1, math.ceil(cores / (limits.headroom * limits.broker_cores)))
        if needed <= brokers:
            return cores, brokers
        brokers = needed


def _redis(work: Workload, nodes: Nodes, costs: Costs) -> tuple[float, float, float]:
    looks = nodes.shape.nodes**2 / work.look_interval * costs.seconds("redis.look_record")
    writes = 2 * work.churn * costs.seconds("redis.write_alone")
    if work.mode == "fanout":
        return looks + writes, looks + writes, looks
    calls = nodes.cycles * nodes.shape.pushing * costs.seconds("redis.lookup_call")
    together = calls + work.pushes * costs.seconds("redis.lookup_user")
    alone = calls + work.pushes * costs.seconds("redis.lookup_alone")
    return together + looks + writes, alone + looks + writes, looks

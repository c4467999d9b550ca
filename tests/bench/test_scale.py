"""The simulation behind docs/scale.md: known cases by hand, and what must hold for any costs."""

from dataclasses import replace

import pytest

from bench.scale.costs import Costs, read_costs
from bench.scale.merging import Cycle, Homes, PusherCosts, cycle, distinct
from bench.scale.node import Shape, nodes_of
from bench.scale.pusher import simulate
from bench.scale.servers import servers_of
from bench.scale.sizing import most_pushes, reserve, smallest
from bench.scale.workload import LIMITS, Limits, Workload
from service.push.pusher import MAX_MERGED
from service.settings import PushMode
from tests.bench.scale_costs import only

MANY = Workload(users=1e6, pushes=1e6)


@pytest.fixture(scope="module")
def measured() -> Costs:
    return read_costs()


def test_how_many_bins_are_hit() -> None:
    # Two balls in two bins: one bin half of the time, two the other half.
    assert distinct(2, 2) == 1.5
    assert distinct(1, 7) == 1
    assert distinct(5, 0) == 0
    assert distinct(1000, 1) == pytest.approx(1)
    assert distinct(10, 1000) == pytest.approx(10)


def test_a_small_routed_cluster_by_hand() -> None:
    costs = only(node_publish=100, node_consume=200, node_deliver=10, node_request=50)
    work = Workload(users=2000, pushes=1000, batch=1)
    nodes = nodes_of(work, Shape(2), costs)
    # 500 pushes/s at each node, one in a cycle of 1 ms; half of them are for the other node.
    assert (nodes.cycle.pushes, nodes.cycle.messages) == (1, 0.5)
    assert nodes.messages == 500
    cpu = nodes.holder.cpu
    assert cpu["requests"] == pytest.approx(0.025)
    assert cpu["publishing"] == pytest.approx(0.025)
    assert cpu["consuming"] == pytest.approx(0.05)
    assert cpu["socket writes"] == pytest.approx(0.005)
    assert nodes.holder.busy == pytest.approx(0.105)
    assert nodes.holder.connections == 1000


def test_a_small_fanout_cluster_by_hand() -> None:
    costs = only(
        node_publish=100,
        node_consume=200,
        rabbitmq_message=40,
        rabbitmq_copy=30,
        redis_look_record=2,
    )
    work = Workload(users=300, pushes=90, mode="fanout")
    nodes = nodes_of(work, Shape(3), costs)
    # Each node publishes a third, and consumes all.
    assert nodes.holder.cpu["publishing"] == pytest.approx(30 * 100e-6)
    assert nodes.holder.cpu["consuming"] == pytest.approx(90 * 200e-6)
    servers = servers_of(work, nodes, costs, LIMITS)
    assert servers.messages == 90
    assert servers.broker_cores == pytest.approx(90 * (40 + 2 * 30) * 1e-6)
    assert servers.looks == pytest.approx(9 * 2e-6)


def test_pushes_that_come_during_a_cycle_go_in_the_next_one() -> None:
    # 1,000 pushes/s, 10 ms each time: ten go together, for each of two nodes five.
    spent = PusherCosts(look_up=0.01, confirm=0, turn=0, push=0, message=0)
    found = cycle(Homes(2, own=False), 1000, 1, spent)
    assert found.pushes == pytest.approx(10, rel=0.01)
    assert found.per_message == pytest.approx(10 / distinct(2, 10), rel=0.01)


def test_a_pusher_that_cannot_keep_up_says_so() -> None:
    spent = PusherCosts(look_up=0.001, confirm=0, turn=0, push=0.001, message=0)
    assert cycle(Homes(2), 900, 1, spent).keeps_up
    overloaded = cycle(Homes(2), 1100, 1, spent)
    assert (overloaded.keeps_up, overloaded.pushes) == (False, MAX_MERGED)


@pytest.mark.parametrize("nodes", [2, 30, 1000])
@pytest.mark.parametrize("batch", [1, 100])
@pytest.mark.parametrize("own", [True, False])
def test_the_formula_is_what_the_simulation_of_single_pushes_finds(
    nodes: int, batch: int, own: bool
) -> None:
    spent = PusherCosts(0.001, 0.002, 50e-6, 2e-6, 20e-6, consumed=30e-6, others=0.2)
    formula = cycle(Homes(nodes, own), 4000, batch, spent)
    run: Cycle = simulate(Homes(nodes, own), 4000, batch, spent, pushes=12_000)
    assert run.per_message == pytest.approx(formula.per_message, rel=0.15)
    assert run.seconds == pytest.approx(formula.seconds, rel=0.25)


def test_merging_fades_with_nodes_and_grows_with_load_and_batches(measured: Costs) -> None:
    def merged(nodes: int, pushes: float, batch: float) -> float:
        work = replace(MANY, pushes=pushes, batch=batch)
        return nodes_of(work, Shape(nodes), measured).cycle.per_message

    assert merged(10, 1e5, 100) > merged(100, 1e5, 100) > merged(1000, 1e5, 100) >= 1
    assert merged(50, 1e6, 10) > merged(50, 1e5, 10)
    assert merged(50, 1e5, 1000) > merged(50, 1e5, 10)


def test_more_of_anything_never_takes_fewer_nodes(measured: Costs) -> None:
    def nodes(work: Workload) -> int:
        cluster = smallest(work, measured)
        assert cluster
        return cluster.nodes.shape.nodes

    for batch in (1, 100, 1000):
        work = replace(MANY, batch=batch)
        # The search goes in steps of 2 %.
        assert nodes(replace(work, users=1e7)) >= nodes(work) * 0.97
        assert nodes(work) >= nodes(replace(work, pushes=1e5)) * 0.97
    assert nodes(replace(MANY, batch=1)) > nodes(MANY)


def test_a_cluster_carries_twice_its_load_and_one_with_fewer_nodes_does_not(
    measured: Costs,
) -> None:
    cluster = smallest(MANY, measured)
    assert cluster
    assert cluster.limited_by == "CPU"
    assert reserve(cluster, measured) >= 2
    fewer = Shape(int(cluster.nodes.shape.nodes * 0.9))
    nodes = nodes_of(replace(MANY, users=2e6, pushes=2e6), fewer, measured)
    assert nodes.holder.busy > 1


def test_connections_decide_where_pushes_are_few(measured: Costs) -> None:
    cluster = smallest(Workload(users=1e7, pushes=1000), measured)
    assert cluster
    assert (cluster.nodes.shape.nodes, cluster.limited_by) == (200, "connections")
    small = smallest(Workload(users=10, pushes=1), measured)
    assert small
    assert (small.nodes.shape.nodes, small.servers.brokers, small.limited_by) == (1, 1, "nothing")


def test_fanout_costs_grow_with_nodes_and_routed_ones_do_not(measured: Costs) -> None:
    def broker(nodes: int, mode: PushMode) -> float:
        work = Workload(users=1e5, pushes=1000, batch=1, mode=mode)
        return servers_of(
            work, nodes_of(work, Shape(nodes), measured), measured, LIMITS
        ).broker_cores

    assert broker(32, "fanout") > 10 * broker(2, "fanout")
    # From 2 nodes on, what grows is the part of pushes that are for another node: from 1/2 to 1.
    assert broker(32, "routed") == pytest.approx(2 * broker(2, "routed"), rel=0.1)


def test_no_number_of_nodes_carries_by_fanout_what_one_node_cannot_consume() -> None:
    costs = only(node_consume=100, rabbitmq_message=1)
    work = Workload(users=1000, pushes=0, mode="fanout")
    for nodes in (1, 10, 100):
        assert most_pushes(work, Shape(nodes), costs) == pytest.approx(5000, rel=0.01)
    assert smallest(replace(work, pushes=5100), costs, replace(LIMITS, max_nodes=300)) is None


def test_nodes_of_their_own_take_the_requests(measured: Costs) -> None:
    cluster = smallest(MANY, measured, publishers=True)
    assert cluster
    nodes = cluster.nodes
    assert nodes.publisher.connections == 0
    assert "requests" in nodes.publisher.cpu
    assert "requests" not in nodes.holder.cpu
    assert nodes.shape.nodes == nodes.shape.holders + nodes.shape.publishers


def test_more_brokers_cost_hops(measured: Costs) -> None:
    work = replace(MANY, batch=1)
    nodes = nodes_of(work, Shape(1000), measured)
    one = servers_of(work, nodes, measured, replace(LIMITS, broker_cores=1000))
    several = servers_of(work, nodes, measured, LIMITS)
    assert (one.brokers, several.brokers > 1) == (1, True)
    assert several.broker_cores > one.broker_cores
    assert several.broker_cores <= several.brokers * LIMITS.broker_cores * LIMITS.headroom


def test_a_redis_that_is_not_enough_is_cut_up() -> None:
    costs = only(redis_lookup_user=1, redis_lookup_alone=2)
    work = Workload(users=1000, pushes=0, batch=MAX_MERGED)

    def shards(pushes: float) -> int:
        full = replace(work, pushes=pushes)
        return servers_of(full, nodes_of(full, Shape(10), costs), costs, LIMITS).redis_shards

    assert shards(490_000) == 1
    # Each user by a command of its own, and half of each core to spare.
    assert shards(1_000_000) == 4


def test_gateways_have_enough_ports_for_each_node() -> None:
    costs = only()
    limits = Limits(headroom=0.5, local_ports=20_000)
    work = Workload(users=50_000, pushes=1)
    assert servers_of(work, nodes_of(work, Shape(1), costs), costs, limits).gateways == 5
    assert servers_of(work, nodes_of(work, Shape(10), costs), costs, limits).gateways == 1

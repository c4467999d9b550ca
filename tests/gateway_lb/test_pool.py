import gc

from gateway_lb.pool import Member, Pool
from nacos_boot.registry.instance import Instance


def node(port: int, node_id: str = "", **attributes: object) -> Instance:
    metadata = {"websocket.node-id": node_id} if node_id else {}
    return Instance("websocket-service", "10.0.0.1", port, metadata=metadata, **attributes)  # type: ignore[arg-type]


def pool_of(*instances: Instance) -> Pool:
    pool = Pool()
    pool.replace(instances)
    return pool


def ports(members: list[Member]) -> list[int]:
    return [member.instance.port for member in members]


def test_only_available_instances_are_candidates_in_the_order_of_their_addresses() -> None:
    pool = pool_of(
        node(3), node(1), node(2, healthy=False), node(4, enabled=False), node(5, weight=0.0)
    )
    assert ports(pool.candidates(0.0)) == [1, 3]
    assert ports(pool.members) == [1, 2, 3, 4, 5]


def test_one_set_aside_is_passed_over_until_its_time() -> None:
    pool = pool_of(node(1), node(2))
    pool.set_aside(pool.members[0], 10.0)
    assert ports(pool.candidates(9.9)) == [2]
    assert ports(pool.candidates(10.0)) == [1, 2]


def test_when_all_are_set_aside_they_are_tried_nevertheless() -> None:
    pool = pool_of(node(1), node(2))
    for member in pool.members:
        pool.set_aside(member, 10.0)
    assert ports(pool.candidates(0.0)) == [1, 2]


def test_one_set_aside_is_tried_when_the_others_were() -> None:
    pool = pool_of(node(1), node(2))
    one, two = pool.members
    pool.set_aside(one, 10.0)
    assert pool.candidates(0.0, [two]) == [one]
    assert pool.candidates(0.0, [one, two]) == []


def test_an_instance_that_answered_is_no_longer_set_aside() -> None:
    pool = pool_of(node(1), node(2))
    pool.set_aside(pool.members[0], 10.0)
    pool.restore(pool.members[0])
    assert ports(pool.candidates(0.0)) == [1, 2]


def test_a_new_list_keeps_what_is_known_of_those_that_stay() -> None:
    pool = pool_of(node(1), node(2))
    pool.members[0].open = 5
    pool.set_aside(pool.members[1], 10.0)
    pool.replace([node(1, weight=3.0), node(2), node(3)])
    assert [member.open for member in pool.members] == [5, 0, 0]
    assert pool.members[0].instance.weight == 3.0
    assert ports(pool.candidates(0.0)) == [1, 3]


def test_one_that_left_and_came_back_starts_afresh_but_for_the_relays_still_open() -> None:
    pool = pool_of(node(1), node(2))
    held = pool.members[0]  # as a relay holds it
    held.open = 5
    pool.set_aside(held, 10.0)
    pool.replace([node(2)])
    assert ports(pool.candidates(0.0)) == [2]
    pool.replace([node(1), node(2)])
    assert ports(pool.candidates(0.0)) == [1, 2]
    assert pool.members[0].open == 5


def test_one_that_left_without_relays_is_forgotten() -> None:
    pool = pool_of(node(1))
    pool.set_aside(pool.members[0], 10.0)
    pool.replace([])
    gc.collect()
    assert not pool._known


def test_another_process_at_the_same_address_is_another_instance() -> None:
    pool = pool_of(node(1, "old"))
    held = pool.members[0]
    held.open = 5
    pool.set_aside(held, 10.0)
    pool.replace([node(1, "new")])
    (member,) = pool.members
    assert (member.open, member.set_aside_until) == (0, 0.0)

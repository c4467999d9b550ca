from collections import Counter
from random import Random
from typing import get_args

import pytest

from gateway_lb.pool import Member
from gateway_lb.strategy import Chooser, Strategy
from nacos_boot.registry.instance import Instance

USERS = [f"user-{number}" for number in range(4000)]


def members(*weights: float) -> list[Member]:
    return [
        Member(Instance("websocket-service", "10.0.0.1", 8081 + index, weight))
        for index, weight in enumerate(weights)
    ]


def chooser() -> Chooser:
    return Chooser(Random(7))  # noqa: S311 - a strategy, no secret


@pytest.mark.parametrize("strategy", get_args(Strategy))
def test_a_single_candidate_is_chosen(strategy: Strategy) -> None:
    (only,) = members(1.0)
    assert chooser().choose(strategy, [only], "alice") is only


def test_round_robin_takes_turns() -> None:
    candidates, choose = members(1.0, 1.0, 1.0), chooser()
    turns = [candidates.index(choose.choose("round-robin", candidates, "")) for _ in range(7)]
    assert turns == [0, 1, 2, 0, 1, 2, 0]


def test_round_robin_skips_nobody_when_the_list_changes() -> None:
    all_three, choose = members(1.0, 1.0, 1.0), chooser()
    assert choose.choose("round-robin", all_three, "") is all_three[0]
    without_first = all_three[1:]
    assert choose.choose("round-robin", without_first, "") is all_three[1]
    assert choose.choose("round-robin", all_three, "") is all_three[2]


def test_weighted_random_follows_the_weights() -> None:
    candidates, choose = members(1.0, 3.0), chooser()
    counts = Counter(
        candidates.index(choose.choose("weighted-random", candidates, "")) for _ in range(4000)
    )
    assert 0.72 < counts[1] / 4000 < 0.78


def test_least_connections_evens_out_and_ties_take_turns() -> None:
    candidates, choose = members(1.0, 1.0, 1.0), chooser()
    candidates[1].open = 2
    chosen = []
    for _ in range(7):
        member = choose.choose("least-connections", candidates, "")
        member.open += 1
        chosen.append(candidates.index(member))
    assert [member.open for member in candidates] == [3, 3, 3]
    assert 1 not in chosen[:4]


def test_least_connections_does_not_stay_with_one_when_clients_come_and_go() -> None:
    candidates, choose = members(1.0, 1.0, 1.0), chooser()
    chosen = {
        candidates.index(choose.choose("least-connections", candidates, "")) for _ in range(3)
    }
    assert chosen == {0, 1, 2}


def test_least_connections_gives_a_heavier_node_its_share() -> None:
    candidates, choose = members(1.0, 3.0), chooser()
    for _ in range(400):
        choose.choose("least-connections", candidates, "").open += 1
    assert [member.open for member in candidates] == [100, 300]


def homes(candidates: list[Member]) -> dict[str, int]:
    choose = chooser()
    return {
        user: choose.choose("consistent-hash", candidates, user).instance.port for user in USERS
    }


def test_consistent_hash_is_the_same_at_every_gateway_and_after_a_restart() -> None:
    assert homes(members(1.0, 1.0, 1.0)) == homes(members(1.0, 1.0, 1.0))
    # A change of this would send every user elsewhere during a rolling upgrade of gateways.
    few = {user: port for user, port in homes(members(1.0, 1.0, 1.0)).items() if user[-2:] == "-7"}
    assert few == {"user-7": 8083}


def test_consistent_hash_spreads_evenly() -> None:
    counts = Counter(homes(members(1.0, 1.0, 1.0, 1.0)).values())
    assert all(0.85 < count / 1000 < 1.15 for count in counts.values())


def test_consistent_hash_moves_only_the_users_of_a_node_that_left() -> None:
    all_four = members(1.0, 1.0, 1.0, 1.0)
    before, after = homes(all_four), homes(all_four[1:])
    moved = {user for user in USERS if before[user] != after[user]}
    assert moved == {user for user in USERS if before[user] == all_four[0].instance.port}


def test_consistent_hash_follows_the_weights_and_moves_no_more_than_that() -> None:
    before, after = homes(members(1.0, 1.0)), homes(members(1.0, 3.0))
    share = sum(port == 8082 for port in after.values()) / len(USERS)
    assert 0.72 < share < 0.78
    assert all(after[user] == 8082 for user in USERS if before[user] != after[user])

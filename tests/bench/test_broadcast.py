from bench import broadcast, memory
from bench.row import Goal
from bench.runs import Figures


def test_the_node_is_compared_with_every_peer_and_only_some_are_aims() -> None:
    figures = Figures({"node": [10.0, 30.0], "limit": [10.0, 20.0], "other": [1.0, 1.0]})
    limit, other = broadcast.rows(figures, "paced", {"limit": 1.3})
    assert (limit.peer, limit.ratio, limit.goal, limit.short) == ("limit", 1.25, Goal(1.3), True)
    assert (other.peer, other.ratio, other.goal) == ("other", 20.0, None)


def test_memory_has_a_goal_by_itself_and_one_beside_centrifuge() -> None:
    alone, centrifuge, other = memory.rows(
        {"node": 6.0, "Centrifuge": 20.0, "picows": 24.0}, 10_000
    )
    assert (alone.ours, alone.peer, alone.short) == (6.0, "", False)
    assert (centrifuge.ratio, centrifuge.short) == (0.3, False)
    assert (other.ratio, other.goal) == (0.25, None)
    too_much, too_near = memory.rows({"node": 9.0, "Centrifuge": 20.0}, 10_000)
    assert too_much.short
    assert too_near.short

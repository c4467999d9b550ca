"""Which instances are in use while Nacos comes back: one story a row, each a list of events."""

from dataclasses import replace

import pytest

from nacos_boot.registry.instance import Instance
from nacos_boot.registry.instance_list import InstanceList

HOLD = 20.0
A, B = Instance("demo", "10.0.0.1", 81), Instance("demo", "10.0.0.2", 81)
HEAVY = replace(A, weight=3.0)
ELSEWHERE = replace(A, cluster="EAST")
REBORN = replace(A, metadata={"id": "new"})

Event = tuple[float, tuple[Instance, ...] | str, tuple[Instance, ...]]
LOST = "lost"

STORIES: dict[str, list[Event]] = {
    "in normal times a list is taken as it is, down to the empty one": [
        (0, (A, B), (A, B)),
        (1, (B,), (B,)),
        (2, (), ()),
        (3, (A,), (A,)),
    ],
    "of two connections that have registered an address, what came last counts": [
        (0, (A,), (A,)),
        (1, (REBORN, A), (REBORN,)),
        (2, (A, REBORN), (REBORN,)),
        (3, (HEAVY, A), (HEAVY,)),
        (4, (A, HEAVY), (HEAVY,)),
        (5, (A,), (A,)),
        (6, (HEAVY, A), (HEAVY,)),
        (7, (HEAVY,), (HEAVY,)),
    ],
    "so it does where both were there from the beginning": [
        (0, (REBORN, A), (A,)),
        (1, (HEAVY, A), (HEAVY,)),
        (2, (A, HEAVY), (HEAVY,)),
    ],
    "while Nacos is away the last list stays": [
        (0, (A, B), (A, B)),
        (1, LOST, (A, B)),
        (9999, LOST, (A, B)),
    ],
    "Nacos comes back empty, and the instances one after the other": [
        (0, (A, B), (A, B)),
        (1, LOST, (A, B)),
        (100, (), (A, B)),
        (101, (B,), (A, B)),
        (119, (A, B), (A, B)),
        (121, (A, B), (A, B)),
    ],
    "who has not come back when the hold is over is gone": [
        (0, (A, B), (A, B)),
        (1, LOST, (A, B)),
        (100, (B,), (A, B)),
        (119.9, (B,), (A, B)),
        (120, (B,), (B,)),
        (121, (), ()),
    ],
    "all of them, too": [
        (0, (A, B), (A, B)),
        (1, LOST, (A, B)),
        (100, (), (A, B)),
        (120, (), ()),
    ],
    "one that leaves during the hold stays until its end": [
        (0, (A, B), (A, B)),
        (1, LOST, (A, B)),
        (100, (A, B), (A, B)),
        (101, (B,), (A, B)),
        (120, (B,), (B,)),
    ],
    "new data wins during the hold": [
        (0, (A, B), (A, B)),
        (1, LOST, (A, B)),
        (100, (HEAVY,), (HEAVY, B)),
        (101, (REBORN,), (REBORN, B)),
        (102, (), (REBORN, B)),
    ],
    "one that is new during the hold is used at once": [
        (0, (A,), (A,)),
        (1, LOST, (A,)),
        (100, (B,), (A, B)),
    ],
    "a second outage during the hold begins it anew": [
        (0, (A, B), (A, B)),
        (1, LOST, (A, B)),
        (100, (), (A, B)),
        (110, LOST, (A, B)),
        (130, (B,), (A, B)),
        (149, (B,), (A, B)),
        (150, (B,), (B,)),
    ],
    "an outage before the first list holds nothing": [
        (0, LOST, ()),
        (1, (A,), (A,)),
        (2, (), ()),
    ],
    "an address in two clusters is two instances": [
        (0, (A, ELSEWHERE), (A, ELSEWHERE)),
        (1, LOST, (A, ELSEWHERE)),
        (100, (ELSEWHERE,), (A, ELSEWHERE)),
        (120, (ELSEWHERE,), (ELSEWHERE,)),
    ],
}


@pytest.mark.parametrize("story", STORIES.values(), ids=list(STORIES))
def test_the_instances_in_use(story: list[Event]) -> None:
    listed = InstanceList(HOLD)
    for now, event, expected in story:
        before = listed.instances
        if isinstance(event, str):
            listed.lost()
        else:
            first = not listed.given
            assert listed.take(event, now) is (first or expected != before)
            kept = set(expected) - set(event)
            assert listed.held == {instance.address for instance in kept}
        assert listed.instances == expected


def test_when_the_hold_ends() -> None:
    listed = InstanceList(HOLD)
    assert not listed.given
    listed.take((), 0)
    assert listed.given
    listed.take((A,), 1)
    assert listed.hold_ends is None
    listed.lost()
    # Nobody need ask at a moment that has not begun to run.
    assert listed.hold_ends is None
    listed.take((A,), 100)
    assert listed.hold_ends == 120
    listed.take((), 120)
    assert listed.hold_ends is None


def test_without_a_hold_the_list_is_always_taken_as_it_is() -> None:
    listed = InstanceList(0)
    listed.take((A,), 0)
    listed.lost()
    assert listed.take((), 1)
    assert listed.instances == ()
    assert listed.held == frozenset()


def test_the_order_is_that_of_the_addresses() -> None:
    listed = InstanceList(HOLD)
    listed.take((B, A), 0)
    listed.lost()
    listed.take((B,), 1)
    assert listed.instances == (A, B)
    assert not listed.take((B,), 2)

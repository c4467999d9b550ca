"""Where a push has to go."""

import pytest

from service.push.plan import FANOUT, Homes, Plan, plan
from service.push.push import Push

A, B = frozenset({"a"}), frozenset({"b"})
AB, NOWHERE = frozenset({"a", "b"}), frozenset[str]()


def push(*targets: str) -> Push:
    return Push("id", b"1", targets)


def test_a_push_to_all_goes_by_fanout() -> None:
    assert plan(Push("id", b"1", None), None, "a") is FANOUT
    assert plan(Push("id", b"1", None), [], "a") is FANOUT


def test_in_fanout_mode_nobody_is_known_to_be_offline() -> None:
    found = plan(push("x"), None, "a")
    assert found is FANOUT
    assert found.offline is None


@pytest.mark.parametrize("homes", [[None], [A, None], [None, NOWHERE], [A, B, None]])
def test_unknown_is_never_offline(homes: list[Homes | None]) -> None:
    assert plan(push(*"xyz"[: len(homes)]), homes, "a") is FANOUT


@pytest.mark.parametrize(
    ("homes", "expected"),
    [
        ([A], Plan(False, local=("x",), offline=())),
        ([B], Plan(False, direct={"b": ("x",)}, offline=())),
        ([AB], Plan(False, local=("x",), direct={"b": ("x",)}, offline=())),
        ([NOWHERE], Plan(False, offline=("x",))),
        ([A, B, NOWHERE], Plan(False, local=("x",), direct={"b": ("y",)}, offline=("z",))),
        ([NOWHERE, NOWHERE], Plan(False, offline=("x", "y"))),
        (
            [B, frozenset({"b", "c"}), A],
            Plan(False, local=("z",), direct={"b": ("x", "y"), "c": ("y",)}, offline=()),
        ),
    ],
)
def test_each_home_gets_its_users_in_the_order_of_the_targets(
    homes: list[Homes | None], expected: Plan
) -> None:
    assert plan(push(*"xyz"[: len(homes)]), homes, "a") == expected


def test_homes_that_do_not_match_the_targets_are_a_bug() -> None:
    with pytest.raises(ValueError, match="zip"):
        plan(push("x", "y"), [A], "a")

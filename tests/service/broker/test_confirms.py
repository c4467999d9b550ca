"""What the broker says of publications."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.broker.confirms import Confirms, Outcome

CONFIRMED, RETURNED, FAILED = Outcome.CONFIRMED, Outcome.RETURNED, Outcome.FAILED


class Told:
    """Notes the outcomes of batches, by the name of the batch."""

    def __init__(self) -> None:
        self.confirms = Confirms()
        self.of: dict[str, tuple[list[Outcome], str]] = {}

    def add(self, name: str, *ids: str) -> None:
        self.batch = self.confirms.add(ids, lambda *told: self.of.setdefault(name, told))


@pytest.fixture
def told() -> Told:
    return Told()


def test_a_batch_is_told_with_its_last_confirm(told: Told) -> None:
    told.add("a", "1", "2")
    told.add("b", "3")
    told.confirms.confirmed(2, multiple=False, taken=True)
    told.confirms.confirmed(3, multiple=False, taken=True)
    assert told.of == {"b": ([CONFIRMED], "")}
    told.confirms.confirmed(1, multiple=False, taken=True)
    assert told.of["a"] == ([CONFIRMED] * 2, "")
    assert len(told.confirms) == 0


def test_one_confirm_may_be_for_all_up_to_it(told: Told) -> None:
    for name in "abc":
        told.add(name, name, name + name)
    told.confirms.confirmed(3, multiple=True, taken=True)
    assert list(told.of) == ["a"]
    told.confirms.confirmed(6, multiple=True, taken=True)
    assert list(told.of) == ["a", "b", "c"]


def test_what_came_back_is_confirmed_and_has_reached_nobody(told: Told) -> None:
    told.add("a", "1", "2", "3")
    told.confirms.returned("2")
    told.confirms.confirmed(3, multiple=True, taken=True)
    assert told.of["a"] == ([CONFIRMED, RETURNED, CONFIRMED], "")


@pytest.mark.parametrize("message_id", ["other", "", None])
def test_a_return_of_something_else_is_nobodys(told: Told, message_id: str | None) -> None:
    told.add("a", "", "1")
    told.confirms.returned(message_id)
    told.confirms.confirmed(2, multiple=True, taken=True)
    assert told.of["a"] == ([CONFIRMED] * 2, "")


def test_an_id_that_is_used_again_is_the_later_ones(told: Told) -> None:
    told.add("a", "x")
    told.add("b", "x")
    told.confirms.confirmed(1, multiple=False, taken=True)
    told.confirms.returned("x")
    told.confirms.confirmed(2, multiple=False, taken=True)
    assert (told.of["a"][0], told.of["b"][0]) == ([CONFIRMED], [RETURNED])


def test_a_refusal_fails(told: Told) -> None:
    told.add("a", "1", "2")
    told.confirms.confirmed(1, multiple=False, taken=False)
    told.confirms.confirmed(2, multiple=False, taken=True)
    assert told.of["a"] == ([FAILED, CONFIRMED], "refused")


def test_what_is_given_up_fails_and_a_late_confirm_changes_nothing(told: Told) -> None:
    told.add("a", "1", "2")
    first = told.batch
    told.add("b", "3")
    told.confirms.confirmed(1, multiple=False, taken=True)
    told.confirms.give_up(first, "no answer in time")
    assert told.of == {"a": ([CONFIRMED, FAILED], "no answer in time")}
    told.confirms.confirmed(2, multiple=False, taken=True)
    told.confirms.confirmed(3, multiple=True, taken=True)
    assert told.of["b"] == ([CONFIRMED], "")
    told.confirms.confirmed(99, multiple=False, taken=True)


def test_with_the_channel_all_of_it_fails(told: Told) -> None:
    told.add("a", "1")
    told.add("b", "2", "3")
    told.confirms.confirmed(2, multiple=False, taken=True)
    told.confirms.give_up_all("broke")
    assert told.of == {"a": ([FAILED], "broke"), "b": ([CONFIRMED, FAILED], "broke")}
    assert len(told.confirms) == 0


@given(st.lists(st.integers(1, 4), max_size=8), st.data())
def test_every_batch_is_told_once_whatever_the_order(sizes: list[int], data: st.DataObject) -> None:
    confirms = Confirms()
    told: list[int] = []
    for number, size in enumerate(sizes):
        ids = [f"{number}-{place}" for place in range(size)]
        confirms.add(ids, lambda _, __, number=number: told.append(number))  # type: ignore[misc]  # a default
    each = data.draw(st.permutations(range(1, sum(sizes) + 1)))
    multiple = data.draw(st.lists(st.booleans(), min_size=len(each), max_size=len(each)))
    for tag, up_to_it in zip(each, multiple, strict=True):
        confirms.confirmed(tag, multiple=up_to_it, taken=True)
    assert sorted(told) == list(range(len(sizes)))
    assert len(confirms) == 0

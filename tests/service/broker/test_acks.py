"""Which messages may be acknowledged."""

from hypothesis import given
from hypothesis import strategies as st

from service.broker.acks import Acks


def test_nothing_taken_is_nothing_due() -> None:
    assert Acks().due() is None


def test_all_that_was_taken_is_due_once() -> None:
    acks = Acks()
    acks.took(1)
    acks.took(2)
    assert acks.due() == 2
    assert acks.due() is None
    acks.took(3)
    assert acks.due() == 3


def test_a_held_message_holds_up_what_came_after_it() -> None:
    acks = Acks()
    acks.took(1)
    acks.hold(2)
    acks.took(3)
    assert acks.due() == 1
    acks.took(4)
    assert acks.due() is None
    acks.release(2)
    assert acks.due() == 4


def test_a_held_first_message_leaves_nothing_due() -> None:
    acks = Acks()
    acks.hold(1)
    assert acks.due() is None
    acks.release(1)
    assert acks.due() == 1
    acks.release(1)
    assert acks.due() is None


def test_the_oldest_of_several_held_ones_counts() -> None:
    acks = Acks()
    for tag in (1, 2, 3, 4):
        acks.hold(tag)
    acks.release(3)
    acks.release(1)
    assert acks.due() == 1
    acks.release(2)
    assert acks.due() == 3
    acks.release(4)
    assert acks.due() == 4


@given(st.lists(st.booleans(), max_size=20), st.data())
def test_never_a_held_one_and_in_the_end_all(held: list[bool], data: st.DataObject) -> None:
    acks = Acks()
    waiting: list[int] = []
    acked = 0
    for tag, hold in enumerate(held, 1):
        (acks.hold if hold else acks.took)(tag)
        if hold:
            waiting.append(tag)
        released = data.draw(st.integers(0, len(waiting)))
        if released < len(waiting):
            acks.release(waiting.pop(released))
        due = acks.due()
        if due is not None:
            assert acked < due <= tag
            assert not any(tag <= due for tag in waiting)
            acked = due
    for tag in waiting:
        acks.release(tag)
    due = acks.due()
    assert (acked if due is None else due) == len(held)

"""What of a stream goes to users: each once, in order, whatever comes late, twice or not at all."""

import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.history.position import (
    START,
    Token,
    can_resume,
    entry_id,
    follows,
    number_of,
    position,
    position_of,
    read_token,
)
from service.history.track import MAX_PENDING, Track


def at(number: int) -> str:
    """Several entries of a stream share a millisecond."""
    return position(1_700_000_000_000 + number // 3, number)


def numbers(found: Sequence[tuple[str, int]] | None) -> list[int] | None:
    return None if found is None else [item for _, item in found]


def begun(head: int) -> Track[int]:
    track = Track[int]()
    track.start(at(head))
    return track


@given(st.data())
def test_every_message_once_and_in_order_whatever_the_way_does(data: st.DataObject) -> None:
    head = data.draw(st.integers(0, 5))
    count = data.draw(st.integers(1, 40))
    sent = list(range(head + 1, head + count + 1))
    seed = data.draw(st.integers(0, 2**32))
    loss = data.draw(st.sampled_from([0.0, 0.2, 1.0]))
    rng = random.Random(seed)  # noqa: S311 - to shuffle
    way = [n for n in sent for _ in range(rng.choice((1, 1, 2))) if rng.random() >= loss]
    # Late by some places, as with two nodes that accept at once.
    way.sort(key=lambda n: n + rng.random() * data.draw(st.sampled_from([0.5, 3, 50])))
    track = begun(head)
    got: list[int] = []
    appended = 0
    for number in way:
        appended = max(appended, number)
        got += numbers(track.take(at(number), number)) or []
        if track.has_gap and rng.random() < 0.3:
            fetch(track, appended, got, rng)
    track.expect(at(sent[-1]))
    while track.has_gap:
        fetch(track, sent[-1], got, rng)
    assert got == sent
    assert track.last == at(sent[-1])


def fetch(track: Track[int], appended: int, got: list[int], rng: random.Random) -> None:
    assert track.last is not None
    asked, last = track.wanted, number_of(track.last)
    page = list(range(last + 1, appended + 1))[: rng.choice((3, 100))]
    # Some of it may come by itself while Redis is asked.
    if page and rng.random() < 0.5:
        early = rng.choice(page)
        got += numbers(track.take(at(early), early)) or []
    entries = [(at(number), number) for number in page]
    found, lost = track.fetched(entries, asked, complete=last + len(page) == appended)
    got += numbers(found) or []
    assert lost == 0


def test_what_was_under_way_when_the_user_came_is_passed_on() -> None:
    track = begun(7)
    assert numbers(track.take(at(6), 6)) == [6]
    assert numbers(track.take(at(8), 8)) == [8]
    assert numbers(track.take(at(7), 7)) == [7]
    assert track.take(at(8), 8) is None
    # Also of that, each comes once, whoever sends it again.
    assert track.take(at(6), 6) is None
    assert track.take(at(7), 7) is None
    assert numbers(track.take(at(5), 5)) == [5]
    assert track.last == at(8)


def test_messages_wait_for_the_head() -> None:
    track = Track[int]()
    assert [numbers(track.take(at(n), n)) for n in (6, 9, 5)] == [[], [], []]
    # 7 is missing: 9 goes on waiting.
    assert numbers(track.start(at(6))) == [5, 6]
    assert track.has_gap
    assert numbers(track.take(at(7), 7)) == [7]
    assert numbers(track.take(at(8), 8)) == [8, 9]
    assert not track.has_gap


def test_without_redis_messages_go_as_they_come() -> None:
    track = Track[int]()
    track.take(at(3), 3)
    track.take(at(2), 2)
    assert numbers(track.give_up()) == [2, 3]
    assert numbers(track.take(at(5), 5)) == [5]
    assert not track.has_gap
    assert numbers(track.start(at(5))) == []
    assert numbers(track.take(at(6), 6)) == [6]


def test_what_redis_has_no_more_is_counted_and_does_not_hold_up_the_rest() -> None:
    track = begun(2)
    track.take(at(9), 9)
    found, lost = track.fetched([(at(7), 7), (at(8), 8)], track.wanted, complete=True)
    assert (numbers(found), lost) == ([7, 8, 9], 4)
    assert not track.has_gap
    # What came is delivered even where Redis has lost it.
    track.take(at(12), 12)
    found, lost = track.fetched([], track.wanted, complete=True)
    assert (numbers(found), lost) == ([12], 2)
    # It told of more, and lost all of it.
    track.expect(at(20))
    found, lost = track.fetched([], track.wanted, complete=True)
    assert (numbers(found), lost) == ([], 8)
    assert not track.has_gap


def test_a_stream_that_has_ended_begins_anew_without_a_loss() -> None:
    track = begun(57)
    later = [position(1_800_000_000_000, number) for number in range(3)]
    track.expect(later[0])
    assert not track.has_gap
    assert numbers(track.take(later[2], 2)) == []
    found, lost = track.fetched([(later[1], 1), (later[2], 2)], track.wanted, complete=True)
    assert (numbers(found), lost) == ([1, 2], 0)


def test_behind_a_gap_no_more_is_held_than_a_limit_and_redis_has_the_rest() -> None:
    track = begun(0)
    last = MAX_PENDING + 50
    for number in range(2, last + 1):
        assert numbers(track.take(at(number), number)) == []
    found, lost = track.fetched(
        [(at(number), number) for number in range(1, 11)], track.wanted, complete=False
    )
    assert (numbers(found), lost) == (list(range(1, MAX_PENDING + 2)), 0)
    assert track.has_gap
    found, lost = track.fetched(
        [(at(n), n) for n in range(MAX_PENDING + 2, last + 1)], track.wanted, complete=True
    )
    assert (numbers(found), lost) == (list(range(MAX_PENDING + 2, last + 1)), 0)


def test_another_data_set_frees_what_was_held() -> None:
    track = begun(4)
    track.take(at(6), 6)
    assert numbers(track.restart()) == [6]
    assert track.last is None
    assert numbers(track.take(at(1), 1)) == []
    assert numbers(track.start(at(1))) == [1]


@given(st.integers(0, 2**44 - 2), st.integers(0, 2**36 - 1))
def test_positions_compare_and_come_back(ms: int, number: int) -> None:
    found = position(ms, number)
    assert len(found) == len(START)
    assert position_of(f"{ms}-{number}".encode()) == found
    assert entry_id(found) == f"{ms}-{number}"
    assert START <= found < position(ms + 1, 0)
    token = Token("0123456789ab", found, START)
    assert read_token(token.write()) == token


@pytest.mark.parametrize(
    "text", ["", "0", "g" * 52, "A" * 52, "0" * 51, "0" * 53, "٣" * 52, "0" * 51 + "\n"]
)
def test_what_is_no_token(text: str) -> None:
    assert read_token(text) is None


def test_what_follows() -> None:
    assert follows(at(1), at(2))
    assert not follows(at(1), at(3))
    assert not follows(at(2), at(1))
    assert not follows(position(9, 1), position(8, 2))


@pytest.mark.parametrize(
    ("token", "upto", "first", "head", "known"),
    [
        (at(3), at(3), None, at(3), True),
        (at(3), at(9), at(4), at(9), True),
        (at(3), at(9), at(5), at(9), False),
        (at(3), at(9), None, at(9), False),
        # The node is behind, Redis is not; or Redis has gone back to an older state.
        (at(5), at(3), None, at(5), True),
        (at(5), at(3), None, at(4), False),
        # The stream has ended since, or had not begun.
        (at(5), position(1_800_000_000_000, 0), None, position(1_800_000_000_000, 0), False),
        (position(5, 0), position(9, 0), None, position(9, 0), True),
        (position(5, 0), at(2), at(1), at(2), True),
        (position(5, 0), at(2), at(2), at(2), False),
    ],
)
def test_when_a_token_is_good_for(
    token: str, upto: str, first: str | None, head: str, *, known: bool
) -> None:
    assert can_resume(token, upto, first, head, old=0) is known


def test_an_old_token_of_a_stream_that_had_not_begun_proves_nothing() -> None:
    assert can_resume(position(50, 0), at(2), at(1), at(2), old=50)
    assert not can_resume(position(49, 0), at(2), at(1), at(2), old=50)

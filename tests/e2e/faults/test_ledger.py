"""The ledger tells what is lost from what is excused."""

from tests.e2e.faults.ledger import (
    Account,
    Push,
    Stay,
    busiest,
    fate,
    flows_from,
    longest_pause,
    missing,
    percentile,
    slow_until,
    tally,
)


def account(*stays: Stay, got: tuple[int, ...] = (), remembers: bool = False) -> Account:
    return Account(
        stays=list(stays),
        got=dict.fromkeys(got, 1),
        remembers=remembers,
        known_from=0.0 if remembers else None,
    )


def accepted(number: int, at: float, *targets: int) -> Push:
    return Push(number, targets or None, at, at + 0.1, "fanout")


def test_what_a_user_who_stayed_did_not_get_is_lost() -> None:
    assert fate(accepted(1, 5), account(Stay(0))) == "lost"
    assert fate(accepted(1, 5), account(Stay(0), got=(1,))) == "delivered"


def test_the_death_of_the_socket_excuses_what_was_under_way() -> None:
    push = accepted(1, 5)
    assert fate(push, account(Stay(0, 5.5), Stay(6))) == "in flight"
    # A socket that was opened later, or ended before, is not the one that it was for.
    assert fate(push, account(Stay(5.05))) == "away"
    assert fate(push, account(Stay(0, 4.9), Stay(5.2))) == "away"


def test_with_a_token_neither_death_nor_absence_excuses_anything() -> None:
    push = accepted(1, 5)
    assert fate(push, account(Stay(0, 5.5), Stay(6), remembers=True)) == "lost"
    assert fate(push, account(Stay(0, 4), Stay(6), remembers=True)) == "lost"
    told = account(Stay(0, 4), Stay(6), remembers=True)
    told.resets = [6.1]
    assert fate(push, told) == "forgotten"
    # A reset of before says nothing about it.
    told.resets = [3]
    assert fate(push, told) == "lost"


def test_before_its_first_token_a_client_is_like_any_other() -> None:
    late = account(Stay(5.5), remembers=True)
    late.known_from = 5.6
    assert fate(accepted(1, 5), late) == "away"


def test_only_what_was_accepted_counts() -> None:
    refused = Push(2, (0,), 5.0)
    accounts = [account(Stay(0), got=(1,)), account(Stay(0))]
    assert not missing([refused], accounts)
    assert not missing([accepted(1, 5, 0)], accounts)
    assert missing([accepted(1, 5, 1)], accounts)
    sums = tally([accepted(1, 5), refused], accounts)
    assert (sums.accepted, sums.refused, sums.due, sums.delivered, sums.lost) == (1, 1, 2, 1, 1)
    assert sums.lost_by_mode == {"fanout": 1}
    assert sums.samples == [(1, 1)]


def test_repeats_are_counted_over_all_clients() -> None:
    accounts = [account(Stay(0)), account(Stay(0))]
    accounts[0].got = {1: 3, 2: 1}
    accounts[1].got = {1: 2}
    accounts[1].dropped = 4
    sums = tally([], accounts)
    assert (sums.repeated, sums.dropped) == (3, 4)


def test_the_busiest_second_may_begin_anywhere() -> None:
    assert busiest([]) == 0
    assert busiest([0.0, 0.9, 1.1, 1.2, 1.8, 5.0]) == 4


def test_a_pause_lasts_while_most_pushes_fail() -> None:
    tries = [(moment / 10, not 20 <= moment < 50) for moment in range(100)]
    assert longest_pause(tries, 0, 10) == 3.0
    assert longest_pause([(0.1, True), (9.9, True)], 0, 10) == 0.0
    # With nothing sent in between, what failed is still failing.
    assert longest_pause([(1.0, False), (3.1, True)], 0, 4) == 2.0


def test_pushes_flow_when_none_fails_for_a_second() -> None:
    tries = [(1.0, 1.1, False), (1.5, 1.6, True), (2.0, 2.1, False), (2.2, 2.3, True)]
    assert flows_from(tries, 0.5) == 2.3
    assert flows_from(tries[:3], 0.5) is None
    assert flows_from(tries, 2.15) == 2.3


def test_slowness_ends_with_its_last_slow_second() -> None:
    samples: dict[float, float | None] = {0.5: 9.0, 1.5: 0.1, 2.5: 0.9, 3.5: 0.1}
    assert slow_until(samples, 0.5, begin=1.0) == 3.0
    assert slow_until(samples, 1.0, begin=1.0) is None
    # What failed was as slow as can be.
    assert slow_until({**samples, 4.5: None}, 1.0, begin=1.0) == 5.0


def test_percentiles_are_by_nearest_rank() -> None:
    assert percentile([], 99) == 0.0
    assert percentile(list(range(1, 101)), 99) == 99
    assert percentile([1.0, 2.0], 99) == 2.0

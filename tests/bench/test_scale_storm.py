import math

import pytest

from bench.scale.storm import Stage, Storm, blow

ENDLESS = math.inf


def test_clients_come_back_as_fast_as_the_narrowest_stage_serves_them() -> None:
    stages = (Stage("wide", 1000), Stage("narrow", 100), Stage("wide, too", 500))
    found = blow(Storm(1000, 5, stages, patience=ENDLESS))
    assert found.all == pytest.approx(10, abs=0.2)
    assert found.nearly == pytest.approx(9.9, abs=0.2)
    assert (found.tries, found.narrowest) == (pytest.approx(1), "narrow")


def test_where_there_is_room_it_takes_as_long_as_they_take_to_come() -> None:
    found = blow(Storm(1000, 5, (Stage("any", 1e6),)))
    assert found.all == pytest.approx(5, abs=0.1)
    assert found.tries == pytest.approx(1)


def test_who_waits_too_long_tries_again() -> None:
    found = blow(Storm(10_000, 1, (Stage("narrow", 100),), patience=10))
    assert found.all == pytest.approx(100, abs=0.2)
    assert found.tries > 2


def test_work_for_who_has_given_up_is_lost() -> None:
    # The first stage serves all in time, the second those whom it reaches within their patience.
    two = (Stage("first", 300), Stage("second", 100))
    assert (blow(Storm(20_000, 1, two, patience=5)).all or ENDLESS) >= 200


def test_a_storm_that_never_ends_is_told() -> None:
    found = blow(Storm(1e6, 1, (Stage("closed", 1),)))
    assert (found.nearly, found.all) == (None, None)


def test_a_longer_spread_means_fewer_tries() -> None:
    stages = (Stage("narrow", 1000),)
    soon, later = (blow(Storm(100_000, spread, stages)) for spread in (5, 100))
    assert later.tries == pytest.approx(1, rel=0.01)
    assert soon.tries > later.tries

"""Token buckets: what goes at once, what goes over time, and what is remembered."""

import pytest

from service.pace import Bucket, Buckets, Meter, Pace


def taken(bucket: Bucket, now: float, tries: int = 1000) -> int:
    return sum(bucket.take(now) for _ in range(tries))


def test_a_burst_goes_at_once_and_the_rest_at_the_pace() -> None:
    bucket = Bucket(Pace.of(10, 5))
    assert taken(bucket, 100.0) == 5
    assert taken(bucket, 100.05) == 0
    assert taken(bucket, 100.1001) == 1
    assert taken(bucket, 100.35) == 2
    # A bucket is never fuller than full.
    assert taken(bucket, 1000.0) == 5


def test_over_time_no_more_go_than_the_pace_says() -> None:
    bucket = Bucket(Pace.of(100, 10))
    through = sum(bucket.take(tick / 1000) for tick in range(10_000))
    assert 1009 <= through <= 1011


def test_zero_is_no_limit() -> None:
    assert Pace.of(0, 1) is None
    assert taken(Bucket(Pace.of(0, 1)), 0.0) == 1000
    buckets = Buckets(None)
    buckets.take("a", 0.0, 1000)
    assert (buckets.wait("a", 0.0), len(buckets)) == (0.0, 0)


def test_a_new_pace_begins_with_full_buckets() -> None:
    bucket, buckets, meter = Bucket(), Buckets(), Meter()
    held = 0.0
    for pace in (Pace(1.0, 5), Pace(0.001, 3), Pace(100.0, 4)):
        bucket.change(pace)
        buckets.change(pace)
        meter.change(pace)
        assert taken(bucket, 50.0) == pace.burst
        assert buckets.wait("a", 50.0) == 0
        buckets.take("a", 50.0, 1000)
        for _ in range(pace.burst):
            left = meter.take(held, 50.0, 1)
            assert left is not None
            held = left
        # The same once more changes nothing.
        for each in (bucket, buckets, meter):
            each.change(Pace(pace.seconds, pace.burst))  # type: ignore[attr-defined]  # all have it
        assert taken(bucket, 50.0) == 0
        assert buckets.wait("a", 50.0) > 0
        assert meter.take(held, 50.0, 1) is None
    for each in (bucket, buckets, meter):
        each.change(None)  # type: ignore[attr-defined]  # as above
    assert taken(bucket, 50.0) == 1000
    assert buckets.wait("a", 50.0) == 0
    assert meter.take(held, 50.0, 1000) == held


def test_each_name_has_a_bucket_of_its_own() -> None:
    buckets = Buckets(Pace.of(2, 3))
    for _ in range(3):
        assert buckets.wait("a", 10.0) == 0
        buckets.take("a", 10.0)
    assert buckets.wait("a", 10.0) == pytest.approx(0.5)
    assert buckets.wait("b", 10.0) == 0


def test_who_takes_more_than_there_is_waits_for_all_of_it() -> None:
    buckets = Buckets(Pace.of(10, 5))
    buckets.take("a", 0.0, 100)
    # 96 short of one token, at 10 a second.
    assert buckets.wait("a", 0.0) == pytest.approx(9.6)
    assert buckets.wait("a", 9.61) == 0


def test_names_are_forgotten_when_their_buckets_are_full_again() -> None:
    buckets = Buckets(Pace.of(10, 5))
    for number in range(100_000):
        buckets.take(f"caller-{number}", number / 1000)
    # A bucket is full after 100 ms, in which 100 callers come.
    assert len(buckets) <= 2048
    # Who still owes something is remembered through that.
    buckets.take("greedy", 100.0, 10_000)
    for number in range(5000):
        buckets.take(f"other-{number}", 100 + number / 1000)
    assert buckets.wait("greedy", 105.0) > 900


def test_nothing_is_remembered_once_there_is_no_limit() -> None:
    buckets = Buckets(Pace.of(1, 1))
    buckets.take("a", 0.0)
    buckets.change(None)
    assert len(buckets) == 0

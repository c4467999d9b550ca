"""The tries of one request are the same pushes."""

from service.push.push import Push, PushError
from service.push.tries import Tries

SEED = "5f1d7a0c9b3e4d2f8a6c1b0e7d9f3a52"


def test_each_try_has_the_same_ids_and_each_push_its_own() -> None:
    wrong = PushError("content", "is required")
    first = [Push("a", b"1", ("alice",), keep=True), wrong, Push("b", b"2", None)]
    second = [Push("c", b"1", ("alice",), keep=True), wrong, Push("d", b"2", None)]
    named = Tries("key", SEED).name(first)
    assert named == Tries("key", SEED).name(second)
    one, error, two = named
    assert error is wrong
    assert isinstance(one, Push)
    assert isinstance(two, Push)
    assert (one.content, one.targets, one.keep, one.tries) == (b"1", ("alice",), True, "key")
    assert (two.content, two.targets, two.tries) == (b"2", None, "key")
    ids = {one.id, two.id, Tries("key", SEED.upper()).push_id(0)}
    assert len(ids) == 3
    for push_id in ids:
        assert len(push_id) == 32
        assert int(push_id, 16)
        assert SEED not in push_id

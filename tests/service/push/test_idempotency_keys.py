"""What a request with an Idempotency-Key is."""

import msgspec
import pytest
from quart import Quart, g

from service.api.caller import caller_of
from service.push.idempotency_keys import (
    Kept,
    KeyRefusedError,
    fingerprint,
    key_in,
    name_of,
    read_kept,
    write_kept,
)


@pytest.mark.parametrize("key", [b"a", b"x" * 255, b'"quoted"', b"!~", b"8e03978e-40d5-43dd"])
def test_a_key_is_visible_ascii(key: bytes) -> None:
    assert key_in([(b"host", b"h"), (b"idempotency-key", key), (b"accept", b"*/*")]) == key


@pytest.mark.parametrize(
    "key", [b"", b"x" * 256, b"a b", b" ", b"a\x7f", b"a\x00", b"a\n", b"\xc3\xbc", b"\xff"]
)
def test_any_other_is_refused(key: bytes) -> None:
    with pytest.raises(KeyRefusedError, match="1 to 255 visible ASCII"):
        key_in([(b"idempotency-key", key)])


def test_two_are_refused_and_none_is_none() -> None:
    assert key_in([(b"host", b"h"), (b"x-idempotency-key", b"a")]) is None
    with pytest.raises(KeyRefusedError):
        key_in([(b"idempotency-key", b"a"), (b"idempotency-key", b"a")])


def test_callers_have_keys_of_their_own() -> None:
    names = {
        name_of(*pair) for pair in [("", b"k"), ("shop", b"k"), ("shop", b"l"), ("sho", b"pk")]
    }
    assert len(names) == 4
    assert all(len(name) == 64 and name.isalnum() for name in names)


def test_any_part_of_a_request_tells_it_from_others() -> None:
    requests = [
        ("/api/push", b"", b"{}"),
        ("/api/push", b"", b"{} "),
        ("/api/push", b"wait=1s", b"{}"),
        ("/api/push/batch", b"", b"{}"),
        ("/api/push", b"wait=2s", b"{}"),
    ]
    assert len({fingerprint(*request) for request in requests}) == len(requests)
    assert fingerprint(*requests[0]) == fingerprint(*requests[0])


def test_what_is_kept_is_read_back() -> None:
    lease = Kept("print", "owner")
    assert read_kept(write_kept(lease)) == lease
    done = Kept("print", "owner", 202, msgspec.Raw(b'{"id":"\xc3\xbc"}'))
    found = read_kept(write_kept(done))
    assert found is not None
    assert bytes(found.body) == bytes(done.body)
    assert read_kept(b"1") is None
    assert read_kept(b"\xff") is None


async def test_the_caller_is_the_name_of_its_api_key() -> None:
    app = Quart(__name__)
    for given, expected in ((None, ""), ("shop", "shop")):
        async with app.app_context():
            g.api_key_name = given
            assert caller_of() == expected
    async with app.app_context():
        assert caller_of() == ""

import hmac
from typing import Annotated, Any

import pytest
from pydantic import TypeAdapter, ValidationError

from nacos_boot.http.api_keys import ApiKeySection, EachOnce, KeyHolder, KeyRing, hash_of, new_key
from nacos_boot.settings import setting


class _Key(ApiKeySection):
    scopes: tuple[str, ...] = setting(..., "Scopes.")


_keys = TypeAdapter(Annotated[tuple[_Key, ...], EachOnce])


def entry(name: str, key: str, *scopes: str) -> dict[str, Any]:
    return {"name": name, "hash": hash_of(key), "scopes": scopes}


def ring(*entries: dict[str, Any]) -> KeyRing:
    return KeyRing.of(_keys.validate_python(entries))


def test_several_keys_are_valid_at_once() -> None:
    old, new = new_key(), new_key()
    both = ring(entry("shop", old, "push"), entry("shop", new, "push", "read"))
    assert both.holder(old.encode()) == KeyHolder("shop", frozenset({"push"}))
    assert both.holder(new.encode()) == KeyHolder("shop", frozenset({"push", "read"}))
    for wrong in (b"", old[:-1].encode(), hash_of(old).encode(), b"\xff\x00"):
        assert both.holder(wrong) is None


def test_every_key_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append(one)
        return one == other

    monkeypatch.setattr(hmac, "compare_digest", compare)
    three = ring(*(entry(name, name) for name in "abc"))
    assert three.holder(b"a") == KeyHolder("a", frozenset())
    assert len(compared) == 3


@pytest.mark.parametrize(
    ("bad", "where"),
    [
        ([{**entry("a", "k"), "hash": "the key itself"}], (0, "hash")),
        ([{**entry("a", "k"), "hash": "sha256:" + "g" * 64}], (0, "hash")),
        ([{**entry("a", "k"), "hash": hash_of("k") + "0"}], (0, "hash")),
        ([entry("two words", "k")], (0, "name")),
        ([entry("", "k")], (0, "name")),
        ([entry("a\r\nb", "k")], (0, "name")),
        ([entry("a", "k"), entry("b", "k")], ()),
        ([entry("a", "k"), {**entry("b", "k"), "hash": "sha256:" + hash_of("k")[7:].upper()}], ()),
    ],
)
def test_entries_that_cannot_be_used_are_refused(bad: list[Any], where: tuple[Any, ...]) -> None:
    with pytest.raises(ValidationError) as caught:
        _keys.validate_python(bad)
    [error] = caught.value.errors()
    assert error["loc"] == where
    assert "the key itself" not in error["msg"]


def test_a_new_key_is_another_each_time_and_fits_a_header() -> None:
    keys = {new_key() for _ in range(100)}
    assert len(keys) == 100
    assert all(len(key) >= 43 and key.isascii() and key.isprintable() for key in keys)

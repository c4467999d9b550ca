"""Lists of sections that are called as secrets are, while only a part of each item is one."""

from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from nacos_boot.logs import masking
from nacos_boot.logs.masking import is_secret_name
from nacos_boot.settings import Section, setting
from nacos_boot.settings.bind import bind
from nacos_boot.settings.secret_keys import secrets_of
from nacos_boot.settings.sources import PropertySource


class _Key(Section):
    name: str = setting("", "Name.")
    scopes: tuple[str, ...] = setting((), "Scopes.")
    hash: SecretStr = setting(SecretStr(""), "Hash.")


class _Door(Section):
    keys: tuple[_Key, ...] = setting((), "Keys.")


class _Settings(Section):
    door: _Door = _Door()


@pytest.fixture(autouse=True)
def _unknown_afterwards() -> Iterator[None]:
    known = masking._known
    masking._known = masking._KnownSecrets()
    yield
    masking._known = known


def test_only_the_secret_of_an_item_is_masked() -> None:
    item = {"name": "the-operator", "scopes": ["actuator"], "hash": "sha256:abcdef"}
    bound = bind(_Settings, [PropertySource("a.yml", {"door": {"keys": [item]}})], {})
    assert is_secret_name("door.keys[0].hash")
    assert is_secret_name("door.keys[0].unheard-of")
    assert is_secret_name("other.keys[0].name")
    for key in ("door.keys[0].name", "door.keys[12].scopes", "door.keys[0].scopes[1]"):
        assert not is_secret_name(key)
    assert secrets_of(bound.merged) == {"sha256:abcdef"}

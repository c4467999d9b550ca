"""The key set: fetched, kept, read again, within bounds."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from devtools.ports import free_port
from service.auth import jwks
from service.auth.jwks import FetchError, Jwks, fetch
from tests.service.token_maker import ED25519, OTHER_ED25519, KeyServer, jwk, key_server, key_set
from tests.waiting import eventually


class Kept:
    """A Jwks that runs, and the settings that it goes by."""

    def __init__(self) -> None:
        self.url = ""
        self.interval = 3600.0
        self.jwks = Jwks(lambda: (self.url, self.interval))

    def edit(self, url: str, interval: float = 3600.0) -> None:
        self.url, self.interval = url, interval
        self.jwks.stir()

    @property
    def kids(self) -> list[str]:
        return [key.kid for key in self.jwks.keys]


@pytest.fixture
async def kept(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Kept]:
    monkeypatch.setattr(jwks, "_PAUSES", (0.05,))
    found = Kept()
    running = asyncio.create_task(found.jwks.run())
    yield found
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


@pytest.fixture
async def server() -> AsyncIterator[KeyServer]:
    async with key_server(jwk(ED25519, "a")) as found:
        yield found


async def test_keys_are_read_again_on_the_interval_in_force(kept: Kept, server: KeyServer) -> None:
    assert not kept.jwks.missing
    kept.edit(server.url)
    assert kept.jwks.missing
    await eventually(lambda: kept.kids == ["a"])
    assert not kept.jwks.missing
    server.body = key_set(jwk(OTHER_ED25519, "b"))
    await asyncio.sleep(0.1)
    assert kept.kids == ["a"]
    kept.edit(server.url, 0.05)
    await eventually(lambda: kept.kids == ["b"])
    asked = server.asked
    await eventually(lambda: server.asked > asked + 1)


async def test_the_last_good_keys_stay_while_it_fails(
    kept: Kept, server: KeyServer, caplog: pytest.LogCaptureFixture
) -> None:
    kept.edit(server.url, 0.05)
    await eventually(lambda: kept.kids == ["a"])
    server.status = 503
    await eventually(lambda: "it answered 503" in kept.jwks.failure)
    asked = server.asked
    await eventually(lambda: server.asked > asked + 2)
    assert kept.kids == ["a"]
    # Once, not with every try.
    assert caplog.text.count("it answered 503, not 200") == 1
    server.status = 200
    await eventually(lambda: not kept.jwks.failure)


async def test_another_url_takes_over_when_it_has_answered(kept: Kept, server: KeyServer) -> None:
    kept.edit(server.url)
    await eventually(lambda: kept.kids == ["a"])
    async with key_server(jwk(OTHER_ED25519, "b")) as other:
        other.status = 500
        kept.edit(other.url)
        await eventually(lambda: kept.jwks.failure)
        assert kept.kids == ["a"]
        other.status = 200
        await eventually(lambda: kept.kids == ["b"])
    kept.edit("")
    await eventually(lambda: not kept.kids)
    assert kept.jwks.fetched_at is None


async def test_what_comes_for_a_url_that_is_not_wanted_any_more_is_dropped(
    kept: Kept, server: KeyServer
) -> None:
    server.answering.clear()
    kept.edit(server.url)
    await eventually(lambda: server.asked == 1)
    async with key_server(jwk(OTHER_ED25519, "b")) as other:
        other.answering.clear()
        kept.edit(other.url)
        server.answering.set()
        await eventually(lambda: other.asked == 1)
        assert kept.kids == []
        other.answering.set()
        await eventually(lambda: kept.kids == ["b"])


async def test_unknown_keys_cause_a_fetch_now_and_then(
    kept: Kept, server: KeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert kept.jwks.ask() is None
    kept.edit(server.url)
    await eventually(lambda: kept.kids)
    monkeypatch.setattr(jwks, "ASK_PAUSE", 0.5)
    asked = kept.jwks.ask()
    assert asked is not None
    # The same fetch, while it runs.
    assert kept.jwks.ask() is asked
    await asked
    assert kept.jwks.ask() is None
    assert server.asked == 2
    await eventually(lambda: kept.jwks.ask() is not None)
    await eventually(lambda: server.asked == 3)


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (404, key_set(jwk(ED25519)), "it answered 404"),
        # Nobody else is asked than whom the settings name.
        (302, b"", "it answered 302"),
        (200, b"<html>", "no JSON Web Key Set"),
        (200, key_set({"kty": "oct", "k": "AAAA"}), "no public key"),
        (200, b" " * 300_000, "longer than 262144 bytes"),
    ],
)
async def test_what_cannot_be_used(
    server: KeyServer, status: int, body: bytes, message: str
) -> None:
    server.status, server.body = status, body
    with pytest.raises(FetchError, match=message):
        await fetch(server.url)


async def test_who_does_not_answer(server: KeyServer, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FetchError, match="it cannot be reached"):
        await fetch(f"http://127.0.0.1:{free_port()}/")
    server.answering.clear()
    monkeypatch.setattr(jwks, "FETCH_LIMIT", 0.1)
    with pytest.raises(FetchError, match=r"no answer in 0\.1 s"):
        await fetch(server.url)

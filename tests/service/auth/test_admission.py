"""Who is let in by origin and token: on real connections, by the settings in force."""

import asyncio
import base64
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

import pytest
from websockets.frames import Close, Frame, Opcode

from service import metrics
from service.auth import jwks, waiting_room
from service.auth.admission import Admission
from service.settings import NodeSettings
from tests.service.raw_clients import Client, House
from tests.service.token_maker import (
    ED25519,
    OTHER_ED25519,
    OTHER_SECRET,
    SECRET,
    KeyServer,
    jwk,
    key_server,
    key_set,
    token,
)
from tests.waiting import eventually

HS = {"algorithm": "HS256", "secret": SECRET}
WAYS = ["header", "query", "subprotocol"]


def with_token(way: str, text: str, target: str = "/websocket/alice") -> dict[str, Any]:
    """Show a token in one of the three ways."""
    if way == "header":
        return {"target": target, "headers": {"Authorization": f"Bearer {text}"}}
    if way == "query":
        return {"target": f"{target}?device=phone&access_token={text}"}
    return {"target": target, "subprotocols": [f"bearer.{text}", "cluster.v1"]}


class Guarded(House):
    """A House whose door judges origins and tokens; `now` is the clock of tokens."""

    def __init__(self, **websocket: Any) -> None:
        super().__init__(asyncio.get_running_loop())
        self.late = 0.0
        self.edit(**websocket)
        self.admission = Admission(self.live, self.door, lambda: time.time() + self.late)

    def edit(self, **websocket: Any) -> None:
        """Put other settings in force: `allowed_origins=…, auth=…`."""
        spelled = {name.replace("_", "-"): value for name, value in websocket.items()}
        self.live.swap(NodeSettings.model_validate({"websocket": spelled}))

    def jwt(self, mode: str = "jwt", **jwt: Any) -> None:
        """Ask for tokens: `keys=…, jwks_url=…`."""
        spelled = {name.replace("_", "-"): value for name, value in jwt.items()}
        self.edit(auth={"mode": mode, "jwt": spelled})


@pytest.fixture
async def house() -> Guarded:
    found = Guarded()
    found.jwt(keys=[HS])
    return found


def close_of(client: Client) -> tuple[int, str] | None:
    close: Close | None = client.closed()
    return (close.code, close.reason) if close else None


def refused(reason: str) -> float:
    return float(metrics.ADMISSIONS_REFUSED.labels(reason)._value.get())


def is_in(house: Guarded, client: Client) -> bool:
    return client.connection in house.hub.of_user(client.connection.user)


@pytest.mark.parametrize("written", [True, False])
@pytest.mark.parametrize("way", WAYS)
async def test_a_good_token_lets_in_and_leaves_no_trace(
    house: Guarded, way: str, written: bool
) -> None:
    text = token()
    client = house.started(**with_token(way, text), written=written)
    assert is_in(house, client)
    assert text.encode() not in client.transport.sent
    assert b"bearer" not in client.transport.sent
    assert text not in str(client.connection.attributes)
    assert client.connection.attributes == ({"device": "phone"} if way == "query" else {})
    assert client.connection.cluster_form == (way == "subprotocol")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("changes", "close"),
    [
        ({"key": OTHER_SECRET}, (4401, "the key of the token is not known here")),
        ({"life": -100}, (4401, "the token has expired")),
        ({"user": "bob"}, (4403, "the token is another user's")),
    ],
)
async def test_a_bad_token_is_refused_by_accepting_and_closing(
    house: Guarded, way: str, changes: dict[str, Any], close: tuple[int, str]
) -> None:
    # One key with an id, so that the token's is another.
    house.jwt(keys=[{**HS, "kid": "a"}])
    client = house.client(**with_token(way, token(kid="a", **changes)))
    expected = (4401, "the signature of the token is wrong") if "key" in changes else close
    assert close_of(client) == expected
    assert client.response is not None
    assert client.response.status_code == 101
    assert len(house.hub) == 0
    if way == "subprotocol":
        assert client.response.headers["Sec-WebSocket-Protocol"] == "cluster.v1"


async def test_no_token_and_two_tokens(house: Guarded) -> None:
    before = refused("missing"), refused("several")
    assert close_of(house.client()) == (4401, "no token")
    both = {**with_token("header", token()), **with_token("subprotocol", token(jti="2"))}
    assert close_of(house.client(**both)) == (4401, "more than one token")
    assert (refused("missing"), refused("several")) == (before[0] + 1, before[1] + 1)
    same = token()
    both = {**with_token("header", same), **with_token("subprotocol", same)}
    assert is_in(house, house.started(**both))
    # Also where a header comes twice, which is no ordinary handshake.
    twice = {"Authorization": [f"Bearer {token()}", f"Bearer {token(jti='2')}"]}
    assert close_of(house.client(headers=twice)) == (4401, "more than one token")


async def test_the_gateway_is_told_the_same_as_everyone(house: Guarded) -> None:
    assert close_of(house.client(headers={"X-Gateway-Attempt": "1"})) == (4401, "no token")


async def test_a_bad_user_id_and_a_full_node_come_first(house: Guarded) -> None:
    assert (close_of(house.client("/websocket/a%20b")) or (0,))[0] == 4403
    house.door.draining = True
    assert (close_of(house.client()) or (0,))[0] == 4001


async def test_a_key_is_replaced_live_with_both_valid_for_a_time(house: Guarded) -> None:
    old, new = {**HS, "kid": "old"}, {**HS, "kid": "new", "secret": OTHER_SECRET}
    by_old, by_new = token(kid="old"), token(kid="new", key=OTHER_SECRET)

    def lets_in(text: str) -> bool:
        return is_in(house, house.client(**with_token("header", text)))

    house.jwt(keys=[old])
    assert (lets_in(by_old), lets_in(by_new)) == (True, False)
    house.jwt(keys=[old, new])
    assert (lets_in(by_old), lets_in(by_new)) == (True, True)
    house.jwt(keys=[new])
    assert (lets_in(by_old), lets_in(by_new)) == (False, True)
    # Who came in with the old key stays.
    assert len(house.hub) == 4


async def test_a_connection_ends_with_its_token_leeway_counted(house: Guarded) -> None:
    house.jwt(keys=[HS], leeway="10s")
    short = house.started(**with_token("header", token(life=30)))
    long = house.started(**with_token("header", token("bob", life=300), "/websocket/bob"))
    left = house.started(**with_token("query", token(life=30)))
    left.transport.lose()
    assert len(house.door.expiries) == 2
    # Neither a change of the keys nor of the mode ends anybody, or frees them from their end.
    house.jwt(mode="none")
    now = time.time()
    assert not house.door.expiries.turn(now + 38)
    assert short.closed() is None
    house.door.expiries.turn(now + 42)
    assert close_of(short) == (4401, "the token has expired")
    assert long.closed() is None
    assert house.hub.users == {"bob"}
    assert len(house.door.expiries) == 1


async def test_a_token_without_an_end_never_ends(house: Guarded) -> None:
    house.jwt(keys=[HS], require_exp=False)
    house.started(**with_token("header", token(life=None)))
    assert len(house.door.expiries) == 0


async def test_without_tokens_and_with_any_origin_nothing_is_judged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    house = Guarded()
    assert house.door.admission is None
    assert "websocket.auth.mode is none" in caplog.text
    health = house.admission.health()
    assert health.status == "UP"
    assert "any client may connect as any user" in str(health.details["warnings"])
    house.jwt(keys=[HS])
    assert house.door.admission is house.admission
    assert dict(house.admission.health().details) == {"mode": "jwt", "configuredKeys": 1}
    caplog.clear()
    house.jwt(mode="none")
    assert house.door.admission is None
    assert "websocket.auth.mode is none" in caplog.text


@pytest.mark.parametrize("written", [True, False])
async def test_origins(house: Guarded, written: bool) -> None:
    house.edit(allowed_origins=["https://*.example.com"])

    def come(origin: str | None = None) -> tuple[int, str] | None:
        headers = {"Origin": origin} if origin else {}
        client = house.client(headers=headers, written=written)
        return None if is_in(house, client) else close_of(client)

    no = (4403, "this origin is not allowed")
    assert come("https://app.example.com") is None
    assert come() is None
    assert come("https://evil.org") == no
    assert come("null") == no
    # Two are no handshake of any browser.
    twice = house.client(headers={"Origin": ["https://app.example.com"] * 2}, written=written)
    assert twice.transport.sent.startswith(b"HTTP/1.1 400 ")
    # The origin comes before the token: a page that may not be here learns nothing of it.
    auth = {"mode": "jwt", "jwt": {"keys": [HS]}}
    house.edit(allowed_origins=["https://*.example.com"], auth=auth)
    assert come("https://evil.org") == no
    assert come("https://app.example.com") == (4401, "no token")
    house.edit()
    assert come("https://evil.org") is None


async def test_a_refused_client_counts_as_one_handshake(house: Guarded) -> None:
    limits = {"handshakes-per-second": 2, "handshake-burst": 2}
    house.edit(limits=limits, auth={"mode": "jwt", "jwt": {"keys": [HS]}})
    codes = [(close_of(house.client()) or (0,))[0] for _ in range(3)]
    assert codes == [4401, 4401, 4429]


# Keys by URL.


@pytest.fixture
async def issuer() -> AsyncIterator[KeyServer]:
    async with key_server(jwk(ED25519, "first")) as server:
        yield server


Start = Callable[[], None]


@pytest.fixture
async def running(house: Guarded) -> AsyncIterator[Start]:
    tasks: list[asyncio.Task[None]] = []
    yield lambda: tasks.append(asyncio.create_task(house.admission.jwks.run()))
    for task in tasks:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def by_first(user: str = "alice") -> dict[str, Any]:
    text = token(user, ED25519, "EdDSA", "first")
    return with_token("header", text, f"/websocket/{user}")


def by_second(user: str = "alice") -> dict[str, Any]:
    text = token(user, OTHER_ED25519, "EdDSA", "second")
    return with_token("subprotocol", text, f"/websocket/{user}")


async def test_while_the_keys_cannot_be_had_clients_are_sent_elsewhere(
    house: Guarded, issuer: KeyServer, running: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jwks, "_PAUSES", (0.05,))
    issuer.status = 500
    house.jwt(jwks_url=issuer.url)
    await house.admission.prepare()
    health = house.admission.health()
    assert health.status == "DOWN"
    assert "it answered 500, not 200" in str(health.details["warnings"])
    close = close_of(house.client(**by_first()))
    assert close == (4001, "the keys of tokens cannot be had now; reconnect")
    behind = by_first()
    behind["headers"]["X-Gateway-Attempt"] = "1"
    client = house.client(**behind)
    assert client.transport.sent.startswith(b"HTTP/1.1 503 ")
    # What no key could help is refused as ever.
    assert close_of(house.client()) == (4401, "no token")
    running()
    issuer.status = 200
    await eventually(lambda: house.admission.health().status == "UP")
    assert is_in(house, house.client(**by_first()))
    details = house.admission.health().details
    assert details["jwks"] == {"url": issuer.url, "keys": 1, "ageSeconds": 0}
    assert "not https" in str(details["warnings"])


async def test_an_unknown_key_has_the_set_fetched_while_the_handshake_waits(
    house: Guarded, issuer: KeyServer
) -> None:
    house.jwt(jwks_url=issuer.url)
    await house.admission.prepare()
    issuer.body = key_set(jwk(ED25519, "first"), jwk(OTHER_ED25519, "second"))
    issuer.answering.clear()
    waiting = [house.client(**by_second(f"user-{number}")) for number in range(30)]
    gone = house.client(**by_second("gone"))
    # A client that does not wait for the answer; and one that is gone before it.
    hasty = Frame(Opcode.TEXT, b"ping").serialize(mask=True)
    for number in range(0, len(hasty), 3):
        waiting[0].send(hasty[number : number + 3])
    await eventually(lambda: issuer.asked == 2)
    gone.transport.lose()
    assert not waiting[0].transport.reading
    assert all(client.transport.sent == b"" for client in waiting)
    # Those whose key is known do not wait.
    assert is_in(house, house.client(**by_first("quick")))
    issuer.answering.set()
    await eventually(lambda: len(house.hub) == 31)
    assert waiting[0].transport.reading
    house.writes.done()
    await asyncio.sleep(0)
    assert waiting[0].texts() == [b"pong", b"pong"]
    assert waiting[1].texts() == [b"pong"]
    assert gone.transport.sent == b""
    assert len(house.admission.room) == 0
    assert issuer.asked == 2


async def test_anyone_can_name_a_key_but_not_have_the_set_fetched_without_end(
    house: Guarded, issuer: KeyServer
) -> None:
    house.jwt(jwks_url=issuer.url)
    await house.admission.prepare()
    first = house.client(**by_second())
    await eventually(lambda: first.transport.sent)
    unknown = (4401, "the key of the token is not known here")
    assert close_of(first) == unknown
    for _ in range(5):
        assert close_of(house.client(**by_second())) == unknown
    assert issuer.asked == 2


async def test_nobody_waits_for_long(
    house: Guarded, issuer: KeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.jwt(jwks_url=issuer.url)
    await house.admission.prepare()
    monkeypatch.setattr(waiting_room, "PATIENCE", 0.1)
    issuer.answering.clear()
    client = house.client(**by_second())
    # A fetch may take longer.
    await eventually(lambda: client.transport.sent, limit=3)
    close = close_of(client)
    # It may be a good one; but other nodes are not asked, since anyone can name such a key.
    assert close == (4001, "the keys of tokens cannot be had now; reconnect")
    monkeypatch.setattr(waiting_room, "PATIENCE", 5)
    behind = by_second()
    behind["headers"] = {"X-Gateway-Attempt": "1"}
    client = house.client(**behind)
    issuer.status = 500
    issuer.answering.set()
    await eventually(lambda: client.transport.sent)
    assert close_of(client) == close


async def test_few_bytes_and_few_clients_are_kept_waiting(
    house: Guarded, issuer: KeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.jwt(jwks_url=issuer.url)
    await house.admission.prepare()
    monkeypatch.setattr(waiting_room, "_MOST", 2)
    issuer.answering.clear()
    loud, quiet = house.client(**by_second()), house.client(**by_second())
    third = house.client(**by_second())
    assert close_of(third) == (4001, "the keys of tokens cannot be had now; reconnect")
    for _ in range(70):
        loud.send(bytes(1000))
    assert loud.transport.aborted
    assert not quiet.transport.aborted
    assert len(house.admission.room) == 1
    issuer.answering.set()
    await eventually(lambda: len(house.admission.room) == 0)


async def test_a_token_is_nowhere_in_what_is_logged_or_measured(
    house: Guarded, issuer: KeyServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    house.jwt(keys=[HS], jwks_url=issuer.url)
    texts = [token(), token(kid="x"), token(key=OTHER_SECRET), token("bob")]
    for way in WAYS:
        for text in texts:
            house.client(**with_token(way, text))
    await eventually(lambda: len(house.admission.room) == 0)
    labels = str([family.samples for family in metrics.ADMISSIONS_REFUSED.collect()])
    for text in texts:
        for part in (text, *text.split(".")[1:]):
            assert part not in caplog.text
            assert part not in labels
    payload = texts[3].split(".")[1]
    assert b"bob" in base64.urlsafe_b64decode(payload + "==")

"""Connections that are held until it is known what their clients have missed."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Any

import pytest

from service.broker.notes import Notes
from service.history import held as history_held
from service.history.history import History
from service.history.settings import HistorySection
from service.history.store import Addition, Item, Span
from tests.service.fake_history import FakeHistoryStore
from tests.service.raw_clients import Client, House
from tests.waiting import eventually

CLUSTER = {"subprotocols": ["cluster.v1"]}


class Home(House):
    """A House with a history whose tasks run."""

    def __init__(self, **limits: Any) -> None:
        super().__init__(asyncio.get_running_loop(), **limits)
        self.store = FakeHistoryStore()
        self.settings = HistorySection(resume_wait=timedelta(seconds=30))
        history = History(self.hub, self.store, lambda: self.settings)
        self.history = self.door.history = history
        works = (history.catch_up.read_heads, history.catch_up.fill_gaps, history.kept.run)
        self.tasks = [asyncio.create_task(work()) for work in works]

    async def push(
        self, content: str, *, keep: bool = False, heard: bool = True
    ) -> tuple[Item, Notes]:
        """Push to alice, as the node that accepts it does; this node hears of it."""
        item = Item(f"id-{content}", b'"%s"' % content.encode(), keep)
        data_set, [at] = await self.store.append([Addition("alice", item)], self.settings)
        push = item, Notes({"alice": at}, data_set=data_set, keep=keep)
        if heard:
            self.hear(push)
        await asyncio.sleep(0)
        return push

    def hear(self, push: tuple[Item, Notes]) -> None:
        item, notes = push
        self.history.deliver(item.id, item.content, ("alice",), notes)

    def come(self, target: str = "/websocket/alice", **options: Any) -> "Seen":
        client = self.client(target, **options)
        self.writes.done()
        return Seen(client)


class Seen:
    """A client, and all texts that it has got."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.texts: list[str] = []

    def look(self) -> list[str]:
        self.texts += [text.decode() for text in self.client.texts()]
        return self.texts

    def frames(self) -> list[dict[str, Any]]:
        return [json.loads(text) for text in self.look() if text != "pong"]

    def heard(self) -> list[str]:
        """Contents of messages, and types of other frames."""
        return [str(frame.get("content", frame["type"])) for frame in self.frames()]

    async def hears(self, *expected: str) -> None:
        await eventually(lambda: self.heard() == list(expected))

    def says(self, **message: Any) -> None:
        self.client.text(json.dumps(message).encode())


@pytest.fixture
async def home() -> AsyncIterator[Home]:
    found = Home(send_buffer=5000)
    yield found
    for task in found.tasks:
        task.cancel()


async def token_at(home: Home) -> str:
    heads = await home.store.heads(["alice"])
    return f"{heads.data_set}{heads.all}{heads.users['alice'].position}"


async def test_what_is_new_waits_behind_what_was_missed(home: Home) -> None:
    token = await token_at(home)
    for number in range(120):
        await home.push(f"{number}", heard=False)
    alice = home.come(**CLUSTER)
    await eventually(lambda: alice.look() == ["pong"])
    await home.push("new")
    await asyncio.sleep(0.02)
    assert alice.look() == ["pong"]
    alice.says(type="resume", token=token)
    await alice.hears(*map(str, range(120)), "resumed", "new")
    frames = alice.frames()
    # Whoever breaks off at any of them goes on there.
    tokens = [frame["token"] for frame in frames]
    assert tokens == sorted(tokens)
    assert len(set(tokens)) == len(tokens)
    again = home.come(f"/websocket/alice?resume={tokens[100]}", **CLUSTER)
    await again.hears(*map(str, range(101, 120)), "new", "resumed")


async def test_any_first_message_or_the_end_of_the_wait_lets_messages_through(home: Home) -> None:
    alice = home.come(**CLUSTER)
    await eventually(lambda: alice.look() == ["pong"])
    await home.push("one")
    alice.client.text(b"ping")
    await alice.hears("one")
    home.settings = HistorySection(resume_wait=timedelta(milliseconds=20))
    silent = home.come(**CLUSTER)
    await home.push("two")
    await silent.hears("two")
    # The default form waits for nothing.
    raw = home.come()
    await eventually(lambda: raw.look() == ["pong"])
    await home.push("three")
    assert raw.look() == ["pong", "three"]


async def test_without_redis_only_who_resumes_is_held(home: Home) -> None:
    token = await token_at(home)
    await home.push("missed", heard=False)
    home.store.away = True
    raw, resuming = home.come(), home.come(f"/websocket/alice?resume={token}", **CLUSTER)
    await eventually(lambda: raw.look() == resuming.look() == ["pong"])
    home.history.deliver("x", b'"plain"', ("alice",), Notes())
    await eventually(lambda: raw.look() == ["pong", "plain"])
    assert resuming.look() == ["pong"]
    home.store.away = False
    await resuming.hears("missed", "resumed", "plain")


async def test_what_queues_behind_a_held_client_is_limited(home: Home) -> None:
    token = await token_at(home)
    home.store.away = True
    alice = home.come(f"/websocket/alice?resume={token}", **CLUSTER)
    for _ in range(6):
        home.history.deliver("x", b'"%s"' % (b"y" * 1000), ("alice",), Notes())
    await eventually(lambda: not home.hub.users, limit=5)
    closed = alice.client.closed()
    assert closed is not None
    assert closed.code == 4008


async def test_who_does_not_read_what_it_has_missed_is_closed(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_held, "PATIENCE", 0.2)
    token = await token_at(home)
    for number in range(40):
        await home.push(f"{number}" + "y" * 4000, heard=False)
    options: dict[str, Any] = {**CLUSTER, "transport": {"stuck": True}}
    alice = home.come(f"/websocket/alice?resume={token}", **options)
    await eventually(lambda: not home.hub.users, limit=5)
    closed = alice.client.closed()
    assert closed is not None
    assert closed.code == 4008
    # No more than some pages waited for it.
    assert sum(map(len, alice.client.transport.written)) < 90_000


async def test_the_default_form_gets_what_was_kept_once(home: Home) -> None:
    await home.push("kept", keep=True, heard=False)
    await home.push("not kept", heard=False)
    raw = home.come()
    await home.push("live")
    await eventually(lambda: raw.look() == ["pong", "kept", "live"])
    await eventually(lambda: not home.store.pointers["alice"])


async def test_switched_off_nobody_is_held(home: Home) -> None:
    asked, silent = home.come("/websocket/alice?resume=x", **CLUSTER), home.come(**CLUSTER)
    home.door.history = None
    home.history.let_all_in()
    await asked.hears("reset")
    home.history.deliver("x", b'"plain"', ("alice",), Notes())
    await asked.hears("reset", "plain")
    await silent.hears("plain")
    assert not home.history.held


async def test_what_is_trimmed_while_it_is_read_makes_a_reset(home: Home) -> None:
    token = await token_at(home)
    for number in range(60):
        await home.push(f"{number}", heard=False)
    read, pages = home.store.read, 0

    async def trimmed(spans: Sequence[Span]) -> Any:
        nonlocal pages
        pages += 1
        if pages == 2:
            home.store.streams["alice"].clear()
        return await read(spans)

    home.store.read = trimmed  # type: ignore[method-assign]
    alice = home.come(f"/websocket/alice?resume={token}", **CLUSTER)
    await alice.hears(*map(str, range(50)), "reset")


async def test_a_bug_makes_a_reset_and_holds_nobody(home: Home) -> None:
    token = await token_at(home)
    await home.push("missed", heard=False)

    async def broken(_spans: Sequence[Span]) -> Any:
        raise RuntimeError

    home.store.read = broken  # type: ignore[method-assign]
    alice = home.come(f"/websocket/alice?resume={token}", **CLUSTER)
    await alice.hears("reset")
    await home.push("live")
    await alice.hears("reset", "live")


async def test_who_comes_before_other_data_is_noticed_resumes_by_what_redis_has_now(
    home: Home,
) -> None:
    first = home.come(**CLUSTER)
    await eventually(lambda: first.look() == ["pong"])
    await home.push("old")
    home.store.lose()
    await home.push("1", heard=False)
    token = await token_at(home)
    await home.push("2", heard=False)
    # Its token is of the new data, which this node hears of by this client only.
    alice = home.come(f"/websocket/alice?resume={token}", **CLUSTER)
    await alice.hears("2", "resumed")
    assert alice.frames()[-1]["token"][-20:] == (await token_at(home))[-20:]


async def test_other_data_while_clients_are_being_told_make_a_reset(home: Home) -> None:
    token = await token_at(home)
    await home.push("missed", heard=False)
    never, reached, read = asyncio.Event(), asyncio.Event(), home.store.read

    async def slow(spans: Sequence[Span]) -> Any:
        reached.set()
        await never.wait()
        return await read(spans)

    home.store.read = slow  # type: ignore[method-assign]
    asked = home.come(f"/websocket/alice?resume={token}", **CLUSTER)
    silent = home.come(**CLUSTER)
    await eventually(lambda: silent.look() == ["pong"])
    await reached.wait()
    home.store.lose()
    await home.push("1", heard=False)
    home.history.catch_up.ask_all()
    await asked.hears("reset")
    silent.says(type="resume", token=token)
    await silent.hears("reset")
    ends = {client.frames()[-1]["token"][-20:] for client in (asked, silent)}
    assert ends == {(await token_at(home))[-20:]}


async def test_the_default_form_does_not_get_what_is_kept_twice(home: Home) -> None:
    gate, heads = asyncio.Event(), home.store.heads

    async def slow(users: Sequence[str]) -> Any:
        await gate.wait()
        return await heads(users)

    bob = home.come("/websocket/bob")
    await eventually(lambda: bob.look() == ["pong"])
    home.store.heads = slow  # type: ignore[method-assign]
    late = await home.push("late", keep=True, heard=False)
    raw = home.come()
    # Both are in Redis when the head is read; one comes before that, one after.
    await home.push("early", keep=True)
    gate.set()
    await eventually(lambda: raw.look() == ["pong", "late", "early"])
    home.hear(late)
    home.history.deliver("x", b'"plain"', ("alice",), Notes())
    await eventually(lambda: raw.look() == ["pong", "late", "early", "plain"])
    await eventually(lambda: not home.store.pointers["alice"])


async def test_what_waits_for_the_default_form_to_be_opened_is_kept_no_longer(home: Home) -> None:
    first = home.come(**CLUSTER)
    await eventually(lambda: first.look() == ["pong"])
    await home.push("one", keep=True)
    raw = home.client()
    await home.push("two", keep=True)
    await home.push("three", keep=True)
    assert set(home.store.pointers["alice"]) == {"id-one", "id-two", "id-three"}
    home.writes.done()
    await eventually(lambda: raw.texts()[1:] == [b"one", b"two", b"three"])
    await eventually(lambda: not home.store.pointers["alice"])

"""Requests that are carried out once for each key."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest
from quart import Response

from nacos_boot.http.problem import problem
from service.api.http_answers import json_answer
from service.push import idempotency
from service.push.idempotency import Idempotency
from service.push.tries import Tries
from tests.service.fake_keys import FakeKeyStore
from tests.waiting import eventually

NO_WAIT = timedelta(0)


class Work:
    """Counts how often it is done; gives the answer of that number."""

    def __init__(self, *answers: Callable[[], Response]) -> None:
        self.answers = answers
        self.done = 0
        self.tries: list[Tries] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, tries: Tries) -> Response:
        self.tries.append(tries)
        self.done += 1
        number = self.done
        await self.gate.wait()
        if self.answers:
            return self.answers[number - 1]()
        return json_answer({"number": number}, 202)


class Node:
    def __init__(self, store: FakeKeyStore) -> None:
        self.idempotency = Idempotency(store, lambda: timedelta(hours=24))

    def ask(self, work: Work, request: str = "print", key: str = "key") -> Awaitable[Response]:
        return self.idempotency.answer(key, request, work, NO_WAIT)


@pytest.fixture
async def store() -> FakeKeyStore:
    return FakeKeyStore()


@pytest.fixture
async def nodes(store: FakeKeyStore) -> tuple[Node, Node]:
    return Node(store), Node(store)


async def body_of(response: Response) -> bytes:
    return await response.get_data(as_text=False)


async def test_a_request_that_comes_again_gets_the_first_answer(nodes: tuple[Node, Node]) -> None:
    work = Work()
    first = await nodes[0].ask(work)
    assert "Idempotency-Replayed" not in first.headers
    for node in nodes:
        again = await node.ask(work)
        assert again.headers["Idempotency-Replayed"] == "true"
        assert (again.status_code, again.content_type) == (202, "application/json")
        assert await body_of(again) == await body_of(first) == b'{"number":1}'
    assert work.done == 1
    await nodes[1].ask(work, key="another")
    assert work.done == 2


async def test_while_it_is_under_way_it_is_409_and_another_request_is_422(
    nodes: tuple[Node, Node],
) -> None:
    work = Work()
    work.gate.clear()
    first = asyncio.ensure_future(nodes[0].ask(work))
    await eventually(lambda: work.done == 1)
    under_way = await nodes[1].ask(work)
    assert (under_way.status_code, under_way.headers["Retry-After"]) == (409, "1")
    assert under_way.content_type == "application/problem+json"
    assert (await nodes[1].ask(work, request="other")).status_code == 422
    work.gate.set()
    assert (await first).status_code == 202
    assert (await nodes[1].ask(work, request="other")).status_code == 422
    assert (await nodes[1].ask(work)).status_code == 202
    assert work.done == 1


@pytest.mark.parametrize("status", [400, 413, 500, 503])
async def test_what_fails_gives_the_key_free(nodes: tuple[Node, Node], status: int) -> None:
    work = Work(lambda: problem(status, "x", "x"), lambda: json_answer({}, 202))
    assert (await nodes[0].ask(work)).status_code == status
    # Another request may have it, too.
    assert (await nodes[1].ask(work, request="corrected")).status_code == 202
    assert work.done == 2


async def test_tries_of_one_request_know_of_each_other_until_one_succeeds(
    nodes: tuple[Node, Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> Response:
        return problem(503, "x", "x")

    def bug() -> Response:
        raise ZeroDivisionError

    work, other = Work(away, bug, away, lambda: json_answer({}, 202), away), Work()
    await nodes[0].ask(work)
    with pytest.raises(ZeroDivisionError):
        await nodes[1].ask(work)
    # Another request has the key in between.
    assert (await nodes[0].ask(Work(away), request="other")).status_code == 503
    await nodes[1].ask(work)
    await nodes[0].ask(work)
    assert len(set(work.tries)) == 1
    await nodes[0].ask(other, key="another")
    assert other.tries[0].seed != work.tries[0].seed
    refused = Work(lambda: problem(400, "x", "x"), away)
    await nodes[0].ask(refused, key="third")
    await nodes[0].ask(refused, key="third")
    assert refused.tries[0].seed != refused.tries[1].seed

    # When its answer is forgotten, the same key is for another push.
    monkeypatch.setattr(nodes[0].idempotency, "_ttl", lambda: timedelta(milliseconds=20))
    brief = Work()
    await nodes[0].ask(brief, key="brief")

    async def forgotten() -> bool:
        await nodes[0].ask(brief, key="brief")
        return brief.done == 2

    await eventually(forgotten, limit=3)
    assert brief.tries[0].seed != brief.tries[1].seed


async def test_a_bug_gives_the_key_free(nodes: tuple[Node, Node]) -> None:
    def bug() -> Response:
        raise ZeroDivisionError

    work = Work(bug, lambda: json_answer({}, 202))
    with pytest.raises(ZeroDivisionError):
        await nodes[0].ask(work)
    assert (await nodes[0].ask(work)).status_code == 202


async def test_a_client_that_leaves_ends_nothing(nodes: tuple[Node, Node]) -> None:
    work = Work()
    work.gate.clear()
    first = asyncio.ensure_future(nodes[0].ask(work))
    await eventually(lambda: work.done == 1)
    first.cancel()
    work.gate.set()

    async def kept() -> bool:
        return (await nodes[1].ask(work)).status_code == 202

    await eventually(kept)
    assert work.done == 1


async def test_without_redis_nothing_is_done(store: FakeKeyStore, nodes: tuple[Node, Node]) -> None:
    store.away = True
    work = Work()
    answer = await nodes[0].ask(work)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert work.done == 0


async def test_what_redis_took_note_of_too_late_is_given_free(
    store: FakeKeyStore, nodes: tuple[Node, Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idempotency, "_AGAIN", 0.01)
    store.late = True
    work = Work()
    assert (await nodes[0].ask(work)).status_code == 503
    store.late = False

    async def free() -> bool:
        return (await nodes[1].ask(work)).status_code == 202

    await eventually(free)
    assert work.done == 1


@pytest.mark.parametrize("succeeds", [True, False])
async def test_what_could_not_be_kept_at_once_is_kept_later(
    store: FakeKeyStore,
    nodes: tuple[Node, Node],
    monkeypatch: pytest.MonkeyPatch,
    succeeds: bool,
) -> None:
    monkeypatch.setattr(idempotency, "_AGAIN", 0.01)

    def first() -> Response:
        store.away = True
        return json_answer({"first": True}, 202) if succeeds else problem(503, "x", "x")

    work = Work(first, lambda: json_answer({"first": False}, 202))
    # It was pushed, or not; Redis changes nothing in that.
    assert (await nodes[0].ask(work)).status_code == (202 if succeeds else 503)
    store.away = False

    async def settled() -> bool:
        return (await nodes[1].ask(work)).status_code == 202

    await eventually(settled)
    assert work.done == (1 if succeeds else 2)


async def test_a_node_that_died_leaves_a_lease_that_ends(
    nodes: tuple[Node, Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idempotency, "LEASE", timedelta(milliseconds=100))
    dead, work = Work(), Work()
    dead.gate.clear()
    asyncio.ensure_future(nodes[0].ask(dead))  # noqa: RUF006 - it never ends
    await eventually(lambda: dead.done == 1)

    async def free() -> bool:
        return (await nodes[1].ask(work)).status_code == 202

    await eventually(free, limit=3)
    assert work.done == 1
    # The late answer of the first does not take the place of the second's.
    dead.gate.set()
    await asyncio.sleep(0.02)
    assert await body_of(await nodes[1].ask(work)) == b'{"number":1}'
    assert dead.done == 1

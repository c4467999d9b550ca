"""Idempotency-Key: the same request, sent again to any node, is one push."""

import asyncio
import uuid
from typing import Any

import pytest

from tests.cluster import ClusterUnderTest, Program
from tests.waiting import eventually


async def send(
    node: Program, key: str, body: Any, path: str = "/api/push"
) -> tuple[int, dict[str, Any], bool]:
    """Give status, body, and whether it was the answer of before."""
    headers = {"Idempotency-Key": key}
    async with node._session.post(f"{node.url}{path}", json=body, headers=headers) as answer:
        if answer.status in {409, 503}:
            assert int(answer.headers["Retry-After"]) > 0
        replayed = answer.headers.get("Idempotency-Replayed") == "true"
        return answer.status, await answer.json(content_type=None), replayed


def to(content: Any, *users: str) -> dict[str, Any]:
    return {"content": content, "targetUserList": users}


async def test_a_push_that_is_sent_again_is_one_push(cluster: ClusterUnderTest, mode: str) -> None:
    assert mode
    first, second = cluster.nodes
    key = uuid.uuid4().hex
    async with await second.connect("alice") as alice:
        status, answer, replayed = await send(first, key, to("once", "alice"))
        assert (status, replayed) == (202, False)
        for node in (second, first, cluster.gateway):
            assert await send(node, key, to("once", "alice")) == (202, answer, True)
        for body, path in (
            (to("other", "alice"), "/api/push"),
            (to("once", "alice"), "/api/push?wait=1s"),
            (to("once", "alice"), "/api/push/batch"),
        ):
            status, problem, _ = await send(second, key, body, path)
            assert (status, problem["status"]) == (422, 422)
        status, report, replayed = await send(
            second, f"{key}-report", to("told", "alice"), "/api/push?wait=5s"
        )
        assert (status, report["complete"], replayed) == (200, True, False)
        told_again = await send(first, f"{key}-report", to("told", "alice"), "/api/push?wait=5s")
        assert told_again == (200, report, True)
        batch = [to(1, "alice"), to(2, "alice"), {"content": 3}]
        status, answer, _ = await send(first, f"{key}-batch", batch, "/api/push/batch")
        assert (status, answer["accepted"]) == (202, 2)
        again = await send(second, f"{key}-batch", batch, "/api/push/batch")
        assert again == (202, answer, True)
        assert [await alice.recv() for _ in range(4)] == ["once", "told", "1", "2"]
        await first.push("the next", "alice")
        assert await alice.recv() == "the next"


async def test_nodes_that_get_the_same_request_at_once_push_it_once(
    cluster: ClusterUnderTest,
) -> None:
    first, second = cluster.nodes
    senders = [first, second, cluster.gateway] * 2
    async with await second.connect("alice") as alice:
        for number in range(20):
            key = uuid.uuid4().hex
            answers = await asyncio.gather(
                *(send(node, key, to(number, "alice")) for node in senders)
            )
            statuses = [status for status, _, _ in answers]
            assert set(statuses) <= {202, 409}
            ids = {body["id"] for status, body, _ in answers if status == 202}
            assert len(ids) == 1
            assert sum(s == 202 and not replayed for s, _, replayed in answers) == 1
            assert await send(second, key, to(number, "alice")) == (
                202,
                next(body for status, body, _ in answers if status == 202),
                True,
            )
        assert [int(await alice.recv()) for _ in range(20)] == list(range(20))
        await first.push("the next", "alice")
        assert await alice.recv() == "the next"


async def test_what_is_refused_leaves_the_key_free(cluster: ClusterUnderTest) -> None:
    node = cluster.nodes[0]
    key = uuid.uuid4().hex
    assert (await send(node, key, {"content": 1}))[0] == 400
    assert (await send(node, key, to(1, "alice")))[::2] == (202, False)
    for bad in ("", "a b", "x" * 256):
        status, problem, _ = await send(node, bad, to(1, "alice"))
        assert (status, problem["errors"][0]["field"]) == (400, "Idempotency-Key")


async def test_while_a_push_is_under_way_its_key_is_taken_even_when_the_caller_has_left(
    cluster: ClusterUnderTest,
) -> None:
    await cluster.set_mode("routed")
    first, second = cluster.nodes
    key, path = uuid.uuid4().hex, "/api/push?wait=2s"
    body = to("hello", "bob")
    async with await second.connect("bob") as bob:
        await first.push("before", "bob")
        assert await bob.recv() == "before"
        second.child.pause()
        try:
            leaving = asyncio.create_task(send(first, key, body, path))
            await eventually(lambda: is_under_way(first, key, body, path))
            leaving.cancel()
            await asyncio.wait([leaving])
            assert (await send(first, key, body, path))[0] == 409
            assert (await send(first, key, to("other", "bob"), path))[0] == 422
        finally:
            second.child.resume()

        async def done() -> bool:
            status, report, replayed = await send(second, key, body, path)
            assert status in {200, 409}, report
            return status == 200 and replayed and report["users"]["bob"]["delivered"] == 1

        await eventually(done, limit=10)
        assert await bob.recv() == "hello"
        await first.push("the next", "bob")
        assert await bob.recv() == "the next"


async def is_under_way(node: Program, key: str, body: Any, path: str) -> bool:
    name = "websocket_idempotent_requests_total"
    before = await node.metric(name, result="under_way")
    waiting = await node.metric("websocket_reports_waiting")
    if not waiting:
        return False
    status, _, _ = await send(node, key, body, path)
    return status == 409 and await node.metric(name, result="under_way") > before


async def test_while_redis_hangs_a_request_with_a_key_is_503_and_others_go_on(
    cluster: ClusterUnderTest,
) -> None:
    first, _ = cluster.nodes
    key = uuid.uuid4().hex
    async with await first.connect("alice") as alice:
        cluster.servers.redis.pause()
        try:
            status, problem, _ = await send(first, key, to("no", "alice"))
            assert (status, "Redis" in problem["detail"]) == (503, True)
            await first.push("by fanout", "alice")
            assert await alice.recv() == "by fanout"
        finally:
            cluster.servers.redis.resume()
        await cluster.settled()

        async def accepted() -> bool:
            status, _, _ = await send(first, key, to("yes", "alice"))
            return status == 202

        # What Redis was asked while it hung, it may have done all the same: then the lease ends.
        await eventually(accepted, limit=45)
        assert await alice.recv() == "yes"


@pytest.mark.shows("websocket.push.idempotency-ttl")
async def test_an_answer_is_kept_for_the_time_in_force(cluster: ClusterUnderTest) -> None:
    node = cluster.nodes[0]
    key = uuid.uuid4().hex
    _, old, _ = await send(node, f"{key}-long", to(1, "alice"))
    await cluster.edit_nodes({"websocket": {"push": {"idempotency-ttl": "1s"}}})
    _, answer, _ = await send(node, key, to(1, "alice"))

    async def forgotten() -> bool:
        _, now, replayed = await send(node, key, to(1, "alice"))
        return not replayed and now["id"] != answer["id"]

    await eventually(forgotten, limit=5)
    # What was kept before has the time of then.
    assert await send(node, f"{key}-long", to(1, "alice")) == (202, old, True)

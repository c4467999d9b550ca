"""`POST /api/push?wait=`: what became of a push, told by the nodes."""

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from devtools.ports import LOOPBACK
from tests.cluster import ClusterUnderTest, Program
from tests.raw_client import raw_client
from tests.waiting import eventually


async def ask(node: Program, content: Any, *targets: str, wait: str = "5s") -> dict[str, Any]:
    """Push to users, or to everyone when none is named, and give the report."""
    body = {"content": content, **({"targetUserList": targets} if targets else {"allUser": True})}
    status, report = await node.post(f"/api/push?wait={wait}", body)
    assert status == 200, report
    return dict(report)


async def node_id_of(cluster: ClusterUnderTest, node: Program) -> str:
    _, body = await cluster.nodes[0].get("/api/nodes")
    address = f"{LOOPBACK}:{node.port}"
    return next(str(item["nodeId"]) for item in body["nodes"] if item["address"] == address)


@contextmanager
def hanging(program: Program) -> Iterator[None]:
    """Have a program stand still."""
    program.child.pause()
    try:
        yield
    finally:
        program.child.resume()


async def test_a_report_tells_of_every_target_and_node(
    cluster: ClusterUnderTest, mode: str
) -> None:
    first, second = cluster.nodes
    first_id, second_id = [await node_id_of(cluster, node) for node in cluster.nodes]
    async with (
        await first.connect("alice") as here,
        await second.connect("alice", subprotocols=["cluster.v1"]) as there,
        await second.connect("bob") as bob,
    ):
        for sender in (first, second, cluster.gateway):
            began = time.monotonic()
            report = await ask(sender, "hello", "alice", "bob", "nobody")
            assert time.monotonic() - began < 4, "it must not wait for what is complete"
            push_id = report.pop("id")
            nodes = report.pop("nodes")
            assert report == {
                "mode": mode,
                "complete": True,
                "targeted": 3,
                "delivered": 3,
                "slow": 0,
                "offline": ["nobody"],
                "unreported": [],
                "users": {
                    "alice": {"state": "delivered", "delivered": 2, "slow": 0},
                    "bob": {"state": "delivered", "delivered": 1, "slow": 0},
                    "nobody": {"state": "offline", "delivered": 0, "slow": 0},
                },
            }
            assert nodes == {
                first_id: {"state": "reported", "delivered": 1, "slow": 0},
                second_id: {"state": "reported", "delivered": 2, "slow": 0},
            }
            assert await here.recv() == await bob.recv() == "hello"
            assert json.loads(await there.recv())["id"] == push_id

        report = await ask(first, "to all")
        assert (report["complete"], report["targeted"], report["delivered"]) == (True, None, 3)
        assert report["users"] is report["offline"] is None
        # A push without it is told of by nobody, and answered as ever.
        assert (await first.push("plain", "alice"))["targets"] == 1


async def test_a_client_that_does_not_read_is_told_of_as_slow(
    cluster: ClusterUnderTest, mode: str
) -> None:
    assert mode
    first, second = cluster.nodes
    limits = {"send-buffer": 64 * 1024 * 1024}
    await cluster.edit_nodes({"websocket": {"push": {"mode": mode}, "limits": limits}})
    async with raw_client(second.port, "lazy"), await second.connect("lazy") as quick:

        async def slow() -> bool:
            report = await ask(first, "x" * 1_000_000, "lazy")
            assert len(await quick.recv()) == 1_000_000
            assert report["complete"]
            return bool(
                report["users"]["lazy"] == {"state": "delivered", "delivered": 1, "slow": 1}
            )

        await eventually(slow, limit=20)
        await quick.close()

        async def only_slow() -> bool:
            report = await ask(first, "x", "lazy")
            return (report["users"]["lazy"]["state"], report["slow"]) == ("slow", 1)

        await eventually(only_slow)


async def test_a_node_that_hangs_is_unreported_and_nobody_waits_longer_than_asked(
    cluster: ClusterUnderTest, mode: str
) -> None:
    assert mode
    first, second = cluster.nodes
    second_id = await node_id_of(cluster, second)
    late = await first.metric("websocket_reports_late_total")
    async with await first.connect("alice") as alice, await second.connect("bob") as bob:
        with hanging(second):
            began = time.monotonic()
            report = await ask(first, "hello", "alice", "bob", wait="700ms")
            assert 0.6 < time.monotonic() - began < 5
            assert (report["complete"], report["unreported"]) == (False, [second_id])
            assert report["nodes"][second_id]["state"] == "unreported"
            assert [report["users"][user]["state"] for user in ("alice", "bob")] == [
                "delivered",
                "unknown",
            ]
            assert report["offline"] == []
            assert await alice.recv() == "hello"

            # A caller who leaves frees all that is kept for it, through the gateway, too.
            for sender in (first, cluster.gateway):
                leaving = asyncio.create_task(ask(sender, "again", "bob", wait="9s"))
                if sender is first:
                    await eventually(lambda: waiting(first, 1))
                else:
                    # The gateway may have chosen the node that hangs.
                    await asyncio.sleep(0.2)
                leaving.cancel()
                await asyncio.wait([leaving])
                await eventually(lambda: waiting(first, 0))
        assert await bob.recv() == "hello"

        async def came_late() -> bool:
            return await first.metric("websocket_reports_late_total") > late

        await eventually(came_late)


async def waiting(node: Program, number: int) -> bool:
    return await node.metric("websocket_reports_waiting") == number


@pytest.mark.shows("websocket.push.max-wait")
async def test_a_wait_that_cannot_be_granted_is_refused(cluster: ClusterUnderTest) -> None:
    node = cluster.nodes[0]
    push = {"content": 1, "allUser": True}
    for wait in ("", "0s", "-1s", "soon", "11s", "2s&wait=1s"):
        status, problem = await node.post(f"/api/push?wait={wait}", push)
        if wait.startswith("2s"):
            assert status == 200
            continue
        assert (status, problem["errors"][0]["field"]) == (400, "wait")
        assert "expected" in problem["detail"]
    status, problem = await node.post("/api/push/batch?wait=1s", [push])
    assert (status, problem["errors"][0]["field"]) == (400, "wait")
    users = [f"u{number}" for number in range(10_001)]
    status, problem = await node.post("/api/push?wait=1s", {"content": 1, "targetUserList": users})
    assert (status, problem["errors"][0]["field"]) == (400, "targetUserList")

    await cluster.edit_nodes({"websocket": {"push": {"max-wait": "1s"}}})
    status, problem = await node.post("/api/push?wait=2s", push)
    assert (status, "1s at most" in problem["detail"]) == (400, True)
    assert (await node.post("/api/push?wait=1s", push))[0] == 200


async def test_targets_that_reach_no_socket_are_counted_by_reason(
    cluster: ClusterUnderTest,
) -> None:
    await cluster.set_mode("routed")
    first, _ = cluster.nodes
    before = await first.metric("websocket_undelivered_total", reason="offline")
    await first.push("x", "nobody", "nobody-else")
    after = await first.metric("websocket_undelivered_total", reason="offline")
    assert after - before == 2

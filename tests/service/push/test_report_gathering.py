"""Delivery reports, between nodes in memory: who tells whom what."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from service import metrics
from service.push import report_gathering, reporter
from service.push.answers import PushesFailedError
from service.push.push import Push, PushError
from service.push.report_gathering import WaitError, read_wait
from service.push.reports import DeliveryReport, Report, Reports, UserOutcome
from tests.service.cluster_in_memory import KEYS, MemoryCluster, MemoryNode, push, received
from tests.waiting import eventually

LONG = timedelta(seconds=10)
SHORT = timedelta(milliseconds=100)
MOST = timedelta(seconds=10)


@pytest.fixture
async def cluster() -> AsyncIterator[MemoryCluster]:
    """Two nodes with ids as real ones have them: only such are told anything."""
    cluster = MemoryCluster()
    for _ in range(2):
        await cluster.add(uuid.uuid4().hex)
    yield cluster
    await cluster.close()


@pytest.fixture(params=["fanout", "routed"])
async def nodes(request: pytest.FixtureRequest, cluster: MemoryCluster) -> list[MemoryNode]:
    nodes = list(cluster.nodes.values())
    for node in nodes:
        node.mode = request.param
    return nodes


async def ask(node: MemoryNode, item: Push, wait: timedelta = LONG) -> DeliveryReport:
    return await node.gathering.push(item, node.pusher.push, wait)


@pytest.mark.parametrize(
    ("text", "seconds"), [("2s", 2), ("500ms", 0.5), ("PT1.5S", 1.5), ("10s", 10), ("250", 0.25)]
)
def test_a_wait_is_a_duration(text: str, seconds: float) -> None:
    assert read_wait(text, MOST).total_seconds() == seconds


@pytest.mark.parametrize("text", ["", "0s", "-1s", "11s", "soon", "nan", "inf", "1e999s", "2 s s"])
def test_any_other_wait_is_refused_and_says_what_was_expected(text: str) -> None:
    with pytest.raises(WaitError, match="expected"):
        read_wait(text, MOST)


async def test_every_node_tells_of_the_users_that_it_holds(nodes: list[MemoryNode]) -> None:
    a, b = nodes
    alice, alices_other = await a.join("alice"), await b.join("alice")
    bob = await b.join("bob")
    result = await ask(a, push("hello", "alice", "bob", "nobody"))
    assert result.complete
    assert result.mode == a.mode
    assert (result.targeted, result.delivered, result.slow) == (3, 3, 0)
    assert result.offline == ["nobody"]
    assert result.users == {
        "alice": UserOutcome("delivered", 2, 0),
        "bob": UserOutcome("delivered", 1, 0),
        "nobody": UserOutcome("offline", 0, 0),
    }
    assert {node: outcome.delivered for node, outcome in result.nodes.items()} == {a.id: 1, b.id: 2}
    for socket in (alice, alices_other, bob):
        assert await received(socket) == ["hello"]


async def test_everyone(nodes: list[MemoryNode]) -> None:
    a, b = nodes
    for number in range(3):
        await a.join(f"u{number}")
    await b.join("u0")
    result = await ask(b, push("hello"))
    assert (result.complete, result.mode, result.targeted) == (True, "fanout", None)
    assert (result.delivered, result.slow, result.users) == (4, 0, None)


async def test_a_client_that_does_not_read_is_slow(nodes: list[MemoryNode]) -> None:
    a, b = nodes
    slow, quick = await b.join("alice"), await b.join("alice")
    slow.pause()
    catching_up = await b.join("bob")
    catching_up.pause()
    asyncio.get_running_loop().call_later(0.05, catching_up.resume)
    result = await ask(a, push("hello", "alice", "bob"))
    assert result.complete
    assert result.users == {
        "alice": UserOutcome("delivered", 1, 1),
        "bob": UserOutcome("delivered", 1, 0),
    }
    b.hub.remove(quick)
    pushing = asyncio.ensure_future(ask(a, push("again", "alice")))
    await eventually(lambda: len(texts_to(slow)) == 2)
    # Closed for what it did not read.
    b.hub.remove(slow)
    slow.close(4008, "")
    result = await pushing
    assert result.users == {"alice": UserOutcome("slow", 0, 1)}
    assert result.offline == []


def texts_to(socket: object) -> list[bytes]:
    return list(socket.writes)  # type: ignore[attr-defined]  # a FakeSocket


async def test_a_client_that_leaves_before_it_is_written_to_is_offline(
    nodes: list[MemoryNode], monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = nodes
    socket = await b.join("alice")
    monkeypatch.setattr(type(b.hub), "writing", property(lambda _: not left))
    left: list[bool] = []
    pushing = asyncio.ensure_future(ask(a, push("hello", "alice")))
    await eventually(lambda: bool(b.reporter._held))
    b.hub.remove(socket)
    socket.close(1000, "")
    left.append(True)
    result = await pushing
    assert (result.complete, result.offline) == (True, ["alice"])


async def test_a_node_that_says_nothing_is_unreported(
    cluster: MemoryCluster, nodes: list[MemoryNode]
) -> None:
    a, b = nodes
    await a.join("alice")
    await b.join("bob")
    cluster.rabbit.handlers[b.id] = lambda *_: None
    before = metrics.REPORTS_INCOMPLETE._value.get()
    result = await ask(a, push("hello", "alice", "bob"), SHORT)
    assert not result.complete
    assert result.unreported == [b.id]
    assert result.nodes[b.id].state == "unreported"
    assert result.users == {
        "alice": UserOutcome("delivered", 1, 0),
        "bob": UserOutcome("unknown", 0, 0),
    }
    assert result.offline == []
    assert metrics.REPORTS_INCOMPLETE._value.get() == before + 1


async def test_a_push_that_follows_its_user_is_told_of_by_the_node_where_it_arrived(
    cluster: MemoryCluster,
) -> None:
    a, b = cluster.nodes.values()
    dead = await cluster.add(uuid.uuid4().hex)
    await dead.join("walker")
    await dead.join("ghost")
    await b.join("bob")
    await dead.die()
    pushing = asyncio.ensure_future(ask(a, push("hello", "walker", "ghost", "bob")))
    await asyncio.sleep(0.02)
    await b.join("walker")
    result = await pushing
    assert (result.complete, result.mode) == (True, "routed")
    assert result.offline == ["ghost"]
    assert result.unreported == []
    # Two messages, and a report on each.
    assert result.nodes[b.id].delivered == 2
    assert dead.id not in result.nodes


async def test_a_node_owes_a_report_for_each_message_to_it(cluster: MemoryCluster) -> None:
    a, b = cluster.nodes.values()
    dead = await cluster.add(uuid.uuid4().hex)
    await dead.join("walker")
    await b.join("bob")
    await dead.die()
    pushing = asyncio.ensure_future(ask(a, push("hello", "walker", "bob")))
    await asyncio.sleep(0.02)
    # So that the push is accepted as soon as it has followed.
    cluster.store.expire(KEYS.node(dead.id))
    await a.look()
    # The report on this one takes a while, when that on the other is there already.
    (await b.join("walker")).pause()
    result = await pushing
    assert result.users is not None
    assert (result.complete, result.users["walker"].state) == (True, "slow")


async def test_without_redis_whoever_tells_is_heard_and_it_is_never_complete(
    cluster: MemoryCluster, nodes: list[MemoryNode]
) -> None:
    a, b = nodes
    await b.join("bob")
    cluster.store.away = True
    result = await ask(a, push("hello", "bob", "nobody"), SHORT)
    assert (result.mode, result.complete, result.unreported) == ("fanout", False, [])
    assert result.users == {
        "bob": UserOutcome("delivered", 1, 0),
        "nobody": UserOutcome("unknown", 0, 0),
    }
    assert result.nodes.keys() == {a.id, b.id}


async def test_just_after_redis_is_back_nobody_knows_either(
    cluster: MemoryCluster, nodes: list[MemoryNode]
) -> None:
    a, b = nodes
    await b.join("bob")
    cluster.store.away = True
    assert not (await ask(a, push("1", "bob"), SHORT)).complete
    cluster.store.away = False
    result = await ask(a, push("2", "bob", "nobody"), SHORT)
    assert (result.complete, result.delivered, result.offline) == (False, 1, [])


async def test_under_load_reports_go_together(
    cluster: MemoryCluster, nodes: list[MemoryNode]
) -> None:
    a, b = nodes
    for number in range(100):
        await b.join(f"u{number}")
    results = await asyncio.gather(*(ask(a, push("x", f"u{number}")) for number in range(100)))
    assert all(result.complete and result.delivered == 1 for result in results)
    by_b = [item for item in cluster.rabbit.published if item.node == a.id]
    assert 1 <= len(by_b) <= 10


async def test_a_push_that_fails_is_no_report(
    cluster: MemoryCluster, nodes: list[MemoryNode]
) -> None:
    a, _ = nodes
    await a.join("alice")
    cluster.rabbit.failing = True
    with pytest.raises(PushesFailedError):
        await ask(a, push("hello"))
    assert (a.gathering._waiting, a.gathering._users) == ({}, 0)


async def test_a_caller_who_goes_away_leaves_nothing_behind(
    cluster: MemoryCluster, nodes: list[MemoryNode]
) -> None:
    a, b = nodes
    await b.join("bob")
    cluster.rabbit.handlers[b.id] = lambda *_: None
    pushing = asyncio.ensure_future(ask(a, push("hello", "bob")))
    await eventually(lambda: bool(cluster.rabbit.published))
    [waiting] = a.gathering._waiting
    pushing.cancel()
    await asyncio.wait([pushing])
    assert (a.gathering._waiting, a.gathering._users) == ({}, 0)
    before = metrics.REPORTS_LATE._value.get()
    a.gathering.add(Reports(b.id, (Report(waiting, 1, 0, {"bob": (1, 0)}),)))
    assert metrics.REPORTS_LATE._value.get() == before + 1
    assert all(node.reporter._held == 0 for node in nodes)


async def test_what_is_waited_for_is_bounded(
    nodes: list[MemoryNode], monkeypatch: pytest.MonkeyPatch
) -> None:
    a, _ = nodes
    monkeypatch.setattr(report_gathering, "MAX_TARGETS", 2)
    with pytest.raises(PushError, match="expected 2 targets at most together with wait"):
        await ask(a, push("x", "u1", "u2", "u3"))
    monkeypatch.setattr(report_gathering, "MAX_USERS", 3)
    results = await asyncio.gather(
        *(ask(a, push("x", "u1", "u2")) for _ in range(2)), return_exceptions=True
    )
    assert sum(isinstance(result, PushesFailedError) for result in results) == 1
    monkeypatch.setattr(report_gathering, "MAX_WAITING", 1)
    results = await asyncio.gather(*(ask(a, push("x")) for _ in range(3)), return_exceptions=True)
    assert sum(isinstance(result, PushesFailedError) for result in results) == 2
    assert (await ask(a, push("x"))).complete


async def test_what_is_watched_is_bounded_and_what_goes_unreported_is_counted(
    nodes: list[MemoryNode], monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = nodes
    socket = await b.join("bob")
    monkeypatch.setattr(reporter, "MAX_HELD", 1)
    before = metrics.REPORTS_LOST._value.get()
    result = await ask(a, push("hello", "bob"), SHORT)
    assert not result.complete
    assert metrics.REPORTS_LOST._value.get() > before
    assert await received(socket) == ["hello"]


@pytest.mark.parametrize("asker", ["x" * 300, "nobody", "../../etc", ""])
async def test_nobody_is_told_who_is_no_node(cluster: MemoryCluster, asker: str) -> None:
    a, _ = cluster.nodes.values()
    socket = await a.join("alice")
    body = b'{"content":"1","allUser":true,"websocketCluster":{"report":"%s"}}' % asker.encode()
    a.receiver.handle("web_socket_exchange", body, None)
    assert await received(socket) == ["1"]
    assert a.reporter._held == 0


async def test_reports_for_a_node_that_is_gone_are_counted(cluster: MemoryCluster) -> None:
    a, _ = cluster.nodes.values()
    before = metrics.REPORTS_LOST._value.get()
    a.reporter.watch(uuid.uuid4().hex, uuid.uuid4().hex, None)
    await eventually(lambda: metrics.REPORTS_LOST._value.get() == before + 1)
    assert a.reporter._held == 0

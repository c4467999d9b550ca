"""Pushes on their way: in order, confirmed before they are delivered here, never silently lost."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from service import metrics
from service.broker.confirms import Outcome
from service.broker.publication import Publication
from service.push import pusher
from service.push.answers import Accepted, PushesFailedError, TooManyPushesError
from tests.service.cluster_in_memory import MemoryCluster, MemoryNode, push, received
from tests.waiting import eventually

MODES = pytest.mark.parametrize("mode", ["fanout", "routed"])


def way(cluster: MemoryCluster) -> list[tuple[str, str, int]]:
    """Give what was published: way, node, number of pushes in it."""
    return [(item.way, item.node, len(item.pushes)) for item in cluster.rabbit.published]


def hold_confirms(node: MemoryNode) -> list[asyncio.Event]:
    """Publish at once, and confirm each batch when its event is set."""
    gates: list[asyncio.Event] = []
    publish_at_once = node.broker.send

    async def send(publications: Sequence[Publication]) -> asyncio.Future[list[Outcome]]:
        outcomes = await (await publish_at_once(publications))
        gate = asyncio.Event()
        gates.append(gate)

        async def confirm() -> list[Outcome]:
            await gate.wait()
            return outcomes

        return asyncio.ensure_future(confirm())

    node.broker.send = send  # type: ignore[method-assign]  # for this test
    return gates


async def test_a_routed_push_goes_where_its_targets_are(
    cluster: MemoryCluster, a: MemoryNode, b: MemoryNode
) -> None:
    here, there, both = await a.join("x"), await b.join("y"), await a.join("z")
    both_there = await b.join("z")
    item = push("hi", "x", "y", "z", "nobody")
    accepted = await a.pusher.push(item)
    assert accepted == Accepted(item.id, "routed", 4, ("nobody",))
    assert way(cluster) == [("direct", "b", 1)]
    for socket in (here, there, both, both_there):
        assert await received(socket) == ["hi"]


async def test_a_fanout_push_goes_to_every_node_without_a_look_up(
    cluster: MemoryCluster, a: MemoryNode, b: MemoryNode
) -> None:
    a.mode = "fanout"
    here, there = await a.join("x"), await b.join("x")
    cluster.store.commands.clear()
    item = push("hi", "x", "nobody")
    assert await a.pusher.push(item) == Accepted(item.id, "fanout", 2, None)
    assert cluster.store.commands == []
    assert way(cluster) == [("fanout", "", 1)]
    assert await received(here) == await received(there) == ["hi"]


@MODES
async def test_a_push_to_all_goes_by_fanout_in_both_modes(
    cluster: MemoryCluster, a: MemoryNode, b: MemoryNode, mode: Any
) -> None:
    a.mode = mode
    here, there = await a.join("x"), await b.join("y")
    item = push("all")
    assert await a.pusher.push(item) == Accepted(item.id, "fanout", None, None)
    assert await received(here) == await received(there) == ["all"]


async def test_what_needs_no_other_node_needs_no_broker(
    cluster: MemoryCluster, a: MemoryNode
) -> None:
    here = await a.join("x")
    cluster.rabbit.failing = True
    accepted = await a.pusher.push(push("hi", "x", "nobody"))
    assert (accepted.mode, accepted.offline) == ("routed", ("nobody",))
    assert await received(here) == ["hi"]


async def test_while_nobody_knows_who_is_where_a_routed_push_goes_by_fanout(
    cluster: MemoryCluster, a: MemoryNode, b: MemoryNode
) -> None:
    here, there = await a.join("x"), await b.join("y")
    cluster.store.away = True
    accepted = await a.pusher.push(push("hi", "x", "y", "nobody"))
    assert (accepted.mode, accepted.targets, accepted.offline) == ("fanout", 3, None)
    assert await received(here) == await received(there) == ["hi"]


@MODES
async def test_users_here_get_it_only_when_the_broker_has_it(
    cluster: MemoryCluster, a: MemoryNode, b: MemoryNode, mode: Any
) -> None:
    a.mode = mode
    here = await a.join("x")
    await b.join("y")
    cluster.rabbit.gate.clear()
    accepted = a.pusher.submit(push("hi", "x", "y"))
    for _ in range(10):
        await asyncio.sleep(0)
    assert not accepted.done()
    assert await received(here) == []
    cluster.rabbit.gate.set()
    await accepted
    assert await received(here) == ["hi"]


@MODES
@pytest.mark.parametrize("targets", [("x", "y"), ()])
async def test_without_a_confirm_it_fails_and_users_here_get_nothing(
    cluster: MemoryCluster, a: MemoryNode, b: MemoryNode, mode: Any, targets: tuple[str, ...]
) -> None:
    a.mode = mode
    here, there = await a.join("x"), await b.join("y")
    cluster.rabbit.failing = True
    before = metrics.PUSHES_FAILED._value.get()
    with pytest.raises(PushesFailedError, match="fake:5672 did not confirm"):
        await a.pusher.push(push("lost", *targets))
    assert metrics.PUSHES_FAILED._value.get() == before + 1
    assert await received(here) == []
    cluster.rabbit.failing = False
    await a.pusher.push(push("next", *targets))
    assert await received(here) == await received(there) == ["next"]


async def test_one_failed_message_costs_only_the_pushes_in_it(
    cluster: MemoryCluster, a: MemoryNode, b: MemoryNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = await a.join("x"), await b.join("y")
    send = a.broker.send

    async def fail_for_b(publications: Sequence[Publication]) -> asyncio.Future[list[Outcome]]:
        outcomes = await (await send(publications))
        told: asyncio.Future[list[Outcome]] = asyncio.get_running_loop().create_future()
        told.set_result(
            [
                Outcome.FAILED if item.node == "b" else outcome
                for item, outcome in zip(publications, outcomes, strict=True)
            ]
        )
        return told

    monkeypatch.setattr(a.broker, "send", fail_for_b)
    results = await asyncio.gather(
        a.pusher.push(push("1", "x")),
        a.pusher.push(push("2", "x", "y")),
        a.pusher.push(push("3")),
        return_exceptions=True,
    )
    assert [type(result) for result in results] == [Accepted, PushesFailedError, Accepted]
    assert await received(here) == ["1", "3"]
    assert (await received(there))[-1] == "3"


@MODES
async def test_pushes_arrive_in_the_order_of_their_acceptance(
    cluster: MemoryCluster, a: MemoryNode, b: MemoryNode, mode: Any
) -> None:
    sockets = [await a.join("x"), await b.join("x"), await b.join("y")]
    waiting = []
    for number in range(300):
        # Whatever mixture of modes, targets and pushes to all.
        a.mode = mode if number % 50 < 25 else "fanout"
        targets = [("x",), ("x", "y"), (), ("y", "x", "nobody")][number % 4]
        waiting.append(a.pusher.submit(push(str(number), *targets)))
        if number % 7 == 0:
            await asyncio.sleep(0)
    await asyncio.gather(*waiting)
    expected_y = [str(number) for number in range(300) if number % 4]
    assert await received(sockets[0]) == [str(number) for number in range(300)]
    assert await received(sockets[1]) == [str(number) for number in range(300)]
    assert await received(sockets[2]) == expected_y


async def test_what_gathers_is_merged_into_one_look_up_and_one_message(
    cluster: MemoryCluster, a: MemoryNode, b: MemoryNode
) -> None:
    await b.join("y")
    cluster.store.commands.clear()
    await asyncio.gather(*(a.pusher.submit(push(str(number), "y")) for number in range(100)))
    assert cluster.store.commands == ["get_many"]
    assert way(cluster) == [("direct", "b", 100)]


async def test_pushes_given_together_are_answered_together_in_their_order(
    cluster: MemoryCluster, a: MemoryNode, b: MemoryNode
) -> None:
    here, there = await a.join("x"), await b.join("y")
    items = [push("1", "x"), push("2", "y"), push("3"), push("4", "nobody", "x")]
    assert await a.pusher.push_all(items) == [
        Accepted(items[0].id, "routed", 1, ()),
        Accepted(items[1].id, "routed", 1, ()),
        Accepted(items[2].id, "fanout", None, None),
        Accepted(items[3].id, "routed", 2, ("nobody",)),
    ]
    assert await received(here) == ["1", "3", "4"]
    assert await received(there) == ["2", "3"]
    assert await a.pusher.push_all([]) == []


async def test_the_next_batch_goes_out_while_one_waits_for_its_confirm(
    cluster: MemoryCluster, a: MemoryNode, b: MemoryNode
) -> None:
    here, there = await a.join("x"), await b.join("y")
    gates = hold_confirms(a)
    waiting = [a.pusher.submit(push(str(number), "x", "y")) for number in range(1)]
    await eventually(lambda: len(gates) == 1)
    waiting += [a.pusher.submit(push(str(number), "x", "y")) for number in range(1, 3)]
    await eventually(lambda: len(gates) == 2)
    assert await received(there) == ["0", "1", "2"]
    # The later one is confirmed first; its pushes are not accepted before the earlier one's.
    gates[1].set()
    for _ in range(10):
        await asyncio.sleep(0)
    assert not any(future.done() for future in waiting)
    assert await received(here) == []
    gates[0].set()
    await asyncio.gather(*waiting)
    assert await received(here) == ["0", "1", "2"]


async def test_what_needs_no_broker_does_not_overtake_what_waits_for_it(
    cluster: MemoryCluster, a: MemoryNode, b: MemoryNode
) -> None:
    here = await a.join("x")
    await b.join("y")
    gates = hold_confirms(a)
    first = a.pusher.submit(push("1", "x", "y"))
    await eventually(lambda: len(gates) == 1)
    second = a.pusher.submit(push("2", "x"))
    for _ in range(10):
        await asyncio.sleep(0)
    assert not second.done()
    gates[0].set()
    await asyncio.gather(first, second)
    assert await received(here) == ["1", "2"]


async def test_a_few_batches_wait_for_confirms_and_the_rest_is_merged(
    cluster: MemoryCluster, a: MemoryNode, b: MemoryNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pusher, "MAX_UNDER_WAY", 2)
    there = await b.join("y")
    gates = hold_confirms(a)
    waiting = []
    for number in range(20):
        waiting.append(a.pusher.submit(push(str(number), "y")))
        for _ in range(10):
            await asyncio.sleep(0)
    assert len(gates) == 2
    for number in range(3):
        await eventually(lambda number=number: len(gates) > number)  # type: ignore[misc]  # a default
        gates[number].set()
    await asyncio.gather(*waiting)
    assert [pushes for _, _, pushes in way(cluster)] == [1, 1, 18]
    assert await received(there) == [str(number) for number in range(20)]


async def test_an_idle_node_waits_for_nothing(cluster: MemoryCluster, a: MemoryNode) -> None:
    there = await cluster.nodes["b"].join("y")
    accepted = a.pusher.submit(push("hi", "y"))
    # A turn for the task, one each for the fake servers, no timer.
    for _ in range(6):
        await asyncio.sleep(0)
    assert accepted.done()
    assert await received(there) == ["hi"]


async def test_more_than_a_batch_goes_in_several_without_being_stirred_again(
    cluster: MemoryCluster, a: MemoryNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pusher, "MAX_MERGED", 10)
    there = await cluster.nodes["b"].join("y")
    await asyncio.gather(*(a.pusher.submit(push(str(number), "y")) for number in range(35)))
    assert [pushes for _, _, pushes in way(cluster)] == [10, 10, 10, 5]
    assert await received(there) == [str(number) for number in range(35)]


async def test_what_waits_for_the_broker_is_limited(
    cluster: MemoryCluster, a: MemoryNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pusher, "MAX_WAITING", 5)
    cluster.rabbit.gate.clear()
    first = a.pusher.submit(push("0"))
    await asyncio.sleep(0)
    waiting = [a.pusher.submit(push(str(number))) for number in range(1, 6)]
    with pytest.raises(TooManyPushesError, match="5 pushes wait"):
        a.pusher.submit(push("too many"))
    with pytest.raises(PushesFailedError):
        await a.pusher.push(push("too many"))
    together = asyncio.create_task(a.pusher.push_all([push("6"), push("7")]))
    cluster.rabbit.gate.set()
    await asyncio.gather(first, *waiting)
    await together
    await a.pusher.push(push("fits again"))


async def test_of_pushes_given_together_those_that_fit_go(
    a: MemoryNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pusher, "MAX_WAITING", 3)
    here = await a.join("x")
    results = await a.pusher.push_all([push(str(number), "x") for number in range(5)])
    assert [type(result) for result in results] == [Accepted] * 3 + [TooManyPushesError] * 2
    assert await received(here) == ["0", "1", "2"]


async def test_a_caller_who_gives_up_harms_no_other(cluster: MemoryCluster, a: MemoryNode) -> None:
    here = await a.join("x")
    cluster.rabbit.gate.clear()
    impatient = asyncio.create_task(a.pusher.push(push("1")))
    patient = asyncio.create_task(a.pusher.push(push("2")))
    await asyncio.sleep(0)
    impatient.cancel()
    cluster.rabbit.gate.set()
    await patient
    assert await received(here) == ["1", "2"]


async def test_a_bug_on_the_way_fails_the_batch_and_not_the_node(
    cluster: MemoryCluster,
    a: MemoryNode,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    here = await a.join("x")

    async def broken(publications: Sequence[Publication]) -> list[Outcome]:
        raise KeyError("no such thing")

    with monkeypatch.context() as patch:
        patch.setattr(a.broker, "send", broken)
        with pytest.raises(PushesFailedError, match="no such thing"):
            await a.pusher.push(push("1"))
    assert "a batch of 1 pushes failed" in caplog.text
    await a.pusher.push(push("2"))
    assert await received(here) == ["2"]

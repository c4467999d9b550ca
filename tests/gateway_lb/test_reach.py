"""Which nodes are asked for a handshake, with real sockets on the nodes' side."""

import asyncio
import socket
import time
from random import Random

import pytest
from prometheus_client import REGISTRY

from gateway_lb.pool import Pool
from gateway_lb.reach import NoNodeError, Reached, reach
from gateway_lb.relays import Relays
from gateway_lb.strategy import Chooser
from nacos_boot.config.live import LiveSettings
from nacos_boot.registry.instance import Instance
from tests.gateway_lb.fakes import (
    BUSY,
    FakeNode,
    Script,
    echo,
    handshake,
    instance,
    says,
    settings,
    silent,
    slam,
    until,
)

RETRIES = "gateway_retries_total"


def attempt_head(attempt: int) -> bytes:
    return handshake("/websocket/alice", f"X-Gateway-Attempt: {attempt}")


def relays_to(*instances: Instance, **gateway_settings: object) -> Relays:
    pool = Pool()
    pool.replace(instances)
    keys = {"strategy": "round-robin", "handshake_timeout": "5s", **gateway_settings}
    return Relays(pool, LiveSettings(settings(**keys)), Chooser(Random(1)))  # noqa: S311 - a strategy, no secret


async def asked(relays: Relays) -> Reached:
    reached = await reach(relays, "alice", attempt_head)
    reached.node.transport.abort()
    reached.member.open -= 1
    return reached


FAILURES = {
    "busy": BUSY,
    "closes": slam,
    "no HTTP": says(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"),
    "too long a head": says(b"HTTP/1.1 101 x\r\n" + b"a: b\r\n" * 12_000),
    "a broken header": says(b"HTTP/1.1 101 x\r\nno colon\r\n\r\n"),
    "a body cut off": says(b"HTTP/1.1 400 x\r\nContent-Length: x\r\n\r\n"),
}


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES)
async def test_a_node_that_fails_is_set_aside_and_the_next_is_asked(failure: Script) -> None:
    async with FakeNode(failure) as bad, FakeNode(echo) as good:
        # Round robin begins with the lowest address.
        first, second = sorted((bad, good), key=lambda node: node.instance.address)
        first.script, second.script = failure, echo
        relays = relays_to(first.instance, second.instance)
        reached = await asked(relays)
        assert reached.member.instance == second.instance
        assert reached.accepted
        assert second.visits[0].header("X-Gateway-Attempt") == "2"
        assert first.visits[0].header("X-Gateway-Attempt") == "1"
        failed, _ = relays.pool.members
        assert failed.set_aside_until > time.monotonic()
        assert failed.open == 0

        for _ in range(3):
            await asked(relays)
        assert len(first.visits) == 1, "it is passed over while it is set aside"


async def test_a_node_that_refuses_connections_is_set_aside() -> None:
    async with FakeNode(echo) as good:
        async with FakeNode(echo) as gone:
            pass
        relays = relays_to(gone.instance, good.instance)
        for _ in range(3):
            assert (await asked(relays)).member.instance == good.instance
        by_port = {member.instance.port: member for member in relays.pool.members}
        assert by_port[gone.port].set_aside_until > time.monotonic()


async def test_a_node_that_hangs_leaves_time_for_the_next() -> None:
    async with FakeNode(silent) as one, FakeNode(echo) as two:
        first, second = sorted((one, two), key=lambda node: node.instance.address)
        first.script, second.script = silent, echo
        relays = relays_to(first.instance, second.instance, handshake_timeout="600ms")
        started = time.monotonic()
        reached = await asked(relays)
        assert reached.member.instance == second.instance
        assert 0.25 < time.monotonic() - started < 0.6


async def test_a_node_whose_network_drops_everything_leaves_time_for_the_next() -> None:
    # A listener whose queue is full drops what asks to connect, as a dead machine would.
    with socket.socket() as full, socket.socket() as first, socket.socket() as second:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for filler in (first, second):
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        async with FakeNode(echo) as node:
            nowhere = instance(full.getsockname()[1])
            relays = relays_to(nowhere, node.instance, connect_timeout="100ms")
            started = time.monotonic()
            for _ in range(2):  # one of them begins with the dead one
                assert (await asked(relays)).member.instance == node.instance
            assert time.monotonic() - started < 1.0
            assert any(member.set_aside_until for member in relays.pool.members)


async def test_no_more_nodes_are_asked_than_allowed() -> None:
    async with FakeNode(BUSY) as one, FakeNode(BUSY) as two, FakeNode(BUSY) as three:
        nodes = (one, two, three)
        relays = relays_to(*(node.instance for node in nodes), max_attempts=2)
        with pytest.raises(NoNodeError, match="could take"):
            await asked(relays)
        assert sum(len(node.visits) for node in nodes) == 2


async def test_failures_and_retries_are_counted() -> None:
    async with FakeNode(BUSY) as one, FakeNode(BUSY) as two:
        relays = relays_to(one.instance, two.instance)
        busy, retries = count("gateway_node_failures_total", reason="busy"), count(RETRIES)
        with pytest.raises(NoNodeError):
            await asked(relays)
        assert count("gateway_node_failures_total", reason="busy") == busy + 2
        assert count(RETRIES) == retries + 1


def count(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


async def test_each_node_is_asked_once_at_most() -> None:
    async with FakeNode(BUSY) as node:
        relays = relays_to(node.instance, max_attempts=5)
        with pytest.raises(NoNodeError, match="could take"):
            await asked(relays)
        assert len(node.visits) == 1


async def test_a_node_set_aside_is_asked_when_there_is_no_other_and_restored_when_it_answers() -> (
    None
):
    async with FakeNode(BUSY) as node:
        relays = relays_to(node.instance)
        with pytest.raises(NoNodeError):
            await asked(relays)
        node.script = echo
        assert (await asked(relays)).accepted
        assert relays.pool.members[0].set_aside_until == 0.0


async def test_set_aside_can_be_switched_off() -> None:
    async with FakeNode(BUSY) as node:
        relays = relays_to(node.instance, set_aside="0s")
        with pytest.raises(NoNodeError):
            await asked(relays)
        assert relays.pool.candidates(time.monotonic()) == relays.pool.members
        assert relays.pool.members[0].set_aside_until <= time.monotonic()


async def test_a_handshake_under_way_counts_as_open() -> None:
    async with FakeNode(silent) as node:
        relays = relays_to(node.instance)
        asking = asyncio.create_task(asked(relays))
        await until(lambda: node.visits, "the node is asked")
        assert relays.pool.members[0].open == 1
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert relays.pool.members[0].open == 0

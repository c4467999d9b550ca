"""Who may come in, and what is noted when clients come and go."""

import asyncio

import pytest

from service import metrics
from service.clients.door import Refusal
from tests.service.fake_sockets import FakeSocket
from tests.service.raw_clients import House


@pytest.fixture
async def house() -> House:
    return House(asyncio.get_running_loop(), max_connections=2)


def connections() -> float:
    return float(metrics.CONNECTIONS._value.get())


async def test_anyone_may_come_in_until_the_node_is_full(house: House) -> None:
    door = house.door
    assert door.refusal("a", "192.0.2.1") is None
    house.hub.add(FakeSocket("a"))
    assert door.refusal("a", "192.0.2.1") is None
    house.hub.add(FakeSocket("a"))
    assert door.refusal("a", "192.0.2.1") == Refusal(
        4429, "this node has too many connections", elsewhere=True, limit="max-connections"
    )
    # Both limits are read when they are needed.
    house.limit(max_connections=3)
    assert door.refusal("a", "192.0.2.1") is None
    assert door.limits.max_connections == 3


async def test_a_draining_node_says_so_even_when_it_is_full(house: House) -> None:
    for _ in range(2):
        house.hub.add(FakeSocket("a"))
    house.door.draining = True
    assert house.door.refusal("a", "192.0.2.1") == Refusal(
        4001, "this node is leaving; reconnect", elsewhere=True
    )


async def test_a_node_that_is_not_ready_takes_nobody(house: House) -> None:
    house.door.ready = False
    refusal = house.door.refusal("a", "192.0.2.1")
    assert refusal == Refusal(4001, "this node is not ready yet; reconnect", elsewhere=True)


async def test_connections_are_counted(house: House) -> None:
    opened = metrics.CONNECTIONS_OPENED._value.get()
    first, second = house.client(), house.client()
    assert connections() == 2
    assert metrics.CONNECTIONS_OPENED._value.get() == opened + 2
    assert house.changes == ["alice", "alice"]
    first.transport.lose()
    assert connections() == 1
    second.transport.lose()
    assert connections() == 0


async def test_a_client_starts_only_when_the_directory_has_been_written(house: House) -> None:
    client = house.client()
    assert not client.connection.open
    assert house.writes.waiting == [client.connection.start]
    house.writes.done()
    assert client.connection.open

"""How many clients of a user or an address may be here, and how fast they may come."""

import asyncio

import pytest

from service import metrics
from tests.service.raw_clients import Client, House

GATEWAY = {"X-Gateway-Attempt": "1"}


@pytest.fixture
async def house() -> House:
    return House(asyncio.get_running_loop())


def limited(limit: str) -> float:
    return float(metrics.LIMITED.labels(limit)._value.get())


def from_address(house: House, address: str, user: str = "alice") -> Client:
    return house.client(f"/websocket/{user}", headers={"X-Forwarded-For": address})


def code(client: Client) -> int | None:
    """Give why a client was refused, None for one that was let in."""
    close = client.closed()
    return None if close is None else int(close.code)


async def test_a_user_has_so_many_connections_here(house: House) -> None:
    house.limit(max_connections_per_user=2)
    before = limited("max-connections-per-user")
    first, second, third = (house.client() for _ in range(3))
    assert [code(client) for client in (first, second, third)] == [None, None, 4429]
    assert limited("max-connections-per-user") == before + 1
    assert code(house.client("/websocket/bob")) is None
    first.transport.lose()
    assert code(house.client()) is None
    # It would be no better elsewhere.
    refused = house.client(headers=GATEWAY)
    assert code(refused) == 4429
    assert refused.transport.sent.startswith(b"HTTP/1.1 101 ")
    house.limit()
    assert code(house.client()) is None


async def test_an_address_has_so_many_connections_here(house: House) -> None:
    # Those who came before there was a limit count, too.
    old = from_address(house, "192.0.2.1")
    house.limit(max_connections_per_address=2)
    before = limited("max-connections-per-address")
    assert code(from_address(house, "192.0.2.1", "bob")) is None
    assert code(from_address(house, "192.0.2.1")) == 4429
    assert limited("max-connections-per-address") == before + 1
    assert code(from_address(house, "192.0.2.2")) is None
    old.transport.lose()
    assert code(from_address(house, "192.0.2.1")) is None
    assert code(from_address(house, "192.0.2.1")) == 4429


async def test_an_address_without_connections_is_forgotten(house: House) -> None:
    house.limit(max_connections_per_address=1)
    for number in range(200):
        for _ in range(2):
            client = from_address(house, f"192.0.2.{number}")
        client.transport.lose()
    held = house.door.crowd._addresses
    assert held is not None
    assert len(held) == 200
    for socket in list(house.hub.sockets):
        socket.close(4001, "")
    assert len(held) == 0
    house.limit()
    assert house.door.crowd._addresses is None


async def test_clients_come_no_faster_than_they_may(house: House) -> None:
    house.limit(handshakes_per_second=1, handshake_burst=3)
    before = limited("handshakes-per-second")
    assert [code(house.client()) for _ in range(5)] == [None] * 3 + [4429] * 2
    assert limited("handshakes-per-second") == before + 2
    # Our gateway finds them another node.
    refused = house.client(headers=GATEWAY)
    assert refused.transport.sent.startswith(b"HTTP/1.1 503 ")
    house.limit(handshakes_per_second=1000, handshake_burst=3)
    assert code(house.client()) is None
    house.limit()
    assert [code(house.client()) for _ in range(50)] == [None] * 50

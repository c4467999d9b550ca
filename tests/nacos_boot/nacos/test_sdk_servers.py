"""Several servers in `server-addr`, of which some are down; the real SDK: tests/contract."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import pytest

from devtools.ports import LOOPBACK, free_port
from nacos_boot.nacos.sdk_servers import answering

GRPC_OFFSET = 1000


async def listening() -> tuple[str, asyncio.Server]:
    """Give the address of a server whose gRPC port is open."""
    for _ in range(20):
        port = free_port()
        try:
            server = await asyncio.start_server(
                lambda _, writer: writer.close(), LOOPBACK, port + GRPC_OFFSET
            )
        except (OSError, OverflowError):
            continue
        return f"http://{LOOPBACK}:{port}", server
    raise AssertionError("no pair of free ports")


@pytest.fixture
async def alive() -> AsyncIterator[list[str]]:
    found = [await listening() for _ in range(2)]
    yield [address for address, _ in found]
    for _, server in found:
        server.close()


@pytest.fixture
def down() -> str:
    return f"{LOOPBACK}:{free_port()}"


async def test_a_server_that_is_down_is_passed_over(alive: list[str], down: str) -> None:
    servers = [down, alive[0], down]
    assert [await answering(servers) for _ in range(10)] == [1] * 10


async def test_programs_spread_over_the_servers(alive: list[str], down: str) -> None:
    servers = [*alive, down]
    chosen = Counter([await answering(servers) for _ in range(64)])
    assert set(chosen) == {0, 1}


async def test_the_one_that_failed_before_comes_last(alive: list[str], down: str) -> None:
    assert [await answering(alive, failed=1) for _ in range(10)] == [0] * 10
    assert await answering([down, alive[0]], failed=1) == 1


async def test_where_none_answers_the_sdk_chooses(down: str) -> None:
    assert await answering([down, down]) is None
    # What is wrong with a single one is for the SDK to find, and for its own error to tell.
    assert await answering([down]) == 0

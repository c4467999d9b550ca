"""Settings of the gateway published in Nacos, and seen in what it does.

The nodes behind it are scripted ones, under another service name: they hang, refuse and stall when
a test wants it.
"""

import asyncio
import contextlib
import itertools
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest
from websockets.asyncio.client import connect

from devtools.ports import LOOPBACK
from tests.cluster import ClusterUnderTest
from tests.gateway_lb.fakes import FakeNode, Visit, handshake, silent, slam
from tests.raw_client import raw_status
from tests.waiting import eventually

_names = itertools.count(1)

Edit = Callable[..., Awaitable[None]]


@contextlib.asynccontextmanager
async def behind(cluster: ClusterUnderTest, *ports: int) -> AsyncIterator[Edit]:
    """Put nodes at these ports behind the gateway; gives a function that edits its settings."""
    name = f"scripted-nodes-{next(_names)}"
    for port in ports:
        cluster.nacos.register(name, port)
    urls = {f"ws://{LOOPBACK}:{port}/websocket/alice" for port in ports}

    async def edit(**settings: Any) -> None:
        spelled = {key.replace("_", "-"): value for key, value in settings.items()}
        await cluster.edit_gateway({"gateway": {"service-name": name, **spelled}})

        async def known() -> bool:
            # Unlike the list of nodes, this asks none of them.
            _, body = await cluster.gateway.get("/discover/alice")
            return body.get("url") in urls

        await eventually(known)

    try:
        yield edit
    finally:
        for port in ports:
            cluster.nacos.deregister(name, port)


async def http_fails(cluster: ClusterUnderTest, status: int) -> float:
    """Ask for something that is behind the gateway; give the seconds until it says what failed."""
    began = time.monotonic()
    answer, _ = await cluster.gateway.get("/api/users/alice")
    assert answer == status
    return time.monotonic() - began


async def handshake_fails(cluster: ClusterUnderTest) -> float:
    """Connect through the gateway; give the seconds until it says that there is no node."""
    began = time.monotonic()
    client = await connect(f"ws://{LOOPBACK}:{cluster.gateway.port}/websocket/alice")
    await client.wait_closed()
    assert client.close_code == 4503
    return time.monotonic() - began


@contextlib.asynccontextmanager
async def relay(
    cluster: ClusterUnderTest, receive_buffer: int = 0
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Open a relay without a WebSocket library, which would read all the time."""
    own = socket.socket()
    if receive_buffer:
        own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    own.setblocking(False)
    await asyncio.get_running_loop().sock_connect(own, (LOOPBACK, cluster.gateway.port))
    reader, writer = await asyncio.open_connection(sock=own)
    writer.write(handshake())
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


@pytest.mark.shows("gateway.service-name", "gateway.proxy.timeout", "gateway.handshake-timeout")
async def test_times_for_a_node_that_hangs(cluster: ClusterUnderTest) -> None:
    async with FakeNode(silent) as node, behind(cluster, node.port) as edit:
        for limit in (2, 0.2):
            await edit(
                handshake_timeout=f"{limit * 1000:.0f}ms",
                proxy={"timeout": f"{limit * 1000:.0f}ms"},
            )
            for took in await asyncio.gather(http_fails(cluster, 504), handshake_fails(cluster)):
                assert took >= limit * 0.95
                assert (took < 1.9) == (limit < 1)
        # It was this node that they came to.
        assert len(node.visits) == 4


@pytest.mark.shows("gateway.connect-timeout")
async def test_the_time_for_a_node_that_does_not_take_connections(
    cluster: ClusterUnderTest,
) -> None:
    with unreachable_port() as port:
        async with behind(cluster, port) as edit:
            for limit in (2, 0.2):
                await edit(connect_timeout=f"{limit * 1000:.0f}ms")
                for took in await asyncio.gather(
                    http_fails(cluster, 503), handshake_fails(cluster)
                ):
                    assert took >= limit * 0.95
                    assert (took < 1.9) == (limit < 1)


@contextlib.contextmanager
def unreachable_port() -> Iterator[int]:
    """Give a port whose queue of new connections is full: Linux answers no further one."""
    with contextlib.ExitStack() as open_sockets:
        server = open_sockets.enter_context(socket.socket())
        server.bind((LOOPBACK, 0))
        server.listen(0)
        port = server.getsockname()[1]
        for _ in range(5):
            client = open_sockets.enter_context(socket.socket())
            client.settimeout(0.2)
            try:
                client.connect((LOOPBACK, port))
            except TimeoutError:
                break
        else:
            raise AssertionError("every connection was taken")
        yield port


@pytest.mark.shows("gateway.max-attempts", "gateway.set-aside")
async def test_how_many_nodes_are_tried_and_how_long_a_failed_one_is_passed_over(
    cluster: ClusterUnderTest,
) -> None:
    async with (
        FakeNode(slam) as first,
        FakeNode(slam) as second,
        FakeNode(slam) as third,
        behind(cluster, first.port, second.port, third.port) as edit,
    ):
        nodes = (first, second, third)

        def visits(*counted: FakeNode) -> int:
            return sum(len(node.visits) for node in counted)

        for attempts in (2, 3):
            await edit(strategy="round-robin", set_aside="0s", max_attempts=attempts)
            await eventually(lambda: cluster.lists(3))
            before = visits(*nodes)
            await handshake_fails(cluster)
            assert visits(*nodes) - before == attempts

        async def six_clients() -> int:
            """Six clients come to the third node; how often did they try the others?"""
            before = visits(first, second)
            for _ in range(6):
                async with relay(cluster):
                    pass
            return visits(first, second) - before

        third.script = stay
        # Every second or third handshake begins at a node that fails.
        assert await six_clients() >= 4
        await edit(strategy="round-robin", set_aside="60s", max_attempts=3)
        assert await six_clients() <= 2
        assert await six_clients() == 0


async def stay(visit: Visit) -> None:
    await visit.accept()
    await visit.reader.read()


@pytest.mark.shows("gateway.buffer-high-water")
async def test_how_much_waits_for_a_client_that_does_not_read(cluster: ClusterUnderTest) -> None:
    sent = 0
    megabyte = 1024 * 1024

    async def pour(visit: Visit) -> None:
        nonlocal sent
        await visit.accept()
        while True:
            visit.writer.write(b"x" * 65_536)
            await visit.writer.drain()
            sent += 65_536

    async def sent_until_stalled() -> int:
        nonlocal sent
        sent = 0
        async with relay(cluster, receive_buffer=16_384):
            last = -1
            while last < sent:
                last = sent
                await asyncio.sleep(0.5)
            return sent

    async with FakeNode(pour) as node, behind(cluster, node.port) as edit:
        await edit(buffer_high_water=4096)
        # The kernel's own buffers hold some.
        assert await sent_until_stalled() < 30 * megabyte
        await edit(buffer_high_water=64 * megabyte)
        assert await sent_until_stalled() > 50 * megabyte


@pytest.mark.shows("gateway.half-close-timeout")
async def test_how_long_one_direction_outlives_the_other(cluster: ClusterUnderTest) -> None:
    ended: list[float] = []

    async def say_no_more(visit: Visit) -> None:
        await visit.accept()
        visit.writer.write_eof()
        await visit.reader.read()
        ended.append(time.monotonic())

    async with FakeNode(say_no_more) as node, behind(cluster, node.port) as edit:
        await edit(half_close_timeout="30s")
        async with relay(cluster) as (reader, writer):
            assert await reader.read() == b""
            await asyncio.sleep(0.8)
            writer.write(b"still here")
            assert not ended
        await eventually(lambda: ended)
        ended.clear()
        await edit(half_close_timeout="200ms")
        async with relay(cluster) as (reader, _):
            assert await reader.read() == b""
            began = time.monotonic()
            await eventually(lambda: ended)
            assert ended[0] - began < 2


@pytest.mark.shows("gateway.limits.head-size", "gateway.limits.head-timeout")
async def test_how_long_a_head_may_be_and_take(cluster: ClusterUnderTest) -> None:
    port = cluster.gateway.port
    long = b"GET /actuator/info HTTP/1.1\r\nHost: x\r\nA: %s\r\n\r\n" % (b"a" * 3000)
    assert await raw_status(port, long) == 200
    half = long[:100]
    with pytest.raises(TimeoutError):
        await raw_status(port, half, limit=1)
    await cluster.edit_gateway(
        {"gateway": {"limits": {"head-size": 2048, "head-timeout": "300ms"}}}
    )
    assert await raw_status(port, long) == 431
    assert await raw_status(port, half) == 408

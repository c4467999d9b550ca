"""Links to a real RabbitMQ, that do not wait for long; and nodes in memory."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Any

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel

from devtools.ports import LOOPBACK
from devtools.servers import Servers
from service.broker import amqp_consumer, amqp_link, amqp_publisher
from service.broker.amqp_publisher import AmqpPublisher
from tests.rabbit import local_rabbit
from tests.service.amqp_links import Start
from tests.service.cluster_in_memory import MemoryCluster, MemoryNode
from tests.service.tcp_proxy import TcpProxy


@pytest.fixture
async def cluster() -> AsyncIterator[MemoryCluster]:
    """Two nodes in memory."""
    cluster = MemoryCluster()
    await cluster.add("a")
    await cluster.add("b")
    yield cluster
    await cluster.close()


@pytest.fixture
async def a(cluster: MemoryCluster) -> MemoryNode:
    return cluster.nodes["a"]


@pytest.fixture
async def b(cluster: MemoryCluster) -> MemoryNode:
    return cluster.nodes["b"]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Open links, repair them as a node does, close them in the end."""
    links: list[amqp_link.AmqpLink] = []
    tasks: list[asyncio.Task[None]] = []

    async def start(link: amqp_link.AmqpLink) -> Any:
        links.append(link)
        await link.open()
        tasks.append(asyncio.create_task(link.run()))
        return link

    yield start
    assert not any(task.done() for task in tasks)
    for task in tasks:
        task.cancel()
    await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 3)
    for link in links:
        await link.close()


@pytest.fixture
def amqp_port(servers: Servers) -> int:
    return servers.ports.rabbitmq


@pytest.fixture
async def amqp_proxy(amqp_port: int) -> AsyncIterator[TcpProxy]:
    async with TcpProxy(amqp_port) as proxy:
        yield proxy


@pytest.fixture
async def publisher(amqp_port: int, start: Start) -> AmqpPublisher:
    found: AmqpPublisher = await start(
        AmqpPublisher(local_rabbit(port=amqp_port), uuid.uuid4().hex)
    )
    return found


@pytest.fixture
async def channel(amqp_port: int) -> AsyncIterator[AbstractChannel]:
    """A channel of somebody else."""
    async with await aio_pika.connect(host=LOOPBACK, port=amqp_port) as connection:
        yield await connection.channel()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (amqp_link, amqp_publisher, amqp_consumer):
        monkeypatch.setattr(module, "CALL_LIMIT", 0.3)
    monkeypatch.setattr(amqp_link, "PAUSES", (0.02,))
    monkeypatch.setattr(amqp_consumer, "CHECK_INTERVAL", 0.05)
    monkeypatch.setattr(amqp_consumer, "SET_ASIDE_PAUSE", 0.02)

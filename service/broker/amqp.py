"""Names and declarations in RabbitMQ, and what its faults mean.

The `amqp` modules are the only importers of the AMQP client.
"""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractQueue
from aio_pika.exceptions import (
    AMQPError,
    AuthenticationError,
    ChannelNotFoundEntity,
    ChannelPreconditionFailed,
    ProbableAuthenticationError,
)

from nacos_boot.start.startup import StartError
from nacos_boot.tls.contexts import client_context
from nacos_boot.tls.pem import TlsError
from service.broker.amqp_tap import TappedConnection
from service.settings_servers import RabbitSection

T = TypeVar("T")

FANOUT = "web_socket_exchange"
DIRECT = "web_socket_exchange.direct"
DEAD = "web_socket_exchange.dead"

MAX_DEAD = 10_000
HEARTBEAT = 10

AMQP_FAULTS = (
    AMQPError,
    OSError,
    TimeoutError,
    asyncio.InvalidStateError,
    RuntimeError,
    # Where the broker ends the connection in the middle of its greeting.
    StopAsyncIteration,
)
"""What a call of the client raises when the broker or the way to it is at fault."""


CHANNEL_FAULTS = (ChannelNotFoundEntity,)
"""What the broker says of a queue whose home in a cluster is down. The channel goes with it."""


async def open_connection(settings: RabbitSection, name: str, limit: float) -> TappedConnection:
    """Connect within `limit` seconds. Raises StartError, final for a refused account."""
    where = f"{settings.host}:{settings.port}"
    if not (settings.username and settings.password.get_secret_value()):
        # The client would log in as guest, with the password that everybody knows.
        raise StartError(
            f"there is no account for RabbitMQ at {where}: set spring.rabbitmq.username and"
            " spring.rabbitmq.password (RABBITMQ_USERNAME and RABBITMQ_PASSWORD in common.yml)",
            final=True,
        )
    try:
        tls = client_context(settings.ssl) if settings.ssl.enabled else None
        async with asyncio.timeout(limit):
            return await aio_pika.connect(
                host=settings.host,
                port=settings.port,
                login=settings.username,
                password=settings.password.get_secret_value(),
                virtualhost=settings.virtual_host,
                client_properties={"connection_name": name},
                heartbeat=HEARTBEAT,
                ssl=tls is not None,
                ssl_context=tls,
                connection_class=TappedConnection,
            )
    except (AuthenticationError, ProbableAuthenticationError) as error:
        raise StartError(
            f"RabbitMQ at {where} refuses the user '{settings.username}': check"
            " spring.rabbitmq.username and spring.rabbitmq.password",
            final=True,
        ) from error
    except (*AMQP_FAULTS, ValueError, TlsError) as error:
        # A ValueError is about a host that cannot be one.
        reason = str(error) or "no answer in time"
        raise StartError(
            f"RabbitMQ at {where} cannot be used ({reason}):"
            " check spring.rabbitmq.host, port, virtual-host and ssl"
        ) from error


async def declare_exchanges(channel: AbstractChannel) -> None:
    """Declare the fanout, the direct and the dead exchange. Raises StartError, AMQP faults.

    The fanout one has no arguments: Java nodes declare it so, too.
    """
    with _as_declared():
        await channel.declare_exchange(FANOUT, aio_pika.ExchangeType.FANOUT, durable=True)
        await channel.declare_exchange(DIRECT, aio_pika.ExchangeType.DIRECT, durable=True)
        await channel.declare_exchange(DEAD, aio_pika.ExchangeType.FANOUT, durable=True)


async def declare_dead_queue(connection: AbstractConnection) -> None:
    """Declare the queue of the dead exchange. Raises StartError, CHANNEL_FAULTS, AMQP faults.

    On a channel of its own: in a cluster of which the node that has the queue is down, asking for
    it closes the channel.
    """
    channel = await connection.channel()
    with _as_declared():
        queue = await channel.declare_queue(
            DEAD, durable=True, arguments={"x-max-length": MAX_DEAD, "x-overflow": "drop-head"}
        )
        await queue.bind(DEAD)
    await channel.close()


@contextlib.contextmanager
def _as_declared() -> Iterator[None]:
    try:
        yield
    except ChannelPreconditionFailed as error:
        raise StartError(
            f"RabbitMQ holds an exchange or queue that was declared otherwise ({error}):"
            " delete it, or use another spring.rabbitmq.virtual-host",
            final=True,
        ) from error


async def numbers_of(channel: AbstractChannel) -> tuple[int, int]:
    """Give a channel's number, and the broker's limit of a frame in bytes."""
    underlay = await channel.get_underlay_channel()
    return underlay.number, underlay.connection.connection_tune.frame_max


async def on_cancelled(channel: AbstractChannel, done: Callable[..., None]) -> None:
    """Call `done` when the broker ends a consumer of a channel, since its queue has gone."""
    underlay = await channel.get_underlay_channel()
    underlay.on_consumer_cancel_callbacks.add(done)


def queue_of(node: str, number: int = 0) -> str:
    """Name the queue of a node; where that name is in use already, `number` gives others."""
    return f"websocket_node_{node}" + (f"-{number}" if number else "")


async def declare_node_queue(channel: AbstractChannel, name: str) -> AbstractQueue:
    """Declare a node's queue: durable, auto-delete, not exclusive, as the Java original does."""
    return await channel.declare_queue(name, durable=True, auto_delete=True, exclusive=False)


async def bind_node_queue(queue: AbstractQueue, node: str) -> None:
    """Bind a node's queue to both exchanges, so that the push mode may change at any moment."""
    await queue.bind(FANOUT, routing_key="")
    await queue.bind(DIRECT, routing_key=node)


async def unbind_node_queue(queue: AbstractQueue, node: str) -> None:
    """Let no more messages come: direct ones are returned to who publishes them."""
    await queue.unbind(FANOUT, routing_key="")
    await queue.unbind(DIRECT, routing_key=node)


async def bounded(call: Coroutine[Any, Any, T], limit: float) -> T:
    """Await a call of the client for `limit` seconds at most. Raises AMQP faults.

    When its connection breaks, the client may end a call with CancelledError. Awaited directly
    that would end our own task, which nobody cancelled.
    """
    task = asyncio.create_task(call)
    try:
        await asyncio.wait({task}, timeout=limit)
    finally:
        if not task.done():
            task.cancel()
    if not task.done():
        raise TimeoutError("no answer in time")
    if task.cancelled():
        raise ConnectionError("the connection broke")
    return task.result()

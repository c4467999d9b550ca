"""What the aio-pika peers share: a connection, and orders taken on a port."""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from typing import Any

import aio_pika
from aio_pika.abc import AbstractChannel

from bench.peers.orders import port
from devtools.ports import LOOPBACK

Order = Callable[..., Awaitable[dict[str, Any]]]
"""Carries out one order, given its arguments, and tells what came of it."""


async def channel() -> AbstractChannel:
    """Connect to the RabbitMQ of the environment; its channel confirms what is published."""
    connection = await aio_pika.connect(
        host=os.environ["RABBITMQ_HOST"],
        port=int(os.environ["RABBITMQ_PORT"]),
        login=os.environ["RABBITMQ_USERNAME"],
        password=os.environ["RABBITMQ_PASSWORD"],
    )
    return await connection.channel()


async def serve(orders: dict[str, Order]) -> None:
    """Take orders until killed: a line of JSON each, answered by another one."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            order = json.loads(line)
            done = await orders[order.pop("op")](**order)
            writer.write(json.dumps(done).encode() + b"\n")
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, LOOPBACK, port())
    await server.serve_forever()

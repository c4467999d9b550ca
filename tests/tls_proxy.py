"""A server's TLS, done in front of it: what comes in by TLS goes on in plain."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator

from devtools.ports import LOOPBACK


@contextlib.asynccontextmanager
async def tls_in_front_of(
    server_port: int, context: ssl.SSLContext, port: int = 0
) -> AsyncIterator[int]:
    """Listen by TLS, on `port` or any; gives the port. Raises OSError where it is in use."""
    tasks: set[asyncio.Task[None]] = set()

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there = await asyncio.open_connection(LOOPBACK, server_port)
        except OSError:
            writer.close()
            return
        for work in (copy(reader, there[1]), copy(there[0], writer)):
            task = asyncio.create_task(work)
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    listener = await asyncio.start_server(serve, LOOPBACK, port, ssl=context)
    try:
        yield listener.sockets[0].getsockname()[1]
    finally:
        listener.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

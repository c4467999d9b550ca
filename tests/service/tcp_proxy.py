"""A TCP proxy of the tests: a network that can be cut, or hang, for one client alone."""

import asyncio
from types import TracebackType
from typing import Self

from devtools.ports import LOOPBACK


class TcpProxy:
    """Listens on `port`, and passes everything on to a server.

    `held` counts the pieces that came while it was hanging.
    """

    def __init__(self, server_port: int) -> None:
        self._server_port = server_port
        self._tasks: set[asyncio.Task[None]] = set()
        self._pairs: list[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = []
        self._flowing = asyncio.Event()
        self._flowing.set()
        self.port = 0
        self.connections = 0
        self.held = 0

    async def __aenter__(self) -> Self:
        self._listener = await asyncio.start_server(self._accept, LOOPBACK, 0)
        self.port = self._listener.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._listener.close()
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        """Reset every connection."""
        for pair in self._pairs:
            for writer in pair:
                writer.transport.abort()
        self._pairs.clear()

    def forget(self) -> None:
        """Reset the clients' side only: the server goes on believing that they are there."""
        for client, _ in self._pairs:
            client.transport.abort()

    def hang(self) -> None:
        """Pass nothing on, and say nothing."""
        self._flowing.clear()

    def flow(self) -> None:
        """End a hang."""
        self._flowing.set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        server_reader, server_writer = await asyncio.open_connection(LOOPBACK, self._server_port)
        self._pairs.append((writer, server_writer))
        for source, sink in ((reader, server_writer), (server_reader, writer)):
            task = asyncio.create_task(self._pass_on(source, sink, ends=sink is writer))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pass_on(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, ends: bool
    ) -> None:
        try:
            while data := await source.read(65_536):
                self.held += not self._flowing.is_set()
                await self._flowing.wait()
                sink.write(data)
                await sink.drain()
        except OSError:
            pass
        if ends:
            sink.close()

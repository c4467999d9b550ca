"""A network between a program and Nacos: its HTTP port and its gRPC port, which is 1000 above."""

import asyncio
from types import TracebackType
from typing import Self

from devtools.ports import LOOPBACK

_APART = 1000


class _Link:
    """One connection through the proxy."""

    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.ends = (client, server)
        self.silent = False


class NacosProxy:
    """Passes everything on to a Nacos server, until it is told otherwise."""

    def __init__(self, nacos_port: int) -> None:
        self._nacos_port = nacos_port
        self._links: list[_Link] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._listeners: list[asyncio.Server] = []
        self.port = 0

    @property
    def address(self) -> str:
        return f"{LOOPBACK}:{self.port}"

    async def __aenter__(self) -> Self:
        for _ in range(20):
            try:
                await self.open()
            except (OSError, OverflowError):
                self.port = 0
            else:
                return self
        raise AssertionError("no pair of free ports")

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def open(self) -> None:
        """Listen, on the same ports as before."""
        try:
            http = await self._listen(self.port, self._nacos_port)
            self.port = http.sockets[0].getsockname()[1]
            await self._listen(self.port + _APART, self._nacos_port + _APART)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Refuse connections, and reset those that are open."""
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()
        for link in self._links:
            for end in link.ends:
                end.transport.abort()
        self._links.clear()

    def silence(self) -> None:
        """Let the open connections die quietly: nothing passes, nothing ends; new ones work."""
        for link in self._links:
            link.silent = True

    async def _listen(self, port: int, server_port: int) -> asyncio.Server:
        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                server_reader, server_writer = await asyncio.open_connection(LOOPBACK, server_port)
            except OSError:
                writer.transport.abort()
                return
            link = _Link(writer, server_writer)
            self._links.append(link)
            for source, sink in ((reader, server_writer), (server_reader, writer)):
                task = asyncio.create_task(self._pass_on(link, source, sink))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

        listener = await asyncio.start_server(accept, LOOPBACK, port)
        self._listeners.append(listener)
        return listener

    async def _pass_on(
        self, link: _Link, source: asyncio.StreamReader, sink: asyncio.StreamWriter
    ) -> None:
        try:
            while data := await source.read(65_536):
                if not link.silent:
                    sink.write(data)
                    await sink.drain()
        except OSError:
            pass
        if not link.silent:
            sink.close()

"""The network between the programs and the servers: one cable each, which can be cut and healed.

All programs must name a server alike, or they would take it for several. So there is one proxy for
each server, and it tells the programs apart by the process at the other end of a connection.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from devtools.ports import LOOPBACK

_PIECE = 65_536
_NACOS_APART = 1000


class Cable:
    """What one program says to one server, and hears from it, passes here."""

    def __init__(self) -> None:
        self._whole = asyncio.Event()
        self._whole.set()

    def cut(self) -> None:
        """Let nothing pass any more; nobody is told, not even of an end."""
        self._whole.clear()

    def heal(self) -> None:
        """Let everything pass again, what was held first."""
        self._whole.set()

    async def whole(self) -> None:
        """Wait while it is cut."""
        await self._whole.wait()


class Network:
    """Proxies to servers. `pids` gives the programs that run now, by name."""

    def __init__(self, pids: Callable[[], Mapping[str, int]]) -> None:
        self._pids = pids
        self._cables: dict[tuple[str, str], Cable] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._listeners: list[asyncio.Server] = []

    def cable(self, program: str, server: str) -> Cable:
        """Give the cable between a program and a server, by their names."""
        return self._cables.setdefault((program, server), Cable())

    async def lead_to(self, server: str, port: int) -> int:
        """Open the way to a server that listens on `port`; gives the port to use instead of it."""
        return int((await self._listen(server, 0, port)).sockets[0].getsockname()[1])

    async def lead_to_nacos(self, port: int) -> int:
        """Do the same for Nacos, whose gRPC port is 1000 above."""
        for _ in range(20):
            http = await self._listen("nacos", 0, port)
            own = http.sockets[0].getsockname()[1]
            try:
                await self._listen("nacos", own + _NACOS_APART, port + _NACOS_APART)
            except (OSError, OverflowError):
                http.close()
            else:
                return int(own)
        raise AssertionError("no pair of free ports")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for listener in self._listeners:
            listener.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _listen(self, server: str, port: int, server_port: int) -> asyncio.Server:
        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            if task is not None:
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            # The streams complain of a callback that was cancelled.
            with contextlib.suppress(asyncio.CancelledError):
                try:
                    await self._join(server, server_port, reader, writer)
                finally:
                    writer.transport.abort()

        listener = await asyncio.start_server(accept, LOOPBACK, port)
        self._listeners.append(listener)
        return listener

    async def _join(
        self,
        server: str,
        server_port: int,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        program = self._owner(writer.get_extra_info("peername")[1])
        cable = self.cable(program, server)
        await cable.whole()
        try:
            server_reader, server_writer = await asyncio.open_connection(LOOPBACK, server_port)
        except OSError:
            return
        try:
            ways = [
                asyncio.create_task(_pass_on(cable, reader, server_writer)),
                asyncio.create_task(_pass_on(cable, server_reader, writer)),
            ]
            try:
                await asyncio.gather(*ways)
            finally:
                for way in ways:
                    way.cancel()
        finally:
            server_writer.transport.abort()

    def _owner(self, port: int) -> str:
        inode = _inode_of(port)
        for name, pid in self._pids().items():
            if inode and _holds(pid, inode):
                return name
        return ""


async def _pass_on(cable: Cable, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    # uvloop's answer to a write where the other way has just ended is a RuntimeError.
    with contextlib.suppress(OSError, RuntimeError):
        while True:
            broken = False
            try:
                data = await source.read(_PIECE)
            except OSError:
                data, broken = b"", True
            await cable.whole()
            if broken:
                sink.transport.abort()
                return
            if not data:
                sink.close()
                return
            sink.write(data)
            await sink.drain()


def _inode_of(port: int) -> str:
    """Find the socket of a client on loopback by its port (proc(5), /proc/net/tcp)."""
    ours = f":{port:04X}"
    for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]:
        fields = line.split()
        if fields[1].endswith(ours) and fields[9] != "0":
            return fields[9]
    return ""


def _holds(pid: int, inode: str) -> bool:
    wanted = f"socket:[{inode}]"
    try:
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                if str(link.readlink()) == wanted:
                    return True
    except OSError:
        # It has ended.
        return False
    return False

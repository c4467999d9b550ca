"""A gateway in this process, and nodes that do as a test wants."""

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Self

from quart import Quart

from gateway_lb.api import front, routes
from gateway_lb.opening import relay_class
from gateway_lb.pool import Pool
from gateway_lb.proxy import Proxy
from gateway_lb.relays import Relays
from gateway_lb.settings import GatewaySettings
from nacos_boot.config.live import LiveSettings
from nacos_boot.http.problem import use_problems
from nacos_boot.http.server import HttpServer
from nacos_boot.registry.instance import Instance
from tests.waiting import eventually

Script = Callable[["Visit"], Awaitable[None]]

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
LIMIT = 10.0


def settings(**gateway: Any) -> GatewaySettings:
    keys = {name.replace("_", "-"): value for name, value in gateway.items()}
    return GatewaySettings.model_validate({"gateway": keys})


def instance(port: int, **attributes: Any) -> Instance:
    return Instance("websocket-service", "127.0.0.1", port, **attributes)


async def until(condition: Callable[[], object], what: str) -> None:
    """Wait for a condition of the code under test; `what` says it in words."""
    try:
        await eventually(condition, LIMIT, 0.005)
    except AssertionError as error:
        raise AssertionError(f"{what}: {error}") from error


@dataclass
class Visit:
    """One connection at a fake node."""

    node: "FakeNode"
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    head: str

    def header(self, name: str) -> str | None:
        for line in self.head.split("\r\n")[1:]:
            if line.lower().startswith(name.lower() + ":"):
                return line.partition(":")[2].strip()
        return None

    async def accept(self, behind: bytes = b"") -> None:
        key = self.header("Sec-WebSocket-Key") or ""
        digest = hashlib.sha1(key.encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()  # noqa: S324 - RFC 6455
        self.writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + base64.b64encode(digest) + b"\r\n\r\n" + behind
        )
        await self.writer.drain()


async def echo(visit: Visit) -> None:
    await visit.accept()
    while data := await visit.reader.read(65536):
        visit.writer.write(data)
        await visit.writer.drain()


async def silent(visit: Visit) -> None:
    await visit.reader.read()


async def slam(visit: Visit) -> None:
    visit.writer.close()


def says(answer: bytes) -> Script:
    async def script(visit: Visit) -> None:
        visit.writer.write(answer)
        await visit.reader.read()

    return script


BUSY = says(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nfull")


@dataclass
class FakeNode:
    """A server that runs its script for each connection whose head has come."""

    script: Script
    visits: list[Visit] = field(default_factory=list)
    open: int = 0
    port: int = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._server.close()
        for visit in self.visits:
            visit.writer.transport.abort()

    @property
    def instance(self) -> Instance:
        return instance(self.port)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            visit = Visit(self, reader, writer, head.decode("latin-1"))
            self.visits.append(visit)
            await self.script(visit)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.open -= 1
            writer.close()


@dataclass
class Gateway:
    """The gateway's parts, served on a port of loopback."""

    port: int
    pool: Pool
    relays: Relays
    live: LiveSettings[GatewaySettings]
    server: HttpServer
    records: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ws(self, user: str = "alice") -> str:
        return f"ws://127.0.0.1:{self.port}/websocket/{user}"

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)

    def idle(self) -> bool:
        return not len(self.relays) and not any(member.open for member in self.pool.members)


async def opened(gate: "Gateway") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Open a relay without a WebSocket library, so that any bytes may be sent."""
    reader, writer = await gate.connect()
    writer.write(handshake())
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 ")
    return reader, writer


def handshake(path: str = "/websocket/alice", *headers: str, method: str = "GET") -> bytes:
    lines = [
        f"{method} {path} HTTP/1.1",
        "Host: gateway.test",
        "Upgrade: websocket",
        "Connection: Upgrade",
        *headers,
    ]
    names = {line.partition(":")[0].lower() for line in headers}
    if "sec-websocket-key" not in names:
        lines.append(f"Sec-WebSocket-Key: {KEY}")
    if "sec-websocket-version" not in names:
        lines.append("Sec-WebSocket-Version: 13")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


@asynccontextmanager
async def gateway(*nodes: FakeNode | Instance, **gateway_settings: Any) -> AsyncIterator[Gateway]:
    pool = Pool()
    pool.replace(node.instance if isinstance(node, FakeNode) else node for node in nodes)
    live = LiveSettings(settings(**gateway_settings))
    relays = Relays(pool, live)
    records: dict[str, Mapping[str, Any]] = {}

    async def read_records(_: Mapping[str, str]) -> Mapping[str, Mapping[str, Any]]:
        if "broken" in records:
            raise ConnectionError("no records")
        return records

    app = Quart("gateway")
    use_problems(app)
    app.register_blueprint(routes(relays, read_records))
    async with Proxy(pool, live) as proxy:
        server = HttpServer(
            front(app, proxy),  # type: ignore[arg-type] # Quart's narrower scope types
            address="127.0.0.1",
            port=0,
            upgrade_class=relay_class(relays),
        )
        await server.open()
        try:
            yield Gateway(server.port, pool, relays, live, server, records)
        finally:
            relays.close()
            await server.close(timedelta(seconds=1))

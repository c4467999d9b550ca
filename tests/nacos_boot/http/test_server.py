import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import aiohttp
import pytest
from quart import Quart, request

from nacos_boot.http.server import HttpServer
from nacos_boot.start.startup import StartError
from tests.waiting import eventually

LOOPBACK = "127.0.0.1"
GRACE = timedelta(seconds=5)


def server(app: Quart, address: str = LOOPBACK, port: int = 0) -> HttpServer:
    return HttpServer(app, address=address, port=port, upgrade_class=None)


@asynccontextmanager
async def serving(app: Quart) -> AsyncIterator[HttpServer]:
    opened = server(app)
    await opened.open()
    try:
        yield opened
    finally:
        await opened.close(timedelta(seconds=1))


@pytest.fixture
def app() -> Quart:
    app = Quart(__name__)

    @app.get("/")
    async def index() -> str:
        return request.host

    return app


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def test_it_serves_on_the_port_that_it_names(app: Quart, http: aiohttp.ClientSession) -> None:
    async with serving(app) as opened, http.get(f"http://{LOOPBACK}:{opened.port}/") as answer:
        assert await answer.text() == f"{LOOPBACK}:{opened.port}"
        assert "server" not in answer.headers
    with pytest.raises(aiohttp.ClientConnectionError):
        await http.get(f"http://{LOOPBACK}:{opened.port}/")


async def test_a_port_in_use_names_the_port_and_the_setting(app: Quart) -> None:
    with socket.create_server((LOOPBACK, 0)) as holder:
        port = holder.getsockname()[1]
        with pytest.raises(StartError) as caught:
            await server(app, port=port).open()
    assert caught.value.final
    assert str(caught.value) == (
        f"port {port} on {LOOPBACK} is in use: stop what holds it, or set server.port"
    )


async def test_another_program_that_is_a_moment_faster(
    app: Quart, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as faster:
        # Two sockets may be bound to a port that nobody listens on yet.
        faster.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        faster.bind((LOOPBACK, 0))

        class Slow(socket.socket):
            def bind(self, address: Any) -> None:
                super().bind(address)
                faster.listen()

        port = faster.getsockname()[1]
        monkeypatch.setattr(socket, "socket", Slow)
        with pytest.raises(StartError, match=rf"port {port} .* is in use: .* set server\.port"):
            await server(app, port=port).open()


@pytest.mark.parametrize(
    ("address", "port"), [("192.0.2.1", 0), ("no-such-host.invalid", 0), (LOOPBACK, 70_000)]
)
async def test_an_address_that_cannot_be_had_names_the_settings(
    app: Quart, address: str, port: int
) -> None:
    with pytest.raises(StartError, match=r"check server\.address and server\.port"):
        await server(app, address, port).open()


async def test_an_application_that_fails_to_start_fails_the_start(
    app: Quart, caplog: pytest.LogCaptureFixture
) -> None:
    @app.before_serving
    async def fail() -> None:
        raise RuntimeError("broken application")

    opened = server(app)
    with pytest.raises(StartError, match="the application failed to start"):
        await opened.open()
    assert "broken application" in caplog.text
    assert await refused(opened.port)


async def test_closing_lets_running_requests_end(app: Quart, http: aiohttp.ClientSession) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    @app.get("/slow")
    async def slow() -> str:
        begun.set()
        await go_on.wait()
        return "done"

    opened = server(app)
    await opened.open()
    asked = asyncio.create_task(http.get(f"http://{LOOPBACK}:{opened.port}/slow"))
    await begun.wait()
    closing = asyncio.create_task(opened.close(GRACE))
    await eventually(lambda: refused(opened.port))
    go_on.set()
    answer = await asked
    assert await answer.text() == "done"
    await closing


async def test_closing_does_not_wait_beyond_its_grace(
    app: Quart, http: aiohttp.ClientSession
) -> None:
    begun, tested = asyncio.Event(), asyncio.Event()

    @app.get("/forever")
    async def forever() -> str:
        begun.set()
        await tested.wait()
        return "too late"

    opened = server(app)
    await opened.open()
    asked = asyncio.create_task(http.get(f"http://{LOOPBACK}:{opened.port}/forever"))
    await begun.wait()
    async with asyncio.timeout(3):
        await opened.close(timedelta(seconds=1))
    with pytest.raises(aiohttp.ClientError):
        (await asked).raise_for_status()
    tested.set()  # Quart lets a handler run on


async def test_closing_what_was_never_opened(app: Quart) -> None:
    await server(app).close(GRACE)


async def refused(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(LOOPBACK, port)
    except ConnectionRefusedError:
        return True
    writer.close()
    return False

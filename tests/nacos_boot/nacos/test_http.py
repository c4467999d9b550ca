"""Documents over HTTP, from small servers that answer as Nacos 3 and Nacos 2 do."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from devtools.ports import LOOPBACK, free_port
from nacos_boot.nacos.error import NacosError, NacosForbiddenError
from nacos_boot.nacos.http import NacosHttp
from nacos_boot.start.nacos_settings import NacosSettings

V1, V3 = "/nacos/v1/cs/configs", "/nacos/v3/client/cs/config"
LOGIN = "/nacos/v1/auth/users/login"
GROUP = "DEFAULT_GROUP"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Nacos:
    """A server; `documents` by data id. `tokens` are those that it lets in, none: everybody."""

    def __init__(self, *paths: str) -> None:
        self.documents: dict[str, str] = {}
        self.tokens: set[str] = set()
        self.busy = 0
        self.login_status = 200
        self.lets_in = True
        self.requests: list[web.Request] = []
        self._paths = paths

    @asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        app = web.Application()
        app.router.add_post(LOGIN, self._log_in)
        handlers: dict[str, Handler] = {V1: self._v1, V3: self._v3}
        for path in self._paths:
            app.router.add_get(path, handlers[path])
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, LOOPBACK, 0).start()
        try:
            yield f"{LOOPBACK}:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()

    async def _log_in(self, _request: web.Request) -> web.StreamResponse:
        token = f"token-{len(self.tokens)}"
        if self.login_status == 200 and self.lets_in:
            self.tokens.add(token)
        return web.json_response({"accessToken": token}, status=self.login_status)

    def _refuses(self, request: web.Request) -> bool:
        self.requests.append(request)
        return bool(self.tokens) and request.headers.get("accessToken") not in self.tokens

    async def _v3(self, request: web.Request) -> web.StreamResponse:
        if self._refuses(request):
            return web.json_response({"status": 403}, status=403)
        if self.busy:
            self.busy -= 1
            return web.json_response({"code": 20005, "message": "busy", "data": None}, status=409)
        content = self.documents.get(request.query["dataId"])
        if content is None:
            return web.json_response({"code": 20004, "message": "not found", "data": None})
        return web.json_response({"code": 0, "data": {"content": content}})

    async def _v1(self, request: web.Request) -> web.StreamResponse:
        if self._refuses(request):
            return web.json_response({"status": 403}, status=403)
        if self.busy:
            self.busy -= 1
            return web.Response(text="requested file is being modified", status=409)
        content = self.documents.get(request.query["dataId"])
        if content is None:
            return web.Response(text="config data not exist", status=404)
        return web.Response(text=content)


def http(*servers: str, username: str = "alice", namespace: str = "") -> NacosHttp:
    return NacosHttp(
        NacosSettings.model_validate(
            {
                "server-addr": list(servers),
                "username": username,
                "password": "hunter2",
                "namespace": namespace,
                "config": {"timeout": "1s"},
                "discovery": {"ip": "10.9.9.9"},
            }
        ),
        timeout=0.3,
    )


@pytest.mark.parametrize("paths", [(V3,), (V3, V1), (V1,)], ids=["newest", "Nacos 3", "Nacos 2"])
async def test_documents_of_every_server(paths: tuple[str, ...]) -> None:
    nacos = Nacos(*paths)
    nacos.documents = {"a.yml": "a: é 漢\r\n", "empty.yml": ""}
    async with nacos.running() as server:
        reader = http(server)
        await reader.log_in()
        assert await reader.get_config("a.yml", GROUP) == "a: é 漢\r\n"
        assert await reader.get_config("absent.yml", GROUP) is None
        assert await reader.get_config("empty.yml", GROUP) == ""
        nacos.busy = 2
        assert await reader.get_config("a.yml", GROUP) == "a: é 漢\r\n"


async def test_a_page_that_is_not_nacoss_is_no_absent_document() -> None:
    async with Nacos().running() as proxy:  # it answers 404 to everything
        with pytest.raises(NacosError, match=r"cannot be asked for a\.yml \(.*: it answers 404"):
            await http(proxy).get_config("a.yml", GROUP)


async def test_a_server_that_is_brought_to_nacos_3_is_followed() -> None:
    old, new = Nacos(V1), Nacos(V3)
    old.documents = new.documents = {"a.yml": "a: 1"}
    async with old.running() as before, new.running() as after:
        reader = http(before)
        assert await reader.get_config("a.yml", GROUP) == "a: 1"
        reader._settings = reader._settings.model_copy(update={"server_addr": [after]})
        with pytest.raises(NacosError, match="it answers 404"):
            await reader.get_config("a.yml", GROUP)
        assert await reader.get_config("a.yml", GROUP) == "a: 1"


async def test_what_the_server_is_told() -> None:
    nacos = Nacos(V3)
    async with nacos.running() as server:
        reader = http(server, namespace="test")
        assert await reader.choose_client_ip() == "10.9.9.9"
        await reader.get_config("a.yml", "TEAM")
    [request] = nacos.requests
    assert dict(request.query) == {"dataId": "a.yml", "groupName": "TEAM", "namespaceId": "test"}
    # What gray publishing goes by.
    assert request.headers["X-Forwarded-For"] == "10.9.9.9"


async def test_a_token_that_is_refused_is_replaced_once_for_all_reads() -> None:
    nacos = Nacos(V3)
    nacos.documents = {"a.yml": "a: 1"}
    async with nacos.running() as server:
        reader = http(server)
        await reader.log_in()
        nacos.tokens = {"another"}
        reads = [reader.get_config("a.yml", GROUP) for _ in range(3)]
        assert await asyncio.gather(*reads) == ["a: 1"] * 3
        assert len(nacos.tokens) == 2


async def test_an_account_without_the_permission_is_forbidden() -> None:
    nacos = Nacos(V3)
    nacos.tokens = {"of another account"}
    nacos.lets_in = False
    async with nacos.running() as server:
        reader = http(server)
        await reader.log_in()
        for _ in range(2):
            with pytest.raises(
                NacosForbiddenError, match=r"forbids the user 'alice' to read a\.yml"
            ):
                await reader.get_config("a.yml", GROUP)


@pytest.mark.parametrize("status", [403, 500])
async def test_an_account_that_can_no_longer_log_in_is_forbidden(status: int) -> None:
    nacos = Nacos(V3)
    async with nacos.running() as server:
        reader = http(server)
        await reader.log_in()
        nacos.tokens = {"another"}
        nacos.login_status = status
        for _ in range(2):
            with pytest.raises(NacosForbiddenError) as caught:
                await reader.get_config("a.yml", GROUP)
            assert "'alice'" in str(caught.value)
            assert "spring.cloud.nacos.username" in str(caught.value)
            assert "hunter2" not in str(caught.value)


async def test_the_next_server_is_asked_where_one_is_away_or_hangs() -> None:
    async def never(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(60)
        writer.close()

    hanging = await asyncio.start_server(never, LOOPBACK, 0)
    address = "{}:{}".format(*hanging.sockets[0].getsockname())
    nacos = Nacos(V3)
    nacos.documents = {"a.yml": "a: 1"}
    async with nacos.running() as server, asyncio.timeout(5):
        reader = http(f"{LOOPBACK}:{free_port()}", address, server)
        assert await reader.get_config("a.yml", GROUP) == "a: 1"
        # From then on it is the first.
        assert reader._first == 2
    hanging.close()


async def test_no_server_at_all_names_each() -> None:
    away = [f"{LOOPBACK}:{free_port()}" for _ in range(2)]
    with pytest.raises(NacosError) as caught:
        await http(*away).get_config("a.yml", GROUP)
    for address in away:
        assert f"{address}: Cannot connect" in str(caught.value)


async def test_an_answer_that_makes_no_sense_is_an_error() -> None:
    app = web.Application()

    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.Response(text="<html>", status=502)

    app.router.add_get(V3, answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, LOOPBACK, 0).start()
    with pytest.raises(NacosError, match="it answers 502"):
        await http(f"{LOOPBACK}:{runner.addresses[0][1]}").get_config("a.yml", GROUP)
    await runner.cleanup()

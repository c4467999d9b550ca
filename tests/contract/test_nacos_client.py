"""The client of the real Nacos where things go wrong, and what it leaves behind."""

import asyncio
import os
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from types import CoroutineType
from typing import Any

import pytest
from aiohttp import web
from v2.nacos import NacosException
from v2.nacos.transport.http_agent import HttpAgent

from devtools.ports import LOOPBACK, free_port
from devtools.servers import Servers
from nacos_boot.nacos.client import NacosClient
from nacos_boot.nacos.error import NacosError, UnreachableError
from nacos_boot.registry.instance import Instance
from nacos_boot.start.nacos_settings import NacosSettings
from nacos_boot.start.startup import StartError
from tests.nacos_admin import NacosAdmin
from tests.waiting import eventually

GROUP = "DEFAULT_GROUP"
DATA_ID = "client-absent.yml"
SHORT = 0.3  # seconds, where it is going to fail
LATER = 1.0  # where it connects first


def settings(server: str, *, timeout: float = 3.0, username: str = "nacos") -> NacosSettings:
    return NacosSettings.model_validate(
        {
            "server-addr": [server],
            "username": username,
            "password": "nacos",
            "config": {"timeout": f"{timeout}s"},
        }
    )


@pytest.fixture
def address(servers: Servers) -> str:
    return str(servers.env()["NACOS_SERVER_ADDR"])


@pytest.fixture
def ours() -> Instance:
    return Instance(f"client-{uuid.uuid4().hex[:12]}", "10.255.0.1", 8081)


@pytest.fixture
async def hanging() -> AsyncIterator[str]:
    """A server that accepts and never answers, on the HTTP port and on the gRPC port."""
    writers: list[asyncio.StreamWriter] = []

    def accept(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)

    for _ in range(20):
        http = await asyncio.start_server(accept, LOOPBACK, 0)
        port = http.sockets[0].getsockname()[1]
        try:
            grpc = await asyncio.start_server(accept, LOOPBACK, port + 1000)
        except (OSError, OverflowError):
            http.close()
            continue
        yield f"{LOOPBACK}:{port}"
        for server in (http, grpc):
            server.close()
        for writer in writers:
            writer.close()
        return
    raise AssertionError("no pair of free ports")


@pytest.mark.parametrize("username", ["nacos", ""])
async def test_a_server_that_hangs_is_given_up_in_time(hanging: str, username: str) -> None:
    await unreachable(hanging, username)


@pytest.mark.parametrize("username", ["nacos", ""])
async def test_a_server_that_is_away_is_given_up_in_time(username: str) -> None:
    await unreachable(f"{LOOPBACK}:{free_port()}", username)


async def test_a_grpc_port_that_is_closed_is_named() -> None:
    async def let_in(_request: web.Request) -> web.StreamResponse:
        return web.json_response({"accessToken": "x", "tokenTtl": 5})

    app = web.Application()
    app.router.add_post("/nacos/v1/auth/users/login", let_in)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, LOOPBACK, 0).start()
    client = NacosClient(settings(f"{LOOPBACK}:{runner.addresses[0][1]}", timeout=SHORT))
    with pytest.raises(UnreachableError, match="the gRPC port, which is 1000 above its port"):
        await client.connect()
    await client.close()
    await runner.cleanup()


async def unreachable(address: str, username: str) -> None:
    client = NacosClient(settings(address, username=username, timeout=SHORT))
    tasks = sdk_tasks()
    for _ in range(2):
        started = time.monotonic()
        with pytest.raises(UnreachableError) as caught:
            await client.connect()
        assert time.monotonic() - started < 2 * SHORT + 0.5
        assert address in str(caught.value)
        assert "spring.cloud.nacos.server-addr" in str(caught.value)
    # Nothing of the attempts runs on.
    await eventually(lambda: sdk_tasks() <= tasks, limit=1)
    await client.close()


async def test_one_server_of_several_is_enough(address: str, ours: Instance) -> None:
    down = [f"{LOOPBACK}:{free_port()}" for _ in range(2)]
    found = settings(address).model_copy(update={"server_addr": [down[0], address, down[1]]})
    for _ in range(4):
        client = NacosClient(found)
        # The SDK would begin with any of them, and wait 3 s for each that is down.
        async with asyncio.timeout(2.5):
            await client.connect()
            assert await client.get_config(DATA_ID, GROUP) is None
            assert await client.instances(ours.service, GROUP) == ()
        await client.close()


async def test_namespaces_and_groups_are_apart_for_documents_and_instances(
    address: str, nacos: NacosAdmin, ours: Instance
) -> None:
    namespace, group = f"team-{uuid.uuid4().hex[:8]}", "SHOPS"
    await asyncio.to_thread(nacos.add_namespace, namespace)
    public = NacosClient(settings(address))
    client = NacosClient(settings(address).model_copy(update={"namespace": namespace}))
    await public.connect()
    await client.connect()
    told: list[str | None] = []
    await client.listen("shop.yml", group, told.append)
    await client.start_listening()
    await client.publish_config("shop.yml", group, "a: 1")
    await eventually(lambda: told == ["a: 1"])

    async def read_both_ways() -> bool:
        found = {await client.get_config("shop.yml", group)}
        return found | {await client._http.get_config("shop.yml", group)} == {"a: 1"}

    await eventually(read_both_ways)
    assert await client.get_config("shop.yml", GROUP) is None
    assert await public.get_config("shop.yml", group) is None
    assert await public._http.get_config("shop.yml", group) is None

    await client.register(ours, group)
    assert await client.instances(ours.service, group) == (ours,)
    assert await client.instances(ours.service, GROUP) == ()
    assert await public.instances(ours.service, group) == ()
    await client.close()
    await public.close()


async def test_the_sdk_never_writes_the_password_into_an_address(
    address: str, ours: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    async def request(_agent: object, url: str, *_: object) -> tuple[None, str]:
        asked.append(url)
        return None, "no HTTP from the SDK"

    monkeypatch.setattr(HttpAgent, "request", request)
    client = NacosClient(settings(address))
    await client.connect()
    assert await client.get_config(DATA_ID, GROUP) is None
    await client.register(ours, GROUP)
    assert await client.instances(ours.service, GROUP) == (ours,)
    await client.close()
    assert asked == []


async def test_a_token_that_the_server_no_longer_knows_does_not_cost_the_registration(
    address: str, ours: Instance
) -> None:
    client = NacosClient(settings(address))
    await client.connect()
    connector = client._names.grpc_client_proxy.nacos_server_connector
    calls: list[Callable[[], Awaitable[Any]]] = [
        lambda: client.register(ours, GROUP),
        lambda: client.instances(ours.service, GROUP),
        lambda: client.subscribe(ours.service, GROUP, lambda _: None),
        lambda: client.deregister(ours, GROUP),
    ]
    for call in calls:
        connector.auth_client.access_token = "unknown"
        await call()
    await client.close()


async def test_a_server_that_hangs_later_is_given_up_in_time(
    servers: Servers, address: str, ours: Instance
) -> None:
    client = NacosClient(settings(address, timeout=LATER))
    await client.connect()
    calls: list[Callable[[], Awaitable[Any]]] = [
        lambda: client.get_config(DATA_ID, GROUP),
        lambda: client.instances(ours.service, GROUP),
        lambda: client.register(ours, GROUP),
    ]
    await asyncio.to_thread(servers.nacos.pause)
    try:
        for call in calls:
            started = time.monotonic()
            with pytest.raises(NacosError, match=address):
                await call()
            assert time.monotonic() - started < LATER + 0.5
        started = time.monotonic()
        await client.close()
        assert time.monotonic() - started < LATER + 0.5
    finally:
        await asyncio.to_thread(servers.nacos.resume)


async def test_closing_leaves_no_task_and_no_file_behind(
    address: str, ours: Instance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    tasks = sdk_tasks()
    client = NacosClient(settings(address))
    await client.connect()
    await client.listen(DATA_ID, GROUP, lambda _: None)
    await client.subscribe(ours.service, GROUP, lambda _: None)
    await client.register(ours, GROUP)
    assert folders(tmp_path)
    assert open_files(client) == []
    await client.close()
    assert folders(tmp_path) == []
    await eventually(lambda: sdk_tasks() <= tasks, limit=1)


async def test_the_list_is_asked_of_the_server_though_pushes_have_stopped(
    address: str, ours: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, other = NacosClient(settings(address)), NacosClient(settings(address))
    await client.connect()
    await other.connect()
    await client.subscribe(ours.service, GROUP, lambda _: None)

    async def lost(_service: object) -> None:
        pass

    monkeypatch.setattr(client._names.service_info_holder, "process_service", lost)
    await other.register(ours, GROUP)

    async def listed() -> bool:
        return await client.instances(ours.service, GROUP) == (ours,)

    await eventually(listed)
    await other.deregister(ours, GROUP)

    async def gone() -> bool:
        return await client.instances(ours.service, GROUP) == ()

    await eventually(gone)
    await client.close()
    await other.close()


async def test_connecting_again_changes_nothing(address: str) -> None:
    client = NacosClient(settings(address))
    await client.connect()
    tasks = sdk_tasks()
    await client.connect()
    assert sdk_tasks() == tasks
    await client.close()
    with pytest.raises(StartError, match="was closed"):
        await client.connect()


async def test_no_access_token_in_any_log(
    address: str, ours: Instance, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(0)
    client = NacosClient(settings(address))
    await client.connect()
    await client.get_config(DATA_ID, GROUP)
    await client.register(ours, GROUP)
    assert sdk_logs(client) == ""
    await client.close()
    assert "accessToken" not in caplog.text
    assert "eyJ" not in caplog.text  # how every JSON web token begins


def folders(parent: Path) -> list[Path]:
    return list(parent.iterdir())


def sdk_logs(client: NacosClient) -> str:
    return "".join(path.read_text() for path in Path(client._folder.name).rglob("*.log"))


def sdk_tasks() -> set[asyncio.Task[Any]]:
    return {
        task
        for task in asyncio.all_tasks()
        if isinstance(work := task.get_coro(), CoroutineType)
        and "v2/nacos" in work.cr_code.co_filename
    }


def open_files(client: NacosClient) -> list[str]:
    held = (os.path.realpath(link) for link in Path("/proc/self/fd").iterdir())
    return [path for path in held if path.startswith(client._folder.name)]


async def test_a_document_that_is_being_written_at_the_server_is_read_a_moment_later(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = NacosClient(settings(address))
    await client.connect()
    real, busy = client._configs.get_config, [True, True]

    async def get_config(param: Any) -> Any:
        if busy:
            busy.pop()
            # What the real server says in the moment after a publication.
            raise NacosException(400, "requested file is being modified, please try later.")
        return await real(param)

    monkeypatch.setattr(client._configs, "get_config", get_config)
    try:
        assert await client.get_config(DATA_ID, GROUP) is None
        assert not busy
    finally:
        await client.close()

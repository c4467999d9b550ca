"""Live configuration on a real Nacos, where the network and the server do what they may do."""

import asyncio
import logging
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from devtools.servers import Servers
from nacos_boot.background import Background
from nacos_boot.boot import Boot
from nacos_boot.config.nacos_config import NacosConfig
from nacos_boot.config.state import FaultKind
from nacos_boot.nacos.client import NacosClient
from nacos_boot.nacos.login import Token
from tests.nacos_admin import NacosAdmin
from tests.nacos_boot.samples import DemoSettings, bootstrap
from tests.nacos_proxy import NacosProxy
from tests.waiting import eventually

WATCHDOG = 2.0  # seconds
SLACK = 1.0  # for a machine under load

BOOTSTRAP = """
spring:
  application: {{name: {name}}}
  cloud:
    nacos:
      server-addr: {address}
      username: nacos
      password: nacos
      start-timeout: 1s
      config:
        watchdog-interval: {watchdog}s
        snapshot-dir: {folder}/snapshots
        shared-configs:
          - {{data-id: {name}-shared.yml, refresh: true}}
      discovery:
        ip: {ip}
        watchdog-interval: 1s
"""


class Program:
    """A program's configuration, and the documents that it has at the server."""

    def __init__(self, name: str, admin: NacosAdmin, address: str, folder: Path) -> None:
        self.name = name
        self.data_id = f"{name}.yml"
        self.shared = f"{name}-shared.yml"
        self._admin = admin
        self._address = address
        self._folder = folder

    async def publish(self, content: str, data_id: str = "") -> None:
        await asyncio.to_thread(self._admin.publish, data_id or self.data_id, content)

    def text(self, ip: str = "10.9.9.1", watchdog: float = WATCHDOG, address: str = "") -> str:
        return BOOTSTRAP.format(
            name=self.name,
            address=address or self._address,
            folder=self._folder,
            ip=ip,
            watchdog=watchdog,
        )

    @asynccontextmanager
    async def running(
        self, *arguments: str, **where: object
    ) -> AsyncIterator[tuple[NacosConfig[DemoSettings], NacosClient]]:
        start = bootstrap(self._folder, *arguments, text=self.text(**where))  # type: ignore[arg-type]  # what `text` takes
        client = NacosClient(start.nacos)
        config = NacosConfig(DemoSettings, start, client)
        await config.load()
        watch = asyncio.create_task(config.watch())
        try:
            yield config, client
            assert not watch.done()
        finally:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)
            await client.close()


@pytest.fixture
async def program(servers: Servers, nacos: NacosAdmin, tmp_path: Path) -> AsyncIterator[Program]:
    address = str(servers.env()["NACOS_SERVER_ADDR"])
    program = Program(f"live-{uuid.uuid4().hex[:12]}", nacos, address, tmp_path)
    await program.publish("demo: {mode: slow}")
    yield program
    for data_id in (program.data_id, program.shared):
        await asyncio.to_thread(nacos.delete, data_id)


def number(config: NacosConfig[DemoSettings]) -> int:
    return config.live.current.demo.limits.max_connections


def numbered(value: int) -> str:
    return f"demo: {{limits: {{max-connections: {value}}}}}"


async def applied(
    program: Program, config: NacosConfig[DemoSettings], value: int, data_id: str = ""
) -> float:
    """Publish a number and give the seconds until it is in force."""
    started = time.monotonic()
    await program.publish(numbered(value), data_id)
    await eventually(lambda: number(config) == value, limit=20, interval=0.005)
    return time.monotonic() - started


def found_by_watchdog() -> float:
    return REGISTRY.get_sample_value("nacos_config_found_by_watchdog_total") or 0.0


async def test_a_publication_is_pushed_from_the_first_moment_on(program: Program) -> None:
    async with program.running(watchdog=3600) as (config, _):
        for value in range(200, 203):
            assert await applied(program, config, value) < 1 + SLACK
        await program.publish("server: {port: 0}")
        await eventually(lambda: number(config) == 100)
        for value in range(203, 206):
            assert await applied(program, config, value, program.shared) < 1 + SLACK


async def test_a_burst_ends_in_the_last_one(program: Program, nacos: NacosAdmin) -> None:
    async with program.running(watchdog=3600) as (config, _):

        def burst() -> None:
            for value in range(200, 230):
                nacos.publish(program.data_id, numbered(value))

        await asyncio.to_thread(burst)
        await eventually(lambda: number(config) == 229, limit=3)


async def test_a_stream_that_died_quietly_delays_a_change_by_the_watchdogs_interval(
    program: Program, servers: Servers
) -> None:
    async with (
        NacosProxy(servers.ports.nacos) as proxy,
        program.running(address=proxy.address) as (config, _),
    ):
        await applied(program, config, 200)
        proxy.silence()
        assert await applied(program, config, 201) < WATCHDOG + 1 + SLACK
        assert config.state.faults == ()

        # The stream is made anew: pushes arrive again, and the watchdog finds nothing.
        value = 202

        async def pushed() -> bool:
            nonlocal value
            found = found_by_watchdog()
            for _ in range(3):
                value += 1
                await applied(program, config, value)
            return found_by_watchdog() == found

        await eventually(pushed, limit=40)


async def test_a_server_that_hangs_leaves_the_settings_and_is_caught_up_with(
    program: Program, servers: Servers, nacos: NacosAdmin, caplog: pytest.LogCaptureFixture
) -> None:
    async with program.running() as (config, _):
        await asyncio.to_thread(servers.nacos.pause)
        try:
            await eventually(lambda: config.state.unreachable, limit=WATCHDOG + 3 + SLACK)
            assert config.state.fault is not None
            assert config.state.fault.kind is FaultKind.UNREACHABLE
            first = config.state.fault
            await asyncio.sleep(WATCHDOG + 1)
            assert config.state.fault == first
            assert caplog.text.count("the settings in force stay") == 1
            assert config.live.current.demo.mode == "slow"
        finally:
            await asyncio.to_thread(servers.nacos.resume)
        await program.publish("demo: {mode: fast}")
        await eventually(lambda: config.live.current.demo.mode == "fast", limit=15)
        await eventually(lambda: config.state.faults == (), limit=15)


@pytest.fixture
async def reader(nacos: NacosAdmin) -> AsyncIterator[str]:
    name = f"reader-{uuid.uuid4().hex[:8]}"
    await asyncio.to_thread(nacos.add_reader, name, "first")
    yield name
    await asyncio.to_thread(nacos.remove_reader, name)


def account(name: str) -> list[str]:
    return [f"--spring.cloud.nacos.username={name}", "--spring.cloud.nacos.password=first"]


async def test_a_permission_that_is_taken_away_is_told_and_leaves_the_settings(
    program: Program, nacos: NacosAdmin, reader: str
) -> None:
    async with program.running(*account(reader)) as (config, _):
        await asyncio.to_thread(nacos.forbid, reader)
        await program.publish("demo: {mode: fast}")
        fault = await eventually(lambda: config.state.fault, limit=WATCHDOG + 3)
        assert fault.kind is FaultKind.FORBIDDEN
        assert f"forbids the user '{reader}' to read" in fault.message
        assert config.state.error == fault.message
        assert config.state.unreachable is None
        assert config.live.current.demo.mode == "slow"
        await asyncio.to_thread(nacos.permit, reader)
        await eventually(lambda: config.live.current.demo.mode == "fast", limit=WATCHDOG + 3)
        assert config.state.faults == ()


async def test_a_password_that_was_changed_is_told_when_the_token_is_too_old(
    program: Program, nacos: NacosAdmin, reader: str
) -> None:
    async with program.running(*account(reader)) as (config, client):
        await asyncio.to_thread(nacos.change_password, reader, "second")
        for service in (client._config, client._naming):
            assert service is not None
            service.grpc_client_proxy.nacos_server_connector.auth_client.token_expired_time = 0
        client._http._token = Token("too.old")
        fault = await eventually(lambda: config.state.fault, limit=WATCHDOG + 3)
        assert fault.kind is FaultKind.FORBIDDEN
        assert f"the login of the user '{reader}'" in fault.message
        assert "check spring.cloud.nacos.username and password" in fault.message
        assert config.live.current.demo.mode == "slow"
        await asyncio.to_thread(nacos.change_password, reader, "first")
        await program.publish("demo: {mode: fast}")
        await eventually(lambda: config.live.current.demo.mode == "fast", limit=15)
        await eventually(lambda: config.state.faults == (), limit=15)


async def test_a_token_that_the_server_no_longer_knows_is_replaced(program: Program) -> None:
    async with program.running() as (config, client):
        for service in (client._config, client._naming):
            assert service is not None
            service.grpc_client_proxy.nacos_server_connector.auth_client.access_token = "unknown"
        client._http._token = Token("unknown")
        await program.publish("demo: {mode: fast}")
        await eventually(lambda: config.live.current.demo.mode == "fast", limit=WATCHDOG + 3)
        assert config.state.faults == ()
        assert await applied(program, config, 200) < 1 + SLACK


async def test_gray_publishing_reaches_the_clients_that_it_names(
    program: Program, nacos: NacosAdmin
) -> None:
    async with (
        program.running(ip="10.9.9.1", watchdog=0.5) as (one, client),
        program.running(ip="10.9.9.2", watchdog=0.5) as (other, _),
    ):
        await asyncio.to_thread(nacos.publish_gray, program.data_id, numbered(200), "10.9.9.2")
        await eventually(lambda: number(other) == 200)
        # Rounds of the watchdog by either way give each its own version.
        assert await client._http.get_config(program.data_id, "DEFAULT_GROUP") is not None
        await asyncio.sleep(1.5)
        assert (number(one), number(other)) == (100, 200)
        await asyncio.to_thread(nacos.stop_gray, program.data_id)
        await eventually(lambda: other.live.current.demo.mode == "slow" and number(other) == 100)
        assert one.state.md5 == other.state.md5
        # What was tried is published for all.
        await program.publish(numbered(200))
        await eventually(lambda: (number(one), number(other)) == (200, 200))


async def test_both_ways_of_reading_give_a_gray_client_the_same(
    program: Program, nacos: NacosAdmin
) -> None:
    async with program.running(ip="10.9.9.3", watchdog=3600) as (config, client):
        await asyncio.to_thread(nacos.publish_gray, program.data_id, numbered(200), "10.9.9.3")
        await eventually(lambda: number(config) == 200)
        for newest in (True, False):
            client._http._is_nacos_3 = newest
            text = await client._http.get_config(program.data_id, "DEFAULT_GROUP")
            assert text == numbered(200)
            assert client._http._is_nacos_3 is newest
            assert await client._http.get_config("absent.yml", "DEFAULT_GROUP") is None
        await asyncio.to_thread(nacos.stop_gray, program.data_id)


async def test_a_start_from_the_snapshot_catches_up_in_everything(
    program: Program, servers: Servers, nacos: NacosAdmin, caplog: pytest.LogCaptureFixture
) -> None:
    async with program.running():
        pass
    await program.publish("demo: {mode: fast}")
    async with NacosProxy(servers.ports.nacos) as proxy:
        proxy.close()
        start = bootstrap(program._folder, text=program.text(watchdog=1, address=proxy.address))
        background = Background()
        boot = Boot(DemoSettings, start, background, version="1")
        try:
            live = await boot.load()
            assert live.current.demo.mode == "slow"
            assert "s old" in caplog.text
            await boot.register(8081)
            discovery = boot.discover(program.name)
            await proxy.open()
            await eventually(lambda: live.current.demo.mode == "fast", limit=15)
            assert boot.config.state.snapshot_age is None
            await eventually(lambda: len(discovery.instances) == 1, limit=15)
            assert len(nacos.instances(program.name)) == 1
            assert await applied(program, boot.config, 200) < 1 + SLACK
        finally:
            await boot.deregister()
            await background.close()
            await boot.close()


async def test_no_password_and_no_token_in_any_log_or_file(
    program: Program, caplog: pytest.LogCaptureFixture, watched_folders: list[Path]
) -> None:
    caplog.set_level(0)
    tokens: list[str] = []
    await program.publish("demo: {password: s3cr3t-of-a-document}")
    async with program.running() as (config, client):
        for name in ("config", "naming"):
            # What `logging.level` in a document may do to the SDK's loggers.
            logging.getLogger(name).setLevel(logging.DEBUG)
            logging.getLogger(name).propagate = True
        for service in (client._config, client._naming):
            assert service is not None
            auth = service.grpc_client_proxy.nacos_server_connector.auth_client
            tokens.append(await auth.get_access_token(True))
        assert client._http._token is not None
        tokens.append(client._http._token.text)
        await client._http.get_config(program.data_id, "DEFAULT_GROUP")
        await program.publish("demo: {password: s3cr3t-too, mode: fast}")
        await eventually(lambda: config.live.current.demo.mode == "fast")
        await program.publish("demo: {password: s3cr3t-bad, mode: sideways}")
        await eventually(lambda: config.state.error)
        assert all(tokens)
        texts = [caplog.text, repr(config.state), repr(client._http.__dict__)]
        for folder in (Path(client._folder.name), *watched_folders):
            files = (path for path in folder.rglob("*") if path.is_file())
            texts += [path.read_text(errors="replace") for path in files]
    assert "settings changed" in caplog.text
    for text in texts:
        for secret in ("s3cr3t", "password=nacos", *tokens):
            assert secret not in text


@pytest.fixture
def watched_folders() -> list[Path]:
    """Where the SDK writes when it is left alone."""
    home = Path.home()
    return [home / "logs" / "nacos", home / "nacos"]


async def test_a_restart_of_the_server_is_survived_and_pushes_are_fast_again(
    program: Program, servers: Servers
) -> None:
    async with program.running() as (config, _):
        await asyncio.to_thread(servers.nacos.kill)
        await asyncio.to_thread(servers.nacos.start)
        value = 200

        async def pushed() -> bool:
            nonlocal value
            found = found_by_watchdog()
            value += 1
            took = await applied(program, config, value)
            return took < 1 + SLACK and found_by_watchdog() == found

        await eventually(pushed, limit=30)
        assert config.state.faults == ()

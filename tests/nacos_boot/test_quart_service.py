"""A whole service on the fake Nacos: its port is real."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import aiohttp
import pytest
from quart import Quart

from devtools.ports import LOOPBACK, free_port
from nacos_boot import boot as boot_module
from nacos_boot.config.live import LiveSettings
from nacos_boot.http.api_keys import hash_of
from nacos_boot.program import Stop
from nacos_boot.quart_service import NacosService, ServiceSettings
from nacos_boot.registry.instance import Instance
from nacos_boot.settings.section import Section
from nacos_boot.settings.setting import setting
from nacos_boot.start.startup import StartError
from tests.certificates import Authority
from tests.fakes.nacos import GROUP, FakeNacos, FakeNacosClient
from tests.waiting import eventually


class DeskSection(Section):
    text: str = setting("hello", "What it says.")


class DeskSettings(ServiceSettings):
    desk: DeskSection = DeskSection()


BOOTSTRAP = f"""
spring:
  application: {{name: desk}}
  cloud:
    nacos:
      server-addr: fake:8848
      start-timeout: 10ms
      config: {{snapshot: false}}
      discovery: {{ip: {LOOPBACK}}}
server: {{address: {LOOPBACK}}}
drain: {{notice: 300ms}}
"""


class Ending:
    """Stands for the signal that ends a program."""

    def __init__(self) -> None:
        self.came = asyncio.Event()

    async def wait(self) -> None:
        await self.came.wait()


class Desk:
    """The app of the tests, as a program's module would make it."""

    def __init__(self, folder: Path) -> None:
        (folder / "bootstrap.yml").write_text(BOOTSTRAP)
        self.app = Quart(__name__, root_path=str(folder))
        self.nacos = NacosService(self.app, DeskSettings, version="1.2.3")
        self.ending = Ending()
        self.port = free_port()
        self.others = self.nacos.discover("other")
        self.app.get("/")(self.greet)
        self.app.get("/slow")(self.slow)
        self.app.get("/bug")(self.bug)

    async def greet(self) -> str:
        return self.nacos.settings.desk.text

    async def slow(self) -> str:
        self.ending.came.set()
        await asyncio.sleep(0.5)
        return "at last"

    async def bug(self) -> str:
        raise KeyError("oh")

    @asynccontextmanager
    async def running(
        self, *arguments: str, trusted: ssl.SSLContext | None = None
    ) -> AsyncIterator[aiohttp.ClientSession]:
        stop = cast("Stop", self.ending)
        given = [f"--server.port={self.port}", *arguments]
        serving = asyncio.create_task(self.nacos.serve(stop, given))
        try:
            connector = aiohttp.TCPConnector(ssl=trusted or True)
            origin = f"{'https' if trusted else 'http'}://{LOOPBACK}:{self.port}"
            async with aiohttp.ClientSession(origin, connector=connector) as client:
                await eventually(lambda: serving.done() or self.answers(client))
                if serving.done():
                    serving.result()
                yield client
        finally:
            self.ending.came.set()
            await serving

    async def answers(self, client: aiohttp.ClientSession) -> bool:
        try:
            async with client.get("/actuator/health/readiness") as answer:
                return answer.status == 200
        except aiohttp.ClientError:
            return False


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> FakeNacos:
    server = FakeNacos()
    server.publish("desk.yml", "desk: {text: good morning}")
    monkeypatch.setattr(boot_module, "NacosClient", lambda _settings: FakeNacosClient(server))
    return server


@pytest.fixture
def desk(server: FakeNacos, tmp_path: Path) -> Desk:
    return Desk(tmp_path)


async def text(client: aiohttp.ClientSession, path: str = "/") -> str:
    async with client.get(path) as answer:
        return await answer.text()


async def test_handlers_see_the_settings_in_force(server: FakeNacos, desk: Desk) -> None:
    changes: list[tuple[str, str]] = []

    @desk.nacos.on_change
    def changed(old: DeskSettings, new: DeskSettings) -> None:
        changes.append((old.desk.text, new.desk.text))

    async with desk.running() as client:
        assert await text(client) == "good morning"
        server.publish("desk.yml", "desk: {text: good evening}")

        async def said() -> bool:
            return await text(client) == "good evening"

        await eventually(said)
        assert changes == [("good morning", "good evening")]


async def test_the_actuator_is_closed_to_strangers_and_the_apps_routes_as_it_says(
    server: FakeNacos, desk: Desk
) -> None:
    far = {"X-Forwarded-For": "203.0.113.9"}
    async with desk.running() as client:

        async def status(path: str, **headers: str) -> int:
            async with client.get(path, headers=headers) as answer:
                return answer.status

        assert [await status(path, **far) for path in ("/", "/actuator/info")] == [200, 403]
        key = {"name": "ops", "hash": hash_of("the-key"), "scopes": ["actuator"]}
        server.publish("desk.yml", json.dumps({"desk": {"text": "x"}, "access": {"keys": [key]}}))

        async def closed() -> bool:
            return await status("/actuator/info") == 401

        await eventually(closed)
        assert await status("/actuator/info", **{"X-API-Key": "the-key"}, **far) == 200
        assert await status("/actuator/health", **far) == 200
        assert await status("/", **far) == 200


async def test_the_actuator_and_problem_documents_are_there(desk: Desk) -> None:
    async with desk.running() as client:
        async with client.get("/actuator/info") as answer:
            body: Any = await answer.json(content_type=None)
            assert body["app"]["name"] == "desk"
        for path, status in (("/nowhere", 404), ("/bug", 500)):
            async with client.get(path) as answer:
                assert answer.status == status
                assert answer.content_type == "application/problem+json"


async def test_it_is_registered_while_it_serves_and_leaves_before_it_closes(
    server: FakeNacos, desk: Desk
) -> None:
    async with desk.running() as client:
        (instance,) = await eventually(lambda: server.instances("desk"))
        assert instance.address == f"{LOOPBACK}:{desk.port}"
        assert instance.metadata["version"] == "1.2.3"
        desk.ending.came.set()
        await eventually(lambda: not server.instances("desk"))
        # For callers who do not know yet.
        assert await text(client) == "good morning"


async def test_its_port_speaks_tls_where_the_settings_say_so(
    server: FakeNacos, desk: Desk, tmp_path: Path
) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.issue().write(tmp_path)
    given = f"--server.ssl.certificate={certificate}", f"--server.ssl.certificate-private-key={key}"
    trusted = ssl.create_default_context(cafile=str(authority.file))
    async with desk.running(*given, trusted=trusted) as client:
        assert await text(client) == "good morning"
        (instance,) = await eventually(lambda: server.instances("desk"))
        assert instance.metadata["secure"] == "true"


async def test_a_request_under_way_is_answered(desk: Desk) -> None:
    async with desk.running("--drain.notice=0s") as client:
        assert await text(client, "/slow") == "at last"


async def test_other_services_are_followed(server: FakeNacos, desk: Desk) -> None:
    near = Instance(service="other", ip=LOOPBACK, port=1)
    server.put(near, GROUP)
    server.put(Instance(service="other", ip=LOOPBACK, port=2, enabled=False), GROUP)
    assert not desk.others.instances
    async with desk.running():
        # There from the first request on.
        assert desk.others.instances == (near,)
        assert desk.others.choose() == near
        later = desk.nacos.discover("later")
        assert not later.instances
        server.take_out(near, GROUP)
        await eventually(lambda: not desk.others.instances)
        with pytest.raises(LookupError, match="no instance of other is available"):
            desk.others.choose()
        server.put(Instance(service="later", ip=LOOPBACK, port=3), GROUP)
        await eventually(lambda: [each.port for each in later.instances] == [3])


async def test_an_instance_without_weight_is_not_chosen(server: FakeNacos, desk: Desk) -> None:
    server.put(Instance(service="other", ip=LOOPBACK, port=1, weight=0), GROUP)
    server.put(Instance(service="other", ip=LOOPBACK, port=2, weight=3), GROUP)
    async with desk.running():
        assert {desk.others.choose().port for _ in range(50)} == {2}


async def test_a_start_that_cannot_succeed_registers_nothing(server: FakeNacos, desk: Desk) -> None:
    server.publish("desk.yml", "desk: {text: [1]}")
    with pytest.raises(StartError, match=r"desk\.yml.*desk\.text"):
        async with desk.running():
            pass
    assert not server.instances("desk")


async def test_handlers_can_be_tested_without_nacos(desk: Desk) -> None:
    desk.nacos.live = LiveSettings(DeskSettings())
    answer = await desk.app.test_client().get("/")
    assert await answer.get_data(as_text=True) == "hello"


def test_before_it_runs_there_are_no_settings(desk: Desk) -> None:
    with pytest.raises(RuntimeError, match="once the program runs"):
        _ = desk.nacos.settings
    with pytest.raises(RuntimeError, match="once the program runs"):
        _ = desk.nacos.boot

"""A program's ties to Nacos put together, with the fake Nacos behind them."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from quart import Quart

from nacos_boot import boot as boot_module
from nacos_boot.background import Background
from nacos_boot.boot import Boot
from nacos_boot.startup import StartError
from tests.fakes.nacos import FakeNacos, FakeNacosClient
from tests.nacos_boot.samples import BOOTSTRAP, DemoSettings, bootstrap
from tests.waiting import eventually

LOCAL = "--spring.cloud.nacos.discovery.ip=10.0.0.1"


@pytest.fixture
def nacos(monkeypatch: pytest.MonkeyPatch) -> FakeNacos:
    server = FakeNacos()
    server.publish("demo.yml", "demo: {mode: slow}")
    monkeypatch.setattr(boot_module, "NacosClient", lambda _settings: FakeNacosClient(server))
    return server


@pytest.fixture
async def background() -> AsyncIterator[Background]:
    background = Background()
    yield background
    await background.close()


@pytest.fixture
async def booted(
    nacos: FakeNacos, background: Background, tmp_path: Path
) -> AsyncIterator[Boot[DemoSettings]]:
    boot = Boot(DemoSettings, bootstrap(tmp_path, LOCAL), background, version="1.2.3")
    await boot.load()
    boot.health.accepting = True
    yield boot
    await boot.close()


async def actuator(boot: Boot[DemoSettings], path: str) -> Any:
    app = Quart(__name__)
    app.register_blueprint(boot.actuator({"extra": lambda: {"here": True}}))
    response = await app.test_client().get(f"/actuator{path}")
    return json.loads(await response.get_data())


async def test_what_the_registry_is_told(nacos: FakeNacos, booted: Boot[DemoSettings]) -> None:
    await booted.register(8081, {"zone": "a"})
    [instance] = nacos.instances("demo")
    assert instance.address == "10.0.0.1:8081"
    assert instance.ephemeral
    assert instance.metadata == {
        "preserved.register.source": "SPRING_CLOUD",
        "management.context-path": "/actuator",
        "version": "1.2.3",
        "nacos.config.md5": booted.config.state.md5,
        "zone": "a",
    }


async def test_the_registry_is_told_of_new_settings(
    nacos: FakeNacos, booted: Boot[DemoSettings]
) -> None:
    await booted.register(8081, {})
    before = booted.config.state.md5
    nacos.publish("demo.yml", "demo: {mode: fast}")
    await eventually(lambda: booted.config.state.md5 != before)

    def told() -> bool:
        [instance] = nacos.instances("demo")
        return instance.metadata["nacos.config.md5"] == booted.config.state.md5

    await eventually(told)


async def test_the_settings_of_the_registration(
    nacos: FakeNacos, background: Background, tmp_path: Path
) -> None:
    start = bootstrap(
        tmp_path,
        *(
            f"--spring.cloud.nacos.discovery.{setting}"
            for setting in (
                "ip=10.0.0.9",
                "port=80",
                "service=other",
                "group=TEAM",
                "weight=2.5",
                "cluster-name=EAST",
                "ephemeral=false",
                "metadata.zone=b",
            )
        ),
    )
    boot = Boot(DemoSettings, start, background, version="1.2.3")
    await boot.load()
    await boot.register(8081, {"zone": "a"})
    [instance] = nacos.instances("other", "TEAM")
    assert instance.address == "10.0.0.9:80"
    assert (instance.weight, instance.cluster, instance.ephemeral) == (2.5, "EAST", False)
    assert instance.metadata["zone"] == "b"


async def test_registration_may_be_switched_off(
    nacos: FakeNacos, background: Background, tmp_path: Path
) -> None:
    off = "--spring.cloud.nacos.discovery.register-enabled=false"
    boot = Boot(DemoSettings, bootstrap(tmp_path, LOCAL, off), background, version="1.2.3")
    await boot.load()
    await boot.register(8081, {})
    await boot.deregister()
    assert nacos.instances("demo") == ()


async def test_the_address_must_be_an_ipv4_literal(
    nacos: FakeNacos, background: Background, tmp_path: Path
) -> None:
    for ip in ("node.example", "::1", "10.0.0"):
        start = bootstrap(tmp_path, f"--spring.cloud.nacos.discovery.ip={ip}")
        with pytest.raises(StartError) as caught:
            _ = Boot(DemoSettings, start, background, version="1.2.3").address
        assert f"spring.cloud.nacos.discovery.ip is '{ip}'; expected an IPv4 address" in str(
            caught.value
        )


async def test_without_an_address_it_is_the_one_that_leads_to_nacos(
    nacos: FakeNacos, background: Background, tmp_path: Path
) -> None:
    text = BOOTSTRAP.replace("fake:8848", "127.0.0.1:8848")
    assert (
        Boot(DemoSettings, bootstrap(tmp_path, text=text), background, version="1.2.3").address
        == "127.0.0.1"
    )


async def test_discovery_follows_a_service(nacos: FakeNacos, booted: Boot[DemoSettings]) -> None:
    discovery = booted.discover("demo")
    await booted.register(8081, {})
    await eventually(lambda: len(discovery.instances) == 1)
    health = await actuator(booted, "/health")
    assert health["components"]["nacosDiscovery"] == {
        "status": "UP",
        "details": {"service": "demo", "instances": 1},
    }
    await booted.deregister()
    await eventually(lambda: discovery.instances == ())


async def test_health_says_what_is_wrong_and_goes_on_serving(
    nacos: FakeNacos, booted: Boot[DemoSettings]
) -> None:
    await booted.register(8081, {})
    healthy = await actuator(booted, "/health")
    assert healthy["status"] == "UP"
    assert healthy["components"]["nacosConfig"]["status"] == "UP"
    assert healthy["components"]["nacosRegistration"] == {
        "status": "UP",
        "details": {"instance": "10.0.0.1:8081"},
    }
    nacos.publish("demo.yml", "demo: {mode: sideways}")
    await eventually(lambda: booted.config.state.error)
    refused = await actuator(booted, "/health")
    assert refused["status"] == "UP"
    assert refused["components"]["nacosConfig"]["status"] == "UNKNOWN"
    assert "demo.mode = 'sideways'" in refused["components"]["nacosConfig"]["details"]["error"]
    assert (await actuator(booted, "/health/readiness"))["status"] == "UP"


async def test_the_nacosconfig_endpoint(nacos: FakeNacos, booted: Boot[DemoSettings]) -> None:
    body = await actuator(booted, "/nacosconfig")
    assert body["md5"] == booted.config.state.md5
    assert body["error"] is None
    documents = {item["dataId"]: item for item in body["documents"]}
    assert list(documents) == ["common.yml", "fixed.yml", "extension.yml", "demo.yml"]
    assert documents["demo.yml"]["refresh"] is True
    assert documents["fixed.yml"]["refresh"] is False
    # The md5 that the Nacos console shows for this text.
    assert documents["demo.yml"]["md5"] == "0a3e3c2833d2f0a215f1d4efd1b405d4"
    assert documents["common.yml"]["md5"] is None


async def test_info_and_the_programs_own_endpoints(booted: Boot[DemoSettings]) -> None:
    assert (await actuator(booted, "/info"))["app"]["name"] == "demo"
    assert await actuator(booted, "/extra") == {"here": True}

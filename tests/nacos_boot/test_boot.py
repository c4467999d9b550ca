"""A program's ties to Nacos put together, with the fake Nacos behind them."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from quart import Quart

from nacos_boot import boot as boot_module
from nacos_boot.background import Background
from nacos_boot.boot import Boot
from nacos_boot.registry.instance import Instance
from nacos_boot.start.nacos_settings import NacosSettings
from nacos_boot.start.startup import StartError
from tests.fakes.nacos import GROUP, FakeNacos, FakeNacosClient
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
    await booted.register(8081, lambda: {"zone": "a"})
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


async def test_a_registration_that_was_interrupted_leaves_nothing_behind(
    nacos: FakeNacos, background: Background, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Unanswered(FakeNacosClient):
        async def register(self, instance: Instance, group: str) -> None:
            nacos.put(instance, group)
            await asyncio.Event().wait()

    monkeypatch.setattr(boot_module, "NacosClient", lambda _settings: Unanswered(nacos))
    boot = Boot(DemoSettings, bootstrap(tmp_path, LOCAL), background, version="1.2.3")
    await boot.load()
    registering = asyncio.create_task(boot.register(8081))
    await eventually(lambda: nacos.instances("demo"))
    registering.cancel()
    await asyncio.gather(registering, return_exceptions=True)
    await boot.close()
    assert nacos.instances("demo") == ()


async def test_the_registry_is_told_of_new_settings(
    nacos: FakeNacos, booted: Boot[DemoSettings]
) -> None:
    await booted.register(8081)
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
    assert boot.location(8081) == "10.0.0.9:80"
    await boot.register(8081, lambda: {"zone": "a"})
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
    await boot.register(8081)
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


async def test_weight_and_metadata_follow_the_settings(
    nacos: FakeNacos, booted: Boot[DemoSettings]
) -> None:
    def publish(discovery: str, mode: str = "slow") -> None:
        nacos.publish(
            "demo.yml",
            f"demo: {{mode: {mode}}}\nspring: {{cloud: {{nacos: {{discovery: {discovery}}}}}}}",
        )

    await booted.register(8081, lambda: {"mode": booted.config.live.current.demo.mode, "id": "x"})
    [before] = nacos.instances("demo")

    publish("{weight: 0, metadata: {zone: a, team.name: t}}", mode="fast")
    await eventually(lambda: [found.weight for found in nacos.instances("demo")] == [0])
    [instance] = nacos.instances("demo")
    assert instance.metadata == {
        **before.metadata,
        "mode": "fast",
        "zone": "a",
        "team.name": "t",
        "nacos.config.md5": booted.config.state.md5,
    }

    publish("{instance-enabled: false, metadata: {zone: b}}")
    await eventually(lambda: nacos.instances("demo") == ())

    # What is not named any more is gone there, too; what is the program's stays.
    publish("{}")
    md5 = before.metadata["nacos.config.md5"]
    await eventually(lambda: [found.weight for found in nacos.instances("demo")] == [1])
    [instance] = nacos.instances("demo")
    assert {**instance.metadata, "nacos.config.md5": md5} == before.metadata


async def test_a_bad_weight_refuses_the_whole_change(
    nacos: FakeNacos, booted: Boot[DemoSettings]
) -> None:
    await booted.register(8081)
    text = "demo: {mode: fast}\nspring.cloud.nacos.discovery.weight: heavy"
    nacos.publish("demo.yml", text)
    await eventually(lambda: "discovery.weight" in str(booted.config.state.error))
    assert booted.config.live.current.demo.mode == "slow"
    assert [found.weight for found in nacos.instances("demo")] == [1.0]


async def test_what_documents_say_of_the_registration_counts_from_the_start(
    nacos: FakeNacos, background: Background, tmp_path: Path
) -> None:
    discovery = "{service: other, cluster-name: EAST, ip: 10.0.0.9, secure: true, port: 80}"
    nacos.publish("common.yml", f"spring: {{cloud: {{nacos: {{discovery: {discovery}}}}}}}")
    boot = Boot(DemoSettings, bootstrap(tmp_path), background, version="1.2.3")
    await boot.load()
    await boot.register(8081)
    [instance] = nacos.instances("other")
    assert (instance.address, instance.cluster) == ("10.0.0.9:80", "EAST")
    assert instance.metadata["secure"] == "true"


async def test_levels_follow_the_settings(nacos: FakeNacos, booted: Boot[DemoSettings]) -> None:
    logger = logging.getLogger("demo.part")
    nacos.publish("demo.yml", "demo: {mode: slow}\nlogging: {level: {demo.part: DEBUG}}")
    await eventually(lambda: logger.level == logging.DEBUG)
    nacos.publish("demo.yml", "demo: {mode: slow}\nlogging: {level: {demo.part: ERROR}}")
    await eventually(lambda: logger.level == logging.ERROR)
    nacos.publish("demo.yml", "demo: {mode: slow}")
    await eventually(lambda: logger.level == logging.NOTSET)


async def test_levels_are_in_force_from_the_load_on(
    nacos: FakeNacos, background: Background, tmp_path: Path
) -> None:
    nacos.publish("common.yml", "logging: {level: {demo.early: DEBUG}}")
    await Boot(DemoSettings, bootstrap(tmp_path), background, version="1").load()
    assert logging.getLogger("demo.early").level == logging.DEBUG


async def test_a_key_that_is_read_before_nacos_is_told_once_to_have_no_effect(
    nacos: FakeNacos, booted: Boot[DemoSettings], caplog: pytest.LogCaptureFixture
) -> None:
    late = "spring: {cloud: {nacos: {server-addr: 'elsewhere:1'}}}"
    for mode in ("fast", "slow", "fast"):
        nacos.publish("demo.yml", f"demo: {{mode: {mode}}}\n{late}")
        await eventually(lambda mode=mode: booted.config.live.current.demo.mode == mode)
    [line] = [line for line in caplog.text.splitlines() if "server-addr" in line and "WARN" in line]
    assert "demo.yml, line 2: spring.cloud.nacos.server-addr has no effect there" in line
    assert "bootstrap.yml" in line


async def test_discovery_follows_services(nacos: FakeNacos, booted: Boot[DemoSettings]) -> None:
    discovery = booted.discover("demo")
    booted.discover("shop")
    await booted.register(8081)
    await eventually(lambda: len(discovery.instances) == 1)
    health = await actuator(booted, "/health")
    assert health["components"]["nacosDiscovery"] == {
        "status": "UP",
        "details": {
            "services": {
                "demo": {"group": "DEFAULT_GROUP", "instances": 1},
                "shop": {"group": "DEFAULT_GROUP", "instances": 0},
            }
        },
    }
    nacos.up = False
    await discovery.refresh()
    details = (await actuator(booted, "/health"))["components"]["nacosDiscovery"]
    assert details["status"] == "UNKNOWN"
    assert "fake:8848" in details["details"]["services"]["demo"]["error"]
    assert "error" not in details["details"]["services"]["shop"]
    nacos.up = True
    discovery.stop()
    details = (await actuator(booted, "/health"))["components"]["nacosDiscovery"]
    assert list(details["details"]["services"]) == ["shop"]


async def test_what_needs_a_restart_stays_as_it_was_at_the_start(
    nacos: FakeNacos, booted: Boot[DemoSettings]
) -> None:
    await booted.register(8081)
    nacos.publish(
        "demo.yml",
        "spring.cloud.nacos.discovery: {enabled: false, group: SHOPS, secure: true, weight: 3}",
    )
    await eventually(lambda: [found.weight for found in nacos.instances("demo")] == [3])
    assert "secure" not in nacos.instances("demo")[0].metadata
    assert {pending.key.rpartition(".")[2] for pending in booted.config.state.pending} == {
        "enabled",
        "group",
        "secure",
    }
    discovery = booted.discover("demo")
    await eventually(lambda: len(discovery.instances) == 1)
    assert discovery.group == GROUP


async def test_discovery_may_be_switched_off(
    nacos: FakeNacos, background: Background, tmp_path: Path
) -> None:
    off = "--spring.cloud.nacos.discovery.enabled=false"
    boot = Boot(DemoSettings, bootstrap(tmp_path, LOCAL, off), background, version="1.2.3")
    await boot.load()
    await boot.register(8081)
    assert nacos.instances("demo") == ()
    assert boot.discover("demo").stopped
    assert (await actuator(boot, "/nacosdiscovery"))["registration"] is None


async def test_the_nacosdiscovery_endpoint(nacos: FakeNacos, booted: Boot[DemoSettings]) -> None:
    nacos.publish(
        "demo.yml",
        "spring.cloud.nacos.discovery:\n"
        "  weight: 2\n  cluster-name: EAST\n  metadata: {zone: a, access-token: hunter2}",
    )
    await eventually(lambda: booted.config.framework.current.discovery.weight == 2)
    other = booted.discover("shop")
    nacos.put(Instance("shop", "10.0.0.7", 80, metadata={"a": "1", "password": "hunter2"}), GROUP)
    await booted.register(8081)
    await eventually(lambda: other.instances)
    body = await actuator(booted, "/nacosdiscovery")
    assert "hunter2" not in json.dumps(body)

    [service] = body["subscribe"]
    assert (service["name"], service["groupName"], service["clusters"]) == ("shop", GROUP, "")
    assert service["hosts"] == [
        {
            "instanceId": "10.0.0.7#80#DEFAULT#DEFAULT_GROUP@@shop",
            "ip": "10.0.0.7",
            "port": 80,
            "weight": 1.0,
            "healthy": True,
            "enabled": True,
            "ephemeral": True,
            "clusterName": "DEFAULT",
            "serviceName": "DEFAULT_GROUP@@shop",
            "metadata": {"a": "1", "password": "******"},
        }
    ]
    properties = body["NacosDiscoveryProperties"]
    assert properties["serverAddr"] == "fake:8848"
    assert properties["weight"] == 2.0
    # That needs a restart.
    assert properties["clusterName"] == "DEFAULT"
    assert properties["registerEnabled"] is True
    assert "password" not in properties
    assert properties["metadata"] == {"zone": "a", "access-token": "******"}
    registration = body["registration"]
    assert registration["address"] == "10.0.0.1:8081"
    assert (registration["registered"], registration["lost"]) == (True, 0)
    assert registration["error"] is None
    assert registration["metadata"]["zone"] == "a"
    assert registration["metadata"]["nacos.config.md5"] == booted.config.state.md5


async def test_health_says_what_is_wrong_and_goes_on_serving(
    nacos: FakeNacos, booted: Boot[DemoSettings]
) -> None:
    await booted.register(8081)
    healthy = await actuator(booted, "/health")
    assert healthy["status"] == "UP"
    assert healthy["components"]["nacosConfig"]["status"] == "UP"
    assert healthy["components"]["nacosRegistration"] == {
        "status": "UP",
        "details": {"instance": "10.0.0.1:8081", "registered": True, "lost": 0},
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


async def test_the_registry_may_be_another_nacos(
    monkeypatch: pytest.MonkeyPatch, background: Background, tmp_path: Path
) -> None:
    servers = {"fake:8848": FakeNacos(), "registry:8848": FakeNacos()}

    def client(settings: NacosSettings) -> FakeNacosClient:
        return FakeNacosClient(servers[",".join(settings.server_addr)])

    monkeypatch.setattr(boot_module, "NacosClient", client)
    # Said by a document, as Spring allows.
    text = "demo: {mode: slow}\nspring.cloud.nacos.discovery: {server-addr: registry, weight: 2}"
    servers["fake:8848"].publish("demo.yml", text)
    boot = Boot(DemoSettings, bootstrap(tmp_path, LOCAL), background, version="1.2.3")
    await boot.load()
    following = boot.discover("demo")
    await boot.register(8081)
    assert servers["fake:8848"].instances("demo") == ()
    assert [found.weight for found in servers["registry:8848"].instances("demo")] == [2]
    await eventually(lambda: len(following.instances) == 1)
    body = await actuator(boot, "/nacosdiscovery")
    assert body["NacosDiscoveryProperties"]["serverAddr"] == "registry:8848"
    await boot.close()


async def test_info_and_the_programs_own_endpoints(booted: Boot[DemoSettings]) -> None:
    assert (await actuator(booted, "/info"))["app"]["name"] == "demo"
    assert await actuator(booted, "/extra") == {"here": True}

"""`/actuator/env` and `/actuator/configprops` of a program on the fake Nacos."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from quart import Quart
from quart.typing import TestClientProtocol as Client

from nacos_boot import boot as boot_module
from nacos_boot.background import Background
from nacos_boot.boot import Boot
from nacos_boot.settings.section import OpenSection, Section
from nacos_boot.settings.setting import setting
from tests.fakes.nacos import FakeNacos, FakeNacosClient
from tests.nacos_boot.log_output import logging_set_up
from tests.nacos_boot.samples import DemoSettings, bootstrap

COMMON = """\
demo:
  mode: fast
  limits:
    max-connections: 50
    warn-at: 5
"""
OWN = """\
# The program's own.
demo:
  limits:
    maxConnections: 60
  names: [a, "${REGION:here}"]
  password: hunter2-in-nacos
  labels:
    broker: amqp://guest:hunter2@rabbit:5672/
    copied: ${MY_DB_PASSWORD}
    brief: ${BRIEF_PASSWORD}
    again: ${demo.labels.copied}/x
outside:
  apiKey: hunter2
  plain: seen
"""
ENVIRON = {
    "DEMO_INTERVAL": "7s",
    "DEMO_NAMES_0": "first",
    "DEMO_PASSWORD": "hunter2-in-the-environment",
    "MY_DB_PASSWORD": "hunter2-other",
    "BRIEF_PASSWORD": "hunter2",
    "HOME": "/home/hunter2",
}


class Pins(Section):
    pin: SecretStr = setting(SecretStr(""), "A secret by its type, not by its name.")
    more: dict[str, SecretStr] = setting({}, "The same.")


class Rabbit(OpenSection):
    host: str = setting("127.0.0.1", "Host.")


class Spring(OpenSection):
    rabbitmq: Rabbit = Rabbit()


class Settings(DemoSettings):
    pins: Pins = Pins()
    spring: Spring = Spring()


@pytest.fixture
async def nacos(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeNacos]:
    nacos = FakeNacos()
    nacos.publish("common.yml", COMMON)
    nacos.publish("demo.yml", OWN + "pins:\n  pin: hunter2-typed\n  more: {x: hunter2}\n")
    monkeypatch.setattr(boot_module, "NacosClient", lambda _settings: FakeNacosClient(nacos))
    with logging_set_up(**ENVIRON):
        yield nacos


@pytest.fixture
async def client(nacos: FakeNacos, tmp_path: Path) -> AsyncIterator[Client]:
    background = Background()
    start = bootstrap(
        tmp_path, "--demo.limits.warn-at=9", "--spring.profiles.active=test", environ=ENVIRON
    )
    boot = Boot(Settings, start, background, version="1.2.3")
    await boot.load()
    boot.health.accepting = True
    app = Quart(__name__)
    app.register_blueprint(boot.actuator())
    yield app.test_client()
    await background.close()
    await boot.close()


async def get(client: Client, path: str, status: int = 200) -> Any:
    response = await client.get(f"/actuator/{path}")
    text = (await response.get_data()).decode()
    assert response.status_code == status, text
    assert "hunter2" not in text
    return json.loads(text)


async def sources(client: Client, query: str = "") -> dict[str, Any]:
    body = await get(client, f"env{query}")
    return {source["name"]: source["properties"] for source in body["propertySources"]}


async def test_sources_from_the_strongest_to_the_weakest(client: Client) -> None:
    body = await get(client, "env")
    assert body["activeProfiles"] == ["test"]
    assert body["defaultProfiles"] == ["default"]
    assert [source["name"] for source in body["propertySources"]] == [
        "commandLineArgs",
        "systemEnvironment",
        "Nacos: demo.yml",
        "Nacos: common.yml",
        "bootstrap.yml",
    ]


async def test_values_with_their_origins(client: Client) -> None:
    found = await sources(client)
    assert found["Nacos: demo.yml"]["demo.limits.max-connections"] == {
        "value": 60,
        "origin": "Nacos: demo.yml:4",
    }
    # Of a value that another source outranks, too.
    assert found["Nacos: common.yml"]["demo.limits.max-connections"] == {
        "value": 50,
        "origin": "Nacos: common.yml:4",
    }
    assert found["Nacos: demo.yml"]["outside.plain"]["value"] == "seen"
    assert found["commandLineArgs"]["demo.limits.warn-at"]["value"] == "9"
    assert found["bootstrap.yml"]["spring.application.name"]["value"] == "demo"
    shared = "spring.cloud.nacos.config.shared-configs"
    assert found["bootstrap.yml"][f"{shared}[1].data-id"]["value"] == "fixed.yml"


async def test_of_the_environment_only_settings_show_their_values(client: Client) -> None:
    environment = (await sources(client))["systemEnvironment"]
    assert environment.keys() == ENVIRON.keys()
    assert environment["DEMO_INTERVAL"] == {
        "value": "7s",
        "origin": 'System Environment Property "DEMO_INTERVAL"',
    }
    for name in ("DEMO_PASSWORD", "BRIEF_PASSWORD", "MY_DB_PASSWORD", "HOME"):
        assert environment[name]["value"] == "******"


async def test_secrets_are_masked_by_name_type_placeholder_and_look(client: Client) -> None:
    own = (await sources(client))["Nacos: demo.yml"]
    for key in ("demo.password", "outside.apiKey", "pins.pin", "pins.more.x", "demo.labels.copied"):
        assert own[key]["value"] == "******", key
    assert own["demo.labels.again"]["value"] == "******/x"
    assert own["demo.labels.broker"]["value"] == "amqp://guest:******@rabbit:5672/"


async def test_no_copy_of_a_secret_in_the_history(client: Client, nacos: FakeNacos) -> None:
    own = OWN.replace("again:", "fresh: new-hunter2-pass\n    again:")
    nacos.publish("demo.yml", own + "pins: {pin: new-hunter2-pass}")
    await client.post("/actuator/refresh")
    history = json.dumps(await get(client, "nacosconfig"))
    assert "demo.labels.fresh" in history


async def test_nacos_is_shown_in_readiness_and_does_not_end_it(
    client: Client, nacos: FakeNacos
) -> None:
    body = await get(client, "health/readiness")
    assert body["components"]["nacosConfig"]["status"] == "UP"
    nacos.up = False
    await client.post("/actuator/refresh")
    body = await get(client, "health/readiness")
    assert body["status"] == "UP"
    assert body["components"]["nacosConfig"]["status"] == "UNKNOWN"
    assert "unreachable" in json.dumps(body["components"]["nacosConfig"])
    assert await get(client, "health/liveness") == {
        "status": "UP",
        "components": {"livenessState": {"status": "UP"}},
    }


async def test_only_the_keys_that_a_pattern_finds(client: Client) -> None:
    found = await sources(client, "?pattern=LIMITS\\.m.*")
    keys = {key for properties in found.values() for key in properties}
    assert keys == {"demo.limits.max-connections"}
    assert len(found) == 5


@pytest.mark.parametrize("pattern", ["(", "(a%2B)%2B$a*", "(.%2B)%2B0", "(..|.){9}0", "[z-a]"])
async def test_a_pattern_that_cannot_be_used(client: Client, pattern: str) -> None:
    body = await get(client, f"env?pattern={pattern}", 400)
    assert "expected" in body["message"]


@pytest.mark.parametrize("key", ["demo.limits.max-connections", "demo.limits.maxConnections"])
async def test_one_property(client: Client, key: str) -> None:
    body = await get(client, f"env/{key}")
    assert body["property"] == {"source": "Nacos: demo.yml", "value": 60}
    assert body["activeProfiles"] == ["test"]
    by_name = {source["name"]: source.get("property") for source in body["propertySources"]}
    assert by_name == {
        "commandLineArgs": None,
        "systemEnvironment": None,
        "Nacos: demo.yml": {"value": 60, "origin": "Nacos: demo.yml:4"},
        "Nacos: common.yml": {"value": 50, "origin": "Nacos: common.yml:4"},
        "bootstrap.yml": None,
    }


async def test_one_property_that_a_variable_pins(client: Client) -> None:
    for name in ("demo.interval", "DEMO_INTERVAL"):
        body = await get(client, f"env/{name}")
        assert body["property"] == {"source": "systemEnvironment", "value": "7s"}
    assert (await get(client, "env/demo.password"))["property"]["value"] == "******"


async def test_a_property_that_is_nowhere(client: Client) -> None:
    body = await get(client, "env/demo.nowhere", 404)
    assert "property" not in body
    assert len(body["propertySources"]) == 5


async def beans(client: Client, path: str = "configprops", status: int = 200) -> dict[str, Any]:
    body = await get(client, path, status)
    assert list(body) == ["contexts"]
    return {bean["prefix"]: bean for bean in body["contexts"]["demo"]["beans"].values()}


async def test_settings_as_beans(client: Client) -> None:
    found = await beans(client)
    assert {"demo", "server", "logging", "spring.rabbitmq", "spring.cloud.nacos.discovery"} <= (
        found.keys()
    )
    demo = found["demo"]
    assert demo["properties"]["limits"] == {"maxConnections": 60, "warnAt": 9}
    assert demo["properties"]["interval"] == "PT7S"
    assert demo["properties"]["names"] == ["first"]
    assert demo["inputs"]["limits"] == {
        "maxConnections": {"value": 60, "origin": "Nacos: demo.yml:4"},
        "warnAt": {"value": 9, "origin": "the command line"},
    }
    assert demo["inputs"]["interval"] == {"value": "PT7S", "origin": "the environment"}
    assert demo["inputs"]["pause"] == {}
    assert found["spring.rabbitmq"]["inputs"] == {"host": {}}


async def test_secrets_of_beans_are_masked(client: Client) -> None:
    found = await beans(client)
    assert found["demo"]["properties"]["password"] == "******"
    assert found["demo"]["inputs"]["password"]["value"] == "******"
    assert found["pins"]["properties"] == {"pin": "******", "more": {"x": "******"}}
    labels = found["demo"]["properties"]["labels"]
    assert labels["broker"] == "amqp://guest:******@rabbit:5672/"


async def test_beans_below_a_prefix(client: Client) -> None:
    assert (await beans(client, "configprops/spring.ra")).keys() == {"spring.rabbitmq"}
    assert await beans(client, "configprops/nothing", 404) == {}


async def test_every_link_of_the_index_leads_somewhere(client: Client) -> None:
    links = (await get(client, ""))["_links"]
    assert {
        "self",
        "health",
        "health-path",
        "info",
        "prometheus",
        "refresh",
        "env",
        "env-toMatch",
        "configprops",
        "configprops-prefix",
        "loggers",
        "loggers-name",
        "nacosconfig",
        "nacosdiscovery",
    } == links.keys()
    for name, link in links.items():
        if not link["templated"] and name not in {"refresh", "prometheus"}:
            await get(client, link["href"].partition("/actuator/")[2])

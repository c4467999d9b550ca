"""The actuator of running nodes and gateways, as Spring Boot Admin and Prometheus ask it."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from websockets.exceptions import WebSocketException

from tests.cluster import NODE_DOCUMENT, ClusterUnderTest, Program, merged
from tests.waiting import eventually

SPRING_TYPE = "application/vnd.spring-boot.actuator.v3+json"
ADMIN_ACCEPTS = f"{SPRING_TYPE}, application/vnd.spring-boot.actuator.v2+json, application/json"
PROMETHEUS_ACCEPTS = (
    "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.3"
)
SECRET = "hunter2-of-the-broker"
TOKEN = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJodW50ZXIyIn0.hunter2"


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=15)) as session:
        yield session


async def links(http: aiohttp.ClientSession, program: Program) -> dict[str, Any]:
    async with http.get(f"{program.url}/actuator", headers={"accept": ADMIN_ACCEPTS}) as answer:
        assert (answer.status, answer.headers["content-type"]) == (200, SPRING_TYPE)
        return dict(json.loads(await answer.read())["_links"])


# What a link's template stands for, to follow it.
EXAMPLES = {
    "{*path}": "readiness/nacosConfig",
    "{toMatch}": "spring.application.name",
    "{prefix}": "server",
    "{name}": "ROOT",
}


async def test_every_link_leads_somewhere_on_nodes_and_gateways(
    cluster: ClusterUnderTest, http: aiohttp.ClientSession
) -> None:
    for program in (cluster.nodes[0], cluster.gateway):
        found = await links(http, program)
        assert {"health", "info", "env", "configprops", "loggers", "refresh"} < found.keys()
        assert {"prometheus", "nacosconfig", "nacosdiscovery", "self"} < found.keys()
        for name, link in found.items():
            url = link["href"]
            assert url.startswith(program.url)
            assert ("{" in url) is link["templated"]
            for template, example in EXAMPLES.items():
                url = url.replace(template, example)
            # Spring Boot Admin asks so which endpoints there are.
            async with http.options(url) as answer:
                assert answer.status == 200, name
                allowed = set(answer.headers["allow"].split(","))
            methods = {"POST"} if name == "refresh" else {"GET", "HEAD"}
            assert methods <= allowed
            for method in methods:
                async with http.request(method, url, headers={"accept": ADMIN_ACCEPTS}) as answer:
                    assert answer.status == 200, (name, await answer.text())
                    body = await answer.read()
                    assert bool(body) is (method != "HEAD")
                    if name != "prometheus" and body:
                        assert answer.headers["content-type"] == SPRING_TYPE
                        json.loads(body)
        async with http.get(f"{program.url}/actuator/nothing") as answer:
            assert answer.status == 404
            assert json.loads(await answer.read())["path"] == "/actuator/nothing"


async def test_prometheus_gets_the_format_it_asks_for(
    cluster: ClusterUnderTest, http: aiohttp.ClientSession
) -> None:
    for program, metric in ((cluster.nodes[0], "websocket_"), (cluster.gateway, "gateway_")):
        for accept, kind in (
            ("*/*", "text/plain; version=0.0.4"),
            (PROMETHEUS_ACCEPTS, "application/openmetrics-text; version=1.0.0"),
        ):
            url = f"{program.url}/actuator/prometheus"
            async with http.get(url, headers={"accept": accept}) as answer:
                assert answer.headers["content-type"].startswith(kind)
                assert f"# TYPE {metric}" in await answer.text()


async def test_refresh_takes_an_edit_over_and_env_shows_where_it_stands(
    cluster: ClusterUnderTest,
) -> None:
    node = cluster.nodes[0]
    document = merged(NODE_DOCUMENT, {"websocket": {"push": {"mode": "routed"}}})
    cluster.publish("websocket-service.yml", document)
    told: list[str] = []

    async def refreshed() -> Any:
        # Nacos itself may give the old text for a moment; the listener may be faster.
        status, changed = await node.post("/actuator/refresh", b"")
        assert status == 200
        told.extend(changed)
        _, body = await node.get("/actuator/env/websocket.push.mode")
        return body["property"]["value"] == "routed" and body

    body = await eventually(refreshed)
    assert told in ([], ["websocket.push.mode"])
    assert body["property"]["source"] == "Nacos: websocket-service.yml"
    holders = {one["name"]: one.get("property", {}) for one in body["propertySources"]}
    assert holders["Nacos: websocket-service.yml"]["origin"].startswith(
        "Nacos: websocket-service.yml:"
    )


async def test_log_levels_and_log_lines_change_while_the_node_runs(
    cluster: ClusterUnderTest,
) -> None:
    node = cluster.nodes[0]
    status, _ = await node.post("/actuator/loggers/service", {"configuredLevel": "LOUD"})
    assert status == 400
    async with aiohttp.ClientSession() as session:
        for level in ("TRACE", None):
            body = {"configuredLevel": level}
            async with session.post(f"{node.url}/actuator/loggers/service", json=body) as answer:
                assert answer.status == 204
                assert "content-type" not in answer.headers
            _, logger = await node.get("/actuator/loggers/service")
            assert logger.get("configuredLevel") == level
    await cluster.edit_nodes({"logging": {"structured": {"format": {"console": "ecs"}}}})
    begin = len(node.child.output())
    await node.post("/actuator/loggers/service", {})

    def lines() -> list[str]:
        written = node.child.output()[begin:].splitlines()
        return [line for line in written if "given back" in line]

    [line] = await eventually(lines)
    fields = json.loads(line)
    assert fields["service"]["name"] == "websocket-service"
    assert fields["log"] == {"level": "INFO", "logger": "nacos_boot.actuator.loggers"}
    assert "the level of the logger service" in fields["message"]


async def test_no_secret_in_any_answer_or_line_of_the_log(
    cluster: ClusterUnderTest, http: aiohttp.ClientSession
) -> None:
    rabbitmq = cluster.servers.rabbitmq
    for command in (
        ("add_user", "actuator", SECRET),
        ("set_permissions", "actuator", ".*", ".*", ".*"),
    ):
        await asyncio.to_thread(rabbitmq.control, *command)
    node = await cluster.add_node(
        SPRING_RABBITMQ_USERNAME="actuator",
        SPRING_RABBITMQ_PASSWORD=SECRET,
        BROKER_URL=f"amqp://actuator:{SECRET}@127.0.0.1/",
        LOGGING_STRUCTURED_FORMAT_CONSOLE="ecs",
        LOGGING_LEVEL_ROOT="DEBUG",
    )
    with contextlib.suppress(WebSocketException):
        await (await node.connect(f"alice?access_token={TOKEN}")).close()
    headers = {"authorization": f"Bearer {TOKEN}", "x-api-key": SECRET}
    async with http.get(f"{node.url}/api/users/alice?access_token={TOKEN}", headers=headers):
        pass

    told = []
    for name, link in (await links(http, node)).items():
        url = link["href"].replace("{toMatch}", "spring.rabbitmq.password")
        url = url.replace("{prefix}", "spring.rabbitmq").replace("{name}", "ROOT")
        method = "POST" if name == "refresh" else "GET"
        async with http.request(method, url.replace("{*path}", "rabbit")) as answer:
            assert answer.status == 200, name
            told.append(await answer.text())
    body = "\n".join(told)
    # The places where it would stand are there.
    assert '"property":{"source":"systemEnvironment","value":"******"}' in body
    assert '"SPRING_RABBITMQ_USERNAME":{"value":"actuator"' in body
    log = node.child.output()
    lines = [json.loads(line) for line in log.splitlines()]
    assert len(lines) > 10
    assert {"DEBUG", "INFO"} <= {line["log"]["level"] for line in lines}
    for text in (body, log):
        assert SECRET not in text
        assert "hunter2" not in text
        assert TOKEN.split(".")[1] not in text

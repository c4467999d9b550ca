import json
from typing import Any

import pytest
from prometheus_client import Counter
from quart import Quart
from quart.typing import TestClientProtocol as Client

from nacos_boot.actuator import actuator
from nacos_boot.health import Health, HealthRegistry, Status

SPRING_TYPE = "application/vnd.spring-boot.actuator.v3+json"


@pytest.fixture
def health() -> HealthRegistry:
    registry = HealthRegistry()
    registry.accepting = True
    return registry


@pytest.fixture
def client(health: HealthRegistry) -> Client:
    app = Quart(__name__)
    endpoints = {"nacosconfig": lambda: {"md5": "abc"}}
    app.register_blueprint(actuator(health, lambda: {"app": {"name": "demo"}}, endpoints))
    return app.test_client()


async def get(client: Client, path: str) -> tuple[int, str, Any]:
    response = await client.get(path, headers={"host": "node:8081"})
    return response.status_code, response.content_type, json.loads(await response.get_data())


@pytest.mark.parametrize("path", ["/actuator", "/actuator/"])
async def test_the_index_links_to_the_endpoints(client: Client, path: str) -> None:
    status, content_type, body = await get(client, path)
    assert (status, content_type) == (200, SPRING_TYPE)
    links = body["_links"]
    assert links["self"] == {"href": "http://node:8081/actuator", "templated": False}
    assert links["health"]["href"] == "http://node:8081/actuator/health"
    assert links["health-path"]["templated"] is True
    assert {"info", "prometheus", "nacosconfig"} < links.keys()


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (Status.UP, 200),
        (Status.UNKNOWN, 200),
        (Status.DOWN, 503),
        (Status.OUT_OF_SERVICE, 503),
    ],
)
async def test_health_and_its_status_code(
    client: Client, health: HealthRegistry, status: Status, code: int
) -> None:
    health.add("redis", lambda: Health(status, {"address": "r:6379"}), readiness=True)
    for path in ("/actuator/health", "/actuator/health/readiness"):
        answered, content_type, body = await get(client, path)
        assert (answered, content_type) == (code, SPRING_TYPE)
        assert body["components"]["redis"] == {
            "status": status.value,
            "details": {"address": "r:6379"},
        }
    answered, content_type, body = await get(client, "/actuator/health/redis")
    assert (answered, content_type) == (code, SPRING_TYPE)
    assert body == {"status": status.value, "details": {"address": "r:6379"}}


async def test_liveness_ignores_everything(client: Client, health: HealthRegistry) -> None:
    health.accepting = False
    health.add("redis", lambda: Health(Status.DOWN), readiness=True)
    assert await get(client, "/actuator/health/liveness") == (200, SPRING_TYPE, {"status": "UP"})


async def test_info_and_further_endpoints(client: Client) -> None:
    assert await get(client, "/actuator/info") == (200, SPRING_TYPE, {"app": {"name": "demo"}})
    assert await get(client, "/actuator/nacosconfig") == (200, SPRING_TYPE, {"md5": "abc"})


@pytest.mark.parametrize("path", ["/actuator/other", "/actuator/health/other"])
async def test_what_is_not_there(client: Client, path: str) -> None:
    status, content_type, body = await get(client, path)
    assert (status, content_type) == (404, SPRING_TYPE)
    assert body["status"] == 404


async def test_metrics_for_prometheus(client: Client) -> None:
    Counter("test_actuator_seen", "Only for this test.").inc()
    response = await client.get("/actuator/prometheus")
    assert response.status_code == 200
    assert response.content_type.startswith("text/plain; version=0.0.4")
    assert b"test_actuator_seen_total 1.0" in await response.get_data()

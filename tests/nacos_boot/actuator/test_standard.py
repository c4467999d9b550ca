import json
import platform
from typing import Any

import pytest
from prometheus_client import Counter
from quart import Quart
from quart.typing import TestClientProtocol as Client

from nacos_boot.actuator.health import Health, HealthRegistry, Status
from nacos_boot.actuator.routes import actuator
from nacos_boot.actuator.standard import (
    health_endpoint,
    info_endpoint,
    prometheus_endpoint,
    refresh_endpoint,
)

Counter("test_endpoints_seen", "Only for this test.").inc()
OPENMETRICS = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"


@pytest.fixture
def health() -> HealthRegistry:
    registry = HealthRegistry()
    registry.accepting = True
    return registry


@pytest.fixture
def client(health: HealthRegistry) -> Client:
    changes = [["a.b", "c"], [], None]

    async def refresh() -> list[str] | None:
        return changes.pop(0)

    app = Quart(__name__)
    app.register_blueprint(
        actuator(
            [
                health_endpoint(health),
                info_endpoint("shop", "1.2.3"),
                prometheus_endpoint(),
                refresh_endpoint(refresh),
            ]
        )
    )
    return app.test_client()


async def get(client: Client, path: str) -> tuple[int, Any]:
    response = await client.get(path)
    return response.status_code, json.loads(await response.get_data())


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
    redis = {"status": status.value, "details": {"address": "r:6379"}}
    for path in ("/actuator/health", "/actuator/health/readiness"):
        answered, body = await get(client, path)
        assert (answered, body["components"]["redis"]) == (code, redis)
    for path in ("/actuator/health/redis", "/actuator/health/readiness/redis"):
        assert await get(client, path) == (code, redis)


async def test_health_as_spring_boot_2_wrote_it(client: Client, health: HealthRegistry) -> None:
    # Spring Boot Admin's pages ask so.
    kinds = ["vnd.spring-boot.actuator.v2+json", "vnd.spring-boot.actuator.v1+json", "json"]
    accept = ",".join(f"application/{kind}" for kind in kinds)
    health.add("redis", lambda: Health(Status.UP, {"address": "r:6379"}), readiness=True)
    redis = {"status": "UP", "details": {"address": "r:6379"}}
    for path in ("/actuator/health", "/actuator/health/readiness"):
        response = await client.get(path, headers={"accept": accept})
        assert response.content_type == f"application/{kinds[0]}"
        body = json.loads(await response.get_data())
        assert body["details"]["redis"] == redis
        assert "components" not in body
    response = await client.get("/actuator/health/redis", headers={"accept": accept})
    assert json.loads(await response.get_data()) == redis


async def test_liveness_ignores_everything(client: Client, health: HealthRegistry) -> None:
    health.accepting = False
    health.add("redis", lambda: Health(Status.DOWN), readiness=True)
    status, body = await get(client, "/actuator/health/liveness")
    assert (status, body["status"]) == (200, "UP")


async def test_a_component_that_is_not_there_names_those_that_are(client: Client) -> None:
    for path in ("other", "readiness/other", "readiness/readinessState/x"):
        status, body = await get(client, f"/actuator/health/{path}")
        assert status == 404
        assert "liveness, livenessState, readiness, readinessState" in body["message"]


async def test_info(client: Client) -> None:
    status, body = await get(client, "/actuator/info")
    assert status == 200
    assert body["app"] == {"name": "shop", "version": "1.2.3"}
    assert body["build"]["version"] == "1.2.3"
    assert body["python"]["version"] == platform.python_version()
    assert body["process"]["pid"] > 0


@pytest.mark.parametrize(
    ("accept", "content_type", "end"),
    [
        ("", "text/plain; version=0.0.4", ""),
        ("*/*", "text/plain; version=0.0.4", ""),
        (OPENMETRICS, "application/openmetrics-text; version=1.0.0", "# EOF\n"),
    ],
)
async def test_metrics_in_the_format_that_is_asked_for(
    client: Client, accept: str, content_type: str, end: str
) -> None:
    headers = {"accept": accept} if accept else {}
    response = await client.get("/actuator/prometheus", headers=headers)
    assert response.status_code == 200
    assert response.content_type.startswith(content_type)
    text = (await response.get_data()).decode()
    assert "test_endpoints_seen_total 1.0" in text
    assert text.endswith(end)


async def test_only_the_metrics_that_are_named(client: Client) -> None:
    path = "/actuator/prometheus?includedNames=test_endpoints_seen_total,other"
    text = (await (await client.get(path)).get_data()).decode()
    assert "test_endpoints_seen_total 1.0" in text
    assert "python_info" not in text


async def test_refresh_lists_the_keys_that_changed(client: Client) -> None:
    for expected in (["a.b", "c"], [], []):
        response = await client.post("/actuator/refresh")
        assert response.status_code == 200
        assert json.loads(await response.get_data()) == expected
    assert (await client.get("/actuator/refresh")).status_code == 405

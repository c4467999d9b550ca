from functools import partial
from typing import Any

import pytest

from nacos_boot.actuator.health import Health, HealthRegistry, Status

UP = {"status": "UP"}


def registry(*, accepting: bool = True, **indicators: Any) -> HealthRegistry:
    """`name=(status, counts for readiness)`."""
    health = HealthRegistry()
    health.accepting = accepting
    for name, (status, readiness) in indicators.items():
        health.add(name, partial(Health, status), readiness=readiness)
    return health


def asked(health: HealthRegistry, *path: str) -> tuple[Status, dict[str, Any]]:
    found = health.at(path)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("health", "everything", "readiness"),
    [
        (registry(), Status.UP, Status.UP),
        (registry(accepting=False), Status.OUT_OF_SERVICE, Status.OUT_OF_SERVICE),
        (registry(redis=(Status.UP, True)), Status.UP, Status.UP),
        (registry(redis=(Status.DOWN, True)), Status.DOWN, Status.DOWN),
        (registry(nacos=(Status.DOWN, False)), Status.DOWN, Status.UP),
        (registry(nacos=(Status.UNKNOWN, True)), Status.UP, Status.UP),
        (registry(a=(Status.OUT_OF_SERVICE, True)), Status.OUT_OF_SERVICE, Status.OUT_OF_SERVICE),
        (
            registry(a=(Status.OUT_OF_SERVICE, True), b=(Status.DOWN, True), c=(Status.UP, True)),
            Status.DOWN,
            Status.DOWN,
        ),
        (registry(accepting=False, redis=(Status.DOWN, True)), Status.DOWN, Status.DOWN),
    ],
)
def test_the_worst_counts_and_liveness_ignores_everything(
    health: HealthRegistry, everything: Status, readiness: Status
) -> None:
    assert health.everything()[0] is everything
    assert asked(health, "readiness")[0] is readiness
    assert health.at(["liveness"]) == (
        Status.UP,
        {"status": "UP", "components": {"livenessState": UP}},
    )


def test_the_shape() -> None:
    health = registry(redis=(Status.UP, True))
    health.add("nacos", lambda: Health(Status.UNKNOWN, {"error": "gone"}), readiness=False)
    assert health.everything()[1] == {
        "status": "UP",
        "components": {
            "livenessState": UP,
            "nacos": {"status": "UNKNOWN", "details": {"error": "gone"}},
            "readinessState": UP,
            "redis": UP,
        },
        "groups": ["liveness", "readiness"],
    }
    assert health.at(["readiness"]) == (
        Status.UP,
        {"status": "UP", "components": {"readinessState": UP, "redis": UP}},
    )


def test_one_component_by_itself_and_within_its_group() -> None:
    health = registry(accepting=False, redis=(Status.DOWN, True), disk=(Status.UP, False))
    assert health.at(["redis"]) == (Status.DOWN, {"status": "DOWN"})
    assert health.at(["readiness", "redis"]) == (Status.DOWN, {"status": "DOWN"})
    assert health.at(["readinessState"]) == (Status.OUT_OF_SERVICE, {"status": "OUT_OF_SERVICE"})
    assert health.at(["liveness", "livenessState"]) == (Status.UP, UP)
    for path in (["other"], ["readiness", "disk"], ["liveness", "redis"], ["redis", "x"], [""]):
        assert health.at(path) is None


def test_an_indicator_that_raises_is_down_and_the_others_are_shown(
    caplog: pytest.LogCaptureFixture,
) -> None:
    health = registry(redis=(Status.UP, True))

    def broken() -> Health:
        raise RuntimeError("broken indicator")

    health.add("broken", broken, readiness=False)
    status, body = health.everything()
    assert status is Status.DOWN
    assert body["components"]["redis"] == UP
    assert body["components"]["broken"]["status"] == "DOWN"
    assert asked(health, "readiness")[0] is Status.UP
    assert "broken indicator" in caplog.text


def test_details_hold_no_secret() -> None:
    health = registry()
    error = "amqp://guest:hunter2@rabbit:5672/ refused"
    said = {"error": error, "port": 1, "nodes": [{"error": error}]}
    health.add("rabbit", lambda: Health(Status.DOWN, said), readiness=True)
    _, body = health.everything()
    details = body["components"]["rabbit"]["details"]
    veiled = "amqp://guest:******@rabbit:5672/ refused"
    assert details == {"error": veiled, "port": 1, "nodes": [{"error": veiled}]}

from functools import partial
from typing import Any

import pytest

from nacos_boot.health import Health, HealthRegistry, Status


def registry(*, accepting: bool = True, **indicators: Any) -> HealthRegistry:
    """`name=(status, counts for readiness)`."""
    health = HealthRegistry()
    health.accepting = accepting
    for name, (status, readiness) in indicators.items():
        health.add(name, partial(Health, status), readiness=readiness)
    return health


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
    assert health.readiness()[0] is readiness
    assert health.liveness() == (Status.UP, {"status": "UP"})


def test_the_shape() -> None:
    health = registry(redis=(Status.UP, True))
    health.add("nacos", lambda: Health(Status.UNKNOWN, {"error": "gone"}), readiness=False)
    assert health.everything()[1] == {
        "status": "UP",
        "components": {
            "readinessState": {"status": "UP"},
            "nacos": {"status": "UNKNOWN", "details": {"error": "gone"}},
            "redis": {"status": "UP"},
        },
        "groups": ["liveness", "readiness"],
    }
    assert health.readiness()[1] == {
        "status": "UP",
        "components": {"readinessState": {"status": "UP"}, "redis": {"status": "UP"}},
    }
    assert health.component("nacos") == (
        Status.UNKNOWN,
        {"status": "UNKNOWN", "details": {"error": "gone"}},
    )
    assert health.component("other") is None


def test_an_indicator_that_raises_is_down_and_the_others_are_shown(
    caplog: pytest.LogCaptureFixture,
) -> None:
    health = registry(redis=(Status.UP, True))

    def broken() -> Health:
        raise RuntimeError("broken indicator")

    health.add("broken", broken, readiness=False)
    status, body = health.everything()
    assert status is Status.DOWN
    assert body["components"]["redis"] == {"status": "UP"}
    assert body["components"]["broken"]["status"] == "DOWN"
    assert health.readiness()[0] is Status.UP
    assert "broken indicator" in caplog.text

"""Health as Spring Boot's actuator reports it: named indicators, and groups of them.

Source: Spring Boot reference, "Actuator: Health Information" and "Kubernetes Probes".
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

log = logging.getLogger(__name__)


class Status(StrEnum):
    """Spring Boot's status codes, from the worst to the best."""

    DOWN = "DOWN"
    OUT_OF_SERVICE = "OUT_OF_SERVICE"
    UP = "UP"
    UNKNOWN = "UNKNOWN"


_SEVERITY = list(Status)


@dataclass(frozen=True, slots=True)
class Health:
    """What one indicator says; `details` is for people and must hold no secret."""

    status: Status
    details: Mapping[str, Any] = field(default_factory=dict)


class HealthRegistry:
    """The indicators of one program.

    Liveness looks at none of the servers that the program depends on, so that their outage never
    has a supervisor kill a program that could not help it; readiness looks at those that it needs.
    """

    def __init__(self) -> None:
        self._indicators: dict[str, Callable[[], Health]] = {}
        self._readiness: set[str] = set()
        self.accepting = False

    def add(self, name: str, indicator: Callable[[], Health], *, readiness: bool) -> None:
        """Add an indicator; it must answer at once, from what is known."""
        self._indicators[name] = indicator
        if readiness:
            self._readiness.add(name)

    def liveness(self) -> tuple[Status, dict[str, Any]]:
        """Answer for `/actuator/health/liveness`: the program runs, since it answers."""
        return Status.UP, {"status": Status.UP}

    def readiness(self) -> tuple[Status, dict[str, Any]]:
        """Answer for `/actuator/health/readiness`."""
        return self._report(self._readiness)

    def everything(self) -> tuple[Status, dict[str, Any]]:
        """Answer for `/actuator/health`."""
        status, body = self._report(set(self._indicators))
        return status, {**body, "groups": ["liveness", "readiness"]}

    def component(self, name: str) -> tuple[Status, dict[str, Any]] | None:
        """Answer for `/actuator/health/<name>`; None where there is no such indicator."""
        if name not in self._indicators:
            return None
        health = self._ask(name)
        return health.status, _body(health)

    def _report(self, names: set[str]) -> tuple[Status, dict[str, Any]]:
        state = Status.UP if self.accepting else Status.OUT_OF_SERVICE
        components: dict[str, Any] = {"readinessState": {"status": state}}
        worst = state
        for name in sorted(names):
            health = self._ask(name)
            components[name] = _body(health)
            worst = min(worst, health.status, key=_SEVERITY.index)
        return worst, {"status": worst, "components": components}

    def _ask(self, name: str) -> Health:
        try:
            return self._indicators[name]()
        except Exception as error:
            # As in Spring: an indicator that cannot tell is down, and the others are still shown.
            log.exception("the health indicator '%s' failed", name)
            return Health(Status.DOWN, {"error": repr(error)})


def _body(health: Health) -> dict[str, Any]:
    body: dict[str, Any] = {"status": health.status}
    if health.details:
        body["details"] = dict(health.details)
    return body

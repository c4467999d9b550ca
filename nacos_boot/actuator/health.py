"""Health as Spring Boot's actuator reports it: named indicators, and groups of them.

Source: Spring Boot reference, "Actuator: Health Information" and "Kubernetes Probes".
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from nacos_boot.actuator.shown import masked_whole

log = logging.getLogger(__name__)


class Status(StrEnum):
    """Spring Boot's status codes, from the worst to the best."""

    DOWN = "DOWN"
    OUT_OF_SERVICE = "OUT_OF_SERVICE"
    UP = "UP"
    UNKNOWN = "UNKNOWN"


_SEVERITY = list(Status)
# Spring's names for what the program says of itself.
_LIVENESS = "livenessState"
_READINESS = "readinessState"


@dataclass(frozen=True, slots=True)
class Health:
    """What one indicator says; `details` is for people."""

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

    @property
    def groups(self) -> dict[str, set[str]]:
        """The components of each group, by its name."""
        return {"liveness": {_LIVENESS}, "readiness": {_READINESS, *self._readiness}}

    @property
    def components(self) -> set[str]:
        """The names of all components."""
        return {_LIVENESS, _READINESS, *self._indicators}

    def everything(self) -> tuple[Status, dict[str, Any]]:
        """Answer for `/actuator/health`."""
        status, body = self._report(self.components)
        return status, {**body, "groups": sorted(self.groups)}

    def at(self, path: Sequence[str]) -> tuple[Status, dict[str, Any]] | None:
        """Answer for `/actuator/health/<path>`: a group, a component, or a group's component.

        None where there is no such thing.
        """
        *group, name = path
        if not group and name in self.groups:
            return self._report(self.groups[name])
        members = self.groups.get("/".join(group), set()) if group else self.components
        if name not in members:
            return None
        health = self._ask(name)
        return health.status, _body(health)

    def _report(self, names: set[str]) -> tuple[Status, dict[str, Any]]:
        asked = {name: self._ask(name) for name in sorted(names)}
        worst = min((health.status for health in asked.values()), key=_SEVERITY.index)
        components = {name: _body(health) for name, health in asked.items()}
        return worst, {"status": worst, "components": components}

    def _ask(self, name: str) -> Health:
        if name == _LIVENESS:
            return Health(Status.UP)
        if name == _READINESS:
            return Health(Status.UP if self.accepting else Status.OUT_OF_SERVICE)
        try:
            return self._indicators[name]()
        except Exception as error:
            # As in Spring: an indicator that cannot tell is down, and the others are still shown.
            log.exception("the health indicator '%s' failed", name)
            return Health(Status.DOWN, {"error": repr(error)})


def _body(health: Health) -> dict[str, Any]:
    body: dict[str, Any] = {"status": health.status}
    if health.details:
        body["details"] = masked_whole(health.details)
    return body

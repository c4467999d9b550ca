"""The endpoints health, info, prometheus and refresh.

Source: Spring Boot 3.5, "Actuator REST API"; Spring Cloud Commons, "Endpoints" (refresh).
"""

import os
import platform
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from prometheus_client import REGISTRY
from prometheus_client.exposition import choose_encoder

from nacos_boot.actuator.endpoint import Answer, Call, Endpoint, NotFoundError, Operation
from nacos_boot.actuator.health import HealthRegistry, Status
from nacos_boot.actuator.shown import masked_whole

_HTTP_STATUS = {Status.DOWN: 503, Status.OUT_OF_SERVICE: 503}


def health_endpoint(health: HealthRegistry) -> Endpoint:
    """`/actuator/health`, its groups and its components.

    As with Spring's `show-details: when-authorized`, others get the status alone.
    """

    def everything(call: Call) -> Answer:
        return answer(call, *health.everything())

    def below(call: Call) -> Answer:
        found = health.at(call.rest.split("/"))
        if found is None:
            known = ", ".join(sorted({*health.groups, *health.components}))
            raise NotFoundError(f"expected one of {known}")
        return answer(call, *found)

    def answer(call: Call, status: Status, body: dict[str, Any]) -> Answer:
        if not call.authorized:
            body = {"status": status}
        return Answer(body, _HTTP_STATUS.get(status, 200), v2=_health_v2(body))

    return Endpoint(
        "health",
        [
            Operation("GET", everything),
            Operation("GET", below, below="path", any_depth=True),
        ],
    )


def _health_v2(body: Mapping[str, Any]) -> dict[str, Any]:
    # Spring Boot 2.0 had the components as details.
    return {"details" if name == "components" else name: value for name, value in body.items()}


def info_endpoint(application: str, version: str) -> Endpoint:
    """`/actuator/info`: the program, its version, and what runs it.

    `app` and `build` are what Spring Boot Admin reads the version from; `python` stands where a
    Java program has `java`.
    """
    system = platform.uname()
    known = {
        "app": {"name": application, "version": version},
        "build": {"artifact": application, "name": application, "version": version},
        "python": {
            "version": platform.python_version(),
            "implementation": platform.python_implementation(),
        },
        "os": {"name": system.system, "version": system.release, "arch": system.machine},
    }

    def read(_: Call) -> Answer:
        process = {"pid": os.getpid(), "parentPid": os.getppid(), "cpus": os.cpu_count()}
        return Answer({**known, "process": process})

    return Endpoint("info", [Operation("GET", read)])


def prometheus_endpoint() -> Endpoint:
    """`/actuator/prometheus`: all metrics, or those of `?includedNames=`.

    In OpenMetrics or in the older text format, as the caller's `Accept` asks.
    """

    def read(call: Call) -> Answer:
        asked = [name for value in call.query.get("includedNames", ()) for name in value.split(",")]
        registry = REGISTRY.restricted_registry(asked) if asked else REGISTRY
        encode, content_type = choose_encoder(call.accept)
        return Answer(encode(registry), content_type=content_type)

    return Endpoint("prometheus", [Operation("GET", read)])


def refresh_endpoint(refresh: Callable[[], Awaitable[Sequence[str] | None]]) -> Endpoint:
    """`POST /actuator/refresh`: read the configuration now, and list the keys that changed."""

    async def run(_: Call) -> Answer:
        return Answer(list(await refresh() or ()))

    return Endpoint("refresh", [Operation("POST", run)])


def pages(contents: Mapping[str, Callable[[], Mapping[str, Any]]]) -> list[Endpoint]:
    """Build endpoints that only show something, by their names; each text in it is masked."""
    return [_page(name, read) for name, read in contents.items()]


def _page(name: str, read: Callable[[], Mapping[str, Any]]) -> Endpoint:
    return Endpoint(name, [Operation("GET", lambda _: Answer(masked_whole(read())))])

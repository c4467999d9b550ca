"""How fast each caller of the API may push."""

import math
import time
from collections.abc import Callable

from quart import Response, g, request

from nacos_boot.config.live import LiveSettings
from nacos_boot.http.problem import problem
from service import metrics
from service.api.caller import caller_of
from service.clients.settings import LimitsSection
from service.pace import Buckets, Pace
from service.settings import NodeSettings

LIMIT = "pushes-per-second"


class PushPace:
    """Judges requests to push. A caller is an API key, or without keys an address."""

    def __init__(
        self, live: LiveSettings[NodeSettings], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._buckets = Buckets()
        self._use(live.current.websocket.limits)
        live.subscribe(lambda _, new: self._use(new.websocket.limits))

    def refusal(self) -> Response | None:
        """Answer 429 where the caller must wait; one served counts as a push.

        A batch is charged with the rest of its pushes by `charge`: it goes as a whole, and the
        caller waits the longer for the next.
        """
        if self._buckets.pace is None:
            return None
        caller, now = _caller(), self._clock()
        wait = self._buckets.wait(caller, now)
        if not wait:
            self._buckets.take(caller, now)
            return None
        metrics.LIMITED.labels(LIMIT).inc()
        return problem(
            429,
            "Too Many Requests",
            f"More pushes than this caller may send (websocket.limits.{LIMIT}).",
            headers={"Retry-After": str(math.ceil(wait))},
        )

    def charge(self, pushes: int) -> None:
        """Count the pushes of a batch but one."""
        if self._buckets.pace is not None and pushes > 1:
            self._buckets.take(_caller(), self._clock(), pushes - 1)

    def _use(self, limits: LimitsSection) -> None:
        self._buckets.change(Pace.of(limits.pushes_per_second, limits.push_burst))


def _caller() -> str:
    name = caller_of()
    # No address has a blank in it.
    return f"key {name}" if name else g.get("caller_address") or request.remote_addr or ""

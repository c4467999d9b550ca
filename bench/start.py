"""How long a node takes from its start until it is listed in Nacos."""

import argparse
from dataclasses import dataclass
from statistics import median

from bench.bench import Bench, Outcome
from bench.figures import significant
from bench.lab import Lab
from bench.node import READY_LIMIT
from bench.row import Goal, Row
from devtools.probes import http
from tests.nacos_admin import NacosAdmin

SERVICE = "websocket-service"
GOAL = 2.0

_STARTS = 5
_QUICK_STARTS = 2
_LOOK = 0.015


@dataclass(frozen=True)
class _Started:
    """Seconds from spawning the process, and the CPU time that it used until then."""

    registered: float
    listed: float
    cpu: float


class Start(Bench):
    """The benchmark, as `./dev bench` runs it."""

    name = "start"
    meaning = "a node from its start until it is registered in Nacos"

    def run(self, lab: Lab, options: argparse.Namespace) -> Outcome:  # noqa: ARG002 - a Bench's
        """Start nodes one after the other. Raises StartError, PortError."""
        nacos = lab.nacos
        # Its first call logs in, which takes a while.
        nacos.instances(SERVICE)
        starts = [_start(lab, nacos) for _ in range(_QUICK_STARTS if lab.quick else _STARTS)]
        registered = [start.registered for start in starts]
        listed = [start.listed for start in starts]
        cpu = [start.cpu for start in starts]
        rows = [
            Row(
                "start of a node until it is registered",
                "s",
                median(registered),
                goal=Goal(GOAL, "at most", "figure"),
            ),
            Row("start of a node until Nacos lists it", "s", median(listed)),
            Row("CPU time of a node's start", "s", median(cpu)),
        ]
        details = {
            "registered": [significant(seconds) for seconds in registered],
            "listed": [significant(seconds) for seconds in listed],
            "cpu": [significant(seconds) for seconds in cpu],
        }
        return Outcome(rows, details)


def _start(lab: Lab, nacos: NacosAdmin) -> _Started:
    node = lab.spawn_node()

    def registered() -> bool:
        match http(f"http://{node.address}/actuator/nacosdiscovery").json():
            case {"registration": {"registered": True}}:
                return True
        return False

    def listed() -> bool:
        return any(instance["port"] == node.port for instance in nacos.instances(SERVICE))

    until_registered = node.child.wait_ready(registered, READY_LIMIT, interval=_LOOK)
    cpu = node.cpu_seconds()
    until_listed = node.child.wait_ready(listed, READY_LIMIT, interval=_LOOK)
    node.child.stop()
    return _Started(until_registered, until_listed, cpu)

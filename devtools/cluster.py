"""Three nodes and the gateway as processes beside the servers."""

import sys
from collections.abc import Mapping
from pathlib import Path

from devtools.paths import ROOT
from devtools.ports import LOOPBACK, Ports
from devtools.probes import http
from devtools.processes import Child
from devtools.programs import program_environment, spawn_program
from devtools.waiting import Progress, every, silent

PUBLISH_LIMIT = 90.0
READY_LIMIT = 90.0
# Longer than a node's own drain.
STOP_LIMIT = 40.0

CONFIG_FOLDER = "nacos-config"


class Cluster:
    """The programs of one cluster; `servers_env` says where they find the servers."""

    def __init__(self, state_dir: Path, ports: Ports, servers_env: Mapping[str, str]) -> None:
        self._state_dir = state_dir
        self._ports = ports
        self._env = program_environment(servers_env)
        self.nodes = [self._child(f"node-{number}") for number, _ in enumerate(ports.nodes, 1)]
        self.gateway = self._child("gateway")

    @property
    def children(self) -> list[Child]:
        """The nodes and the gateway."""
        return [*self.nodes, self.gateway]

    def start(self, progress: Progress = silent) -> None:
        """Publish the configs, start everything, and return when the gateway sees all nodes.

        Raises StartError with the log of the program that failed.
        """
        self._publish(progress)
        for child, port in zip(self.nodes, self._ports.nodes, strict=True):
            spawn_program(child, "service", port, self._env)
        spawn_program(self.gateway, "gateway_lb", self._ports.gateway, self._env)
        for child, port in zip(
            self.children, [*self._ports.nodes, self._ports.gateway], strict=True
        ):
            took = self._wait(child, port, progress)
            progress(f"{child.name} is ready on {LOOPBACK}:{port} ({took:.1f} s)")
        self._wait_until_listed(progress)

    def _child(self, name: str) -> Child:
        return Child(name, self._state_dir, stop_limit=STOP_LIMIT)

    def _publish(self, progress: Progress) -> None:
        publishing = self._child("publish")
        argv = [sys.executable, "-m", "nacos_boot", "publish", CONFIG_FOLDER]
        publishing.spawn(argv, env=self._env, cwd=ROOT)
        publishing.wait_end(PUBLISH_LIMIT)
        progress(f"{CONFIG_FOLDER}/ is in Nacos")

    def _wait(self, child: Child, port: int, progress: Progress) -> float:
        url = f"http://{LOOPBACK}:{port}/actuator/health/readiness"
        still = every(10, lambda waited: progress(f"  {child.name} is starting, {waited:.0f} s"))
        return child.wait_ready(lambda: http(url).ok, READY_LIMIT, each=still)

    def _wait_until_listed(self, progress: Progress) -> None:
        url = f"http://{LOOPBACK}:{self._ports.gateway}/api/nodes"
        wanted = len(self.nodes)
        self.gateway.wait_ready(lambda: nodes_listed(http(url).json()) >= wanted, READY_LIMIT)
        progress(f"the gateway lists {wanted} nodes")


def nodes_listed(answer: object) -> int:
    """Count the healthy nodes in an answer of `/api/nodes`."""
    nodes = answer.get("nodes") if isinstance(answer, dict) else None
    if not isinstance(nodes, list):
        return 0
    return sum(1 for node in nodes if isinstance(node, dict) and node.get("healthy") is True)

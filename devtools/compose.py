"""The same cluster by Docker Compose, where an engine works."""

import os
import shutil
import subprocess
from dataclasses import dataclass

from devtools.cluster import nodes_listed
from devtools.paths import ROOT, USUAL
from devtools.ports import LOOPBACK, NODE_COUNT, Ports
from devtools.probes import http
from devtools.waiting import Progress, StartError, every, wait_for

READY_LIMIT = 300.0
_ENGINE_LIMIT = 15.0
# Published for `--scale node=N`: the range starts at the first node's port.
_NODE_PORTS = 9


@dataclass(frozen=True)
class Compose:
    """A compose command that works against a running engine, and the ports to publish."""

    command: tuple[str, ...]
    ports: Ports

    def up(self, progress: Progress) -> None:
        """Build and start; return when the gateway lists the nodes. Raises StartError."""
        progress("docker compose: building and starting")
        if self._run("up", "-d", "--build") != 0:
            raise StartError("docker compose up failed; its output is above")
        still = every(10, lambda waited: progress(f"  containers are starting, {waited:.0f} s"))
        if not wait_for(self.serving, READY_LIMIT, interval=0.5, each=still):
            self._run("ps")
            self._run("logs", "--tail", "25")
            raise StartError(
                f"the gateway on port {self.ports.gateway} did not list {NODE_COUNT} nodes "
                f"within {READY_LIMIT:.0f} s; the containers' logs are above"
            )

    def follow(self) -> None:
        """Show the containers' logs until interrupted."""
        self._run("logs", "-f", "--tail", "0")

    def running(self) -> bool:
        """Whether this project has containers."""
        argv = [*self.command, "ps", "-q"]
        done = subprocess.run(
            argv, cwd=ROOT, env=self._env(), capture_output=True, text=True, check=False
        )
        return done.returncode == 0 and bool(done.stdout.strip())

    def down(self) -> None:
        """Stop and remove the containers; volumes stay."""
        self._run("down")

    def serving(self) -> bool:
        """Whether the gateway lists the nodes."""
        answer = http(f"http://{LOOPBACK}:{self.ports.gateway}/api/nodes")
        return nodes_listed(answer.json()) >= NODE_COUNT

    def _run(self, *arguments: str) -> int:
        argv = [*self.command, *arguments]
        return subprocess.run(argv, cwd=ROOT, env=self._env(), check=False).returncode

    def _env(self) -> dict[str, str]:
        return os.environ | compose_environment(self.ports)


def compose_environment(ports: Ports) -> dict[str, str]:
    """Give what docker-compose.yml may use as `${NAME:-default}` to publish shifted ports."""
    env = {
        "GATEWAY_PORT": str(ports.gateway),
        "NODE_PORTS": f"{ports.nodes[0]}-{ports.nodes[0] + _NODE_PORTS - 1}",
        "NACOS_PORT": str(ports.nacos),
        "NACOS_GRPC_PORT": str(ports.nacos_grpc),
        "NACOS_CONSOLE_PORT": str(ports.nacos_console),
        "REDIS_PORT": str(ports.redis),
        "RABBITMQ_PORT": str(ports.rabbitmq),
    }
    offset = ports.gateway - USUAL.gateway
    if offset:
        env["COMPOSE_PROJECT_NAME"] = f"websocket-cluster-{offset}"
    return env


def find_compose(ports: Ports) -> Compose | None:
    """Find a compose command whose engine answers; None when there is none."""
    docker = shutil.which("docker")
    if docker is None or not _succeeds(docker, "info", "--format", "{{.ServerVersion}}"):
        return None
    if _succeeds(docker, "compose", "version"):
        return Compose((docker, "compose"), ports)
    standalone = shutil.which("docker-compose")
    return None if standalone is None else Compose((standalone,), ports)


def _succeeds(*argv: str) -> bool:
    try:
        done = subprocess.run(argv, capture_output=True, check=False, timeout=_ENGINE_LIMIT)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0

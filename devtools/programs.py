"""How a node or a gateway is started as a process of this machine."""

import os
import sys
from collections.abc import Mapping

from devtools.paths import ROOT
from devtools.ports import LOOPBACK
from devtools.processes import Child


def program_environment(servers_env: Mapping[str, str]) -> dict[str, str]:
    """Give the environment of a program that listens and registers on loopback only.

    `servers_env` says where it finds the servers: see `Servers.env`.
    """
    return {
        **os.environ,
        **servers_env,
        "SERVER_ADDRESS": LOOPBACK,
        "SPRING_CLOUD_NACOS_DISCOVERY_IP": LOOPBACK,
        # Or a crash's last lines would be lost with the buffer.
        "PYTHONUNBUFFERED": "1",
    }


def spawn_program(child: Child, package: str, port: int, environment: Mapping[str, str]) -> None:
    """Start `service` or `gateway_lb` on a port, without waiting for it. Raises StartError."""
    child.spawn(
        [sys.executable, "-m", package],
        env={**environment, "SERVER_PORT": str(port)},
        cwd=ROOT,
    )

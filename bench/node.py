"""A node, or a gateway, as a process."""

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bench.cpu import cpu_seconds, pinned
from devtools.paths import ROOT
from devtools.ports import LOOPBACK
from devtools.probes import http
from devtools.processes import Child

READY_LIMIT = 60.0


@dataclass
class Node:
    """The process and its port."""

    child: Child
    port: int

    @property
    def address(self) -> str:
        """Host and port."""
        return f"{LOOPBACK}:{self.port}"

    def spawn(
        self, package: str, environment: Mapping[str, str], cores: Iterable[int] = ()
    ) -> None:
        """Start it, without waiting for it. Raises StartError."""
        argv = [sys.executable, "-m", package]
        self.child.spawn(
            pinned(argv, cores) if cores else argv,
            env={**environment, "SERVER_PORT": str(self.port)},
            cwd=ROOT,
        )

    def ready(self) -> bool:
        """Whether it serves."""
        return http(f"http://{self.address}/actuator/health/readiness").ok

    def wait_ready(self) -> None:
        """Wait until it serves. Raises StartError."""
        self.child.wait_ready(self.ready, READY_LIMIT, interval=0.05)

    def cpu_seconds(self) -> float:
        """Give the CPU time that it has used up to now."""
        return cpu_seconds([self.child.pid])

    def applied_at(self, data_id: str, md5: str) -> float | None:
        """Tell since when (Unix time) it has had this content in force; None if it has another."""
        answer = http(f"http://{self.address}/actuator/nacosconfig").json()
        if not isinstance(answer, dict):
            return None
        md5s = {document["dataId"]: document["md5"] for document in answer["documents"]}
        return float(answer["appliedAt"]) if md5s.get(data_id) == md5 else None

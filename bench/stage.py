"""What `reload` runs on: its own servers, nodes, and beside them a listener with the bare SDK."""

import json
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from devtools.paths import ROOT
from devtools.ports import LOOPBACK, Ports, free_port
from devtools.probes import http
from devtools.processes import Child
from devtools.programs import program_environment, spawn_program
from devtools.report import say
from devtools.servers import Servers
from devtools.waiting import StartError, wait_for
from tests.nacos_admin import NacosAdmin

READY_LIMIT = 60.0
STOP_LIMIT = 40.0


@dataclass
class Node:
    """A node as a process."""

    child: Child
    port: int

    def ready(self) -> bool:
        """Whether it serves."""
        return http(f"http://{LOOPBACK}:{self.port}/actuator/health/readiness").ok

    def applied_at(self, data_id: str, md5: str) -> float | None:
        """Tell since when (Unix time) it has had this content in force; None if it has another."""
        answer = http(f"http://{LOOPBACK}:{self.port}/actuator/nacosconfig").json()
        if not isinstance(answer, dict):
            return None
        md5s = {document["dataId"]: document["md5"] for document in answer["documents"]}
        return float(answer["appliedAt"]) if md5s.get(data_id) == md5 else None


@dataclass
class Listener:
    """The process of `bench.sdk_listener`, and what it has told so far."""

    child: Child
    _read: int = 0
    _heard: dict[tuple[str, str], float] = field(default_factory=dict)
    _settled: bool = False

    def settled(self) -> bool:
        """Whether the SDK has registered the listeners at the server."""
        self._look()
        return self._settled

    def heard_at(self, data_id: str, md5: str) -> float | None:
        """Tell when (Unix time) it was called with this content first; None if it was not."""
        self._look()
        return self._heard.get((data_id, md5))

    def _look(self) -> None:
        with self.child.log.open("rb") as log:
            log.seek(self._read)
            for line in log:
                if not line.endswith(b"\n"):
                    break
                self._read += len(line)
                # The SDK may print something of its own, too.
                if line.startswith(b"{"):
                    self._take(json.loads(line))

    def _take(self, told: dict[str, Any]) -> None:
        if told.get("settled"):
            self._settled = True
        else:
            self._heard.setdefault((told["dataId"], told["md5"]), told["at"])


class Stage:
    """Servers, nodes and the listener, on free ports of loopback."""

    def __init__(self, servers: Servers) -> None:
        self._servers = servers
        self._environment = program_environment(servers.env())
        self._spawned = 0
        self.nacos = NacosAdmin(servers.nacos.url)
        self.nodes: list[Node] = []
        self.listener: Listener

    def set_up(self, nodes: int, texts: dict[str, str]) -> None:
        """Publish the documents, start everything, and wait until the listener has settled."""
        for data_id, text in texts.items():
            self.nacos.publish(data_id, text)
        child = Child("sdk-listener", self._servers.state_dir)
        argv = [sys.executable, "-m", "bench.sdk_listener", *texts]
        child.spawn(argv, env=self._environment, cwd=ROOT)
        self.listener = Listener(child)
        self.nodes = [self.spawn_node() for _ in range(nodes)]
        for node in self.nodes:
            node.child.wait_ready(node.ready, READY_LIMIT)
        child.wait_ready(self.listener.settled, READY_LIMIT)

    def spawn_node(self) -> Node:
        """Start a node without waiting for it."""
        self._spawned += 1
        child = Child(f"node-{self._spawned}", self._servers.state_dir, stop_limit=STOP_LIMIT)
        snapshots = self._servers.state_dir / f"snapshots-{self._spawned}"
        environment = {
            **self._environment,
            "SPRING_CLOUD_NACOS_CONFIG_SNAPSHOTDIR": str(snapshots),
        }
        node = Node(child, free_port())
        spawn_program(child, "service", node.port, environment)
        return node

    def wait_for_all(self, nodes: list[Node], data_id: str, md5: str, limit: float) -> list[float]:
        """Wait until the listener and these nodes have a content; give the instants, in that order.

        Raises StartError when one of them does not get it.
        """
        found: list[float] = []
        for who, at in [
            ("the SDK listener", self.listener.heard_at),
            *((node.child.name, node.applied_at) for node in nodes),
        ]:
            instant: float | None = None

            def known(at: Any = at) -> bool:
                nonlocal instant
                instant = at(data_id, md5)
                return instant is not None

            if not wait_for(known, limit, interval=0.03) or instant is None:
                raise StartError(f"{who} did not get {data_id} within {limit:g} s")
            found.append(instant)
        return found


@contextmanager
def stage() -> Iterator[Stage]:
    """Start the servers; at the end everything is stopped and its folder removed."""
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as folder:
        began = time.monotonic()
        with Servers(Path(folder), Ports.free()) as servers:
            servers.start()
            say(f"Nacos, Redis and RabbitMQ are ready ({time.monotonic() - began:.0f} s)")
            yield Stage(servers)

"""The Lab: what all benchmarks of one run share. Servers start when first asked for."""

import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench.cpu import Cores
from bench.node import Node
from bench.runs import QUICK_RUNS, RUNS
from devtools.paths import ROOT
from devtools.ports import Ports, free_port
from devtools.processes import Child
from devtools.programs import program_environment
from devtools.report import say
from devtools.servers import Servers
from tests.nacos_admin import NacosAdmin

_DATA_IDS = ("common.yml", "websocket-service.yml", "websocket-gateway.yml")


class Lab:
    """Servers, cores and a folder; `quick` asks for figures that are rough but soon there."""

    def __init__(self, folder: Path, ending: ExitStack, *, quick: bool) -> None:
        self.folder = folder
        self.quick = quick
        self.cores = Cores.of_machine()
        self.runs = QUICK_RUNS if quick else RUNS
        self._ending = ending
        self._servers: Servers | None = None
        self._spawned = 0

    @property
    def servers(self) -> Servers:
        """Nacos, Redis and RabbitMQ, the documents of `nacos-config/` published, on free ports.

        Raises StartError, PortError.
        """
        if self._servers is None:
            began = time.monotonic()
            servers = self._ending.enter_context(Servers(self.folder / "servers", Ports.free()))
            servers.start()
            for data_id in _DATA_IDS:
                text = (ROOT / "nacos-config" / data_id).read_text(encoding="utf-8")
                self.nacos_of(servers).publish(data_id, text)
            self._servers = servers
            say(f"Nacos, Redis and RabbitMQ are ready ({time.monotonic() - began:.0f} s)")
        return self._servers

    @property
    def nacos(self) -> NacosAdmin:
        """The admin side of the Nacos server."""
        return self.nacos_of(self.servers)

    @staticmethod
    def nacos_of(servers: Servers) -> NacosAdmin:
        """Give the admin side of a Nacos server."""
        return NacosAdmin(servers.nacos.url)

    @property
    def environment(self) -> dict[str, str]:
        """How a program finds the servers."""
        return program_environment(self.servers.env())

    def child(self, name: str, *, stop_limit: float = 40.0) -> Child:
        """Give a process to be started, under a name of its own; it is stopped with the Lab."""
        self._spawned += 1
        return Child(f"{name}-{self._spawned}", self.folder / "servers", stop_limit=stop_limit)

    def spawn_node(
        self,
        *,
        cores: Iterable[int] = (),
        settings: Mapping[str, str] | None = None,
        package: str = "service",
    ) -> Node:
        """Start a node (or, as `gateway_lb`, a gateway) without waiting for it.

        `settings` are environment variables: `{"WEBSOCKET_PUSH_MODE": "routed"}`. Without `cores`
        it may run on all.
        """
        child = self.child("node" if package == "service" else "gateway")
        environment = {
            **self.environment,
            "SPRING_CLOUD_NACOS_CONFIG_SNAPSHOTDIR": str(self.folder / child.name),
            **(settings or {}),
        }
        node = Node(child, free_port())
        node.spawn(package, environment, cores)
        return node


@contextmanager
def lab(*, quick: bool = False) -> Iterator[Lab]:
    """Open a Lab; at its end everything is stopped and its folder removed."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as folder,
        ExitStack() as ending,
    ):
        yield Lab(Path(folder), ending, quick=quick)

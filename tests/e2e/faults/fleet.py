"""The cluster under faults: real servers, three nodes, two gateways, and cables in between."""

import asyncio
import hashlib
import os
import subprocess
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
import yaml

from devtools.paths import ROOT
from devtools.ports import LOOPBACK, Ports, free_port
from devtools.processes import Child
from devtools.programs import program_environment, spawn_program
from devtools.redis import RedisServer
from devtools.servers import Servers
from tests.cluster import merged
from tests.e2e.faults.network import Network
from tests.nacos_admin import NacosAdmin

NODES = ("node-1", "node-2", "node-3")
GATEWAYS = ("gateway-1", "gateway-2")

MODES = {"node-1": "fanout", "node-2": "routed", "node-3": "routed"}
"""How each node sends the pushes that it accepts: so every row has both modes at once."""

_READY_LIMIT = 90.0
_SMALL_DISK = "64k"


class Program:
    """A node or a gateway, which may be started again on the same port."""

    def __init__(self, name: str, state: Path) -> None:
        self.name = name
        self.package = "service" if name in NODES else "gateway_lb"
        self.child = Child(name, state, stop_limit=60)
        self.port = free_port()
        self.wanted = False
        """Whether it should be there: false once it has been told to go, or was killed."""

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"


class Fleet:
    """Use as an asynchronous context manager; at its end everything is stopped.

    `quick` has short times in the settings: what takes long is noticed and forgotten sooner.
    """

    def __init__(self, state: Path, *, quick: bool = False) -> None:
        self.state = state
        self.quick = quick
        ports = Ports.free()
        self.servers = Servers(state, ports)
        self.redis = RedisServer(self.servers.state_dir, ports, durable=True)
        self.servers.redis = self.redis
        self.nacos = NacosAdmin(self.servers.nacos.url)
        self.programs = {name: Program(name, self.servers.state_dir) for name in NODES + GATEWAYS}
        self.network = Network(self.pids)
        self.small_disk = state / "small-disk"
        self.document: dict[str, Any] = {}
        self._environment: dict[str, str] = {}
        self._ending = AsyncExitStack()

    @property
    def nodes(self) -> list[Program]:
        return [self.programs[name] for name in NODES]

    @property
    def gateways(self) -> list[Program]:
        return [self.programs[name] for name in GATEWAYS]

    def pids(self) -> dict[str, int]:
        """Give the process of each program that runs."""
        return {name: p.child.pid for name, p in self.programs.items() if p.child.alive}

    def open_nodes(self) -> dict[str, int]:
        """Give the ports of the nodes that should answer, by name."""
        return {node.name: node.port for node in self.nodes if node.wanted}

    async def __aenter__(self) -> Self:
        ending = self._ending
        self.state.mkdir(parents=True, exist_ok=True)
        try:
            await asyncio.to_thread(self.servers.start)
            ending.push_async_callback(asyncio.to_thread, self.servers.stop)
            self.session = await ending.enter_async_context(
                aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
            )
            await ending.enter_async_context(self.network)
            await self._start_programs()
        except BaseException:
            await ending.aclose()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._ending.aclose()

    async def start(self, name: str, **env: str) -> None:
        """Start a program, without waiting for it."""
        program = self.programs[name]
        environment = {
            **self._environment,
            "SPRING_CLOUD_NACOS_CONFIG_SNAPSHOTDIR": str(self._snapshots(name)),
            **({"SPRING_PROFILES_ACTIVE": name} if name in NODES else {}),
            **env,
        }
        await asyncio.to_thread(
            spawn_program, program.child, program.package, program.port, environment
        )
        program.wanted = True

    async def started(self, name: str) -> None:
        """Wait until a program is ready. Raises StartError."""
        program = self.programs[name]
        deadline = asyncio.get_running_loop().time() + _READY_LIMIT
        while not await self.ready(program):
            assert program.child.alive, program.child.output()[-3000:]
            assert asyncio.get_running_loop().time() < deadline, f"{name} is not ready"
            await asyncio.sleep(0.2)

    async def kill(self, name: str) -> None:
        """End a program as `kill -9` does."""
        self.programs[name].wanted = False
        await asyncio.to_thread(self.programs[name].child.kill)

    async def stop(self, name: str) -> None:
        """Send TERM to a program and wait until it has ended."""
        await asyncio.to_thread(self.programs[name].child.stop)
        self.programs[name].wanted = False

    async def ready(self, program: Program, limit: float = 3.0) -> bool:
        """Ask a program's readiness."""
        return (await self.get(program, "/actuator/health/readiness", limit))[0] == 200

    async def get(self, program: Program, path: str, limit: float) -> tuple[int, Any, bool]:
        """Ask a program; gives status (0: no answer), document, and whether Retry-After came."""
        timeout = aiohttp.ClientTimeout(total=limit)
        try:
            async with self.session.get(f"{program.url}{path}", timeout=timeout) as answer:
                body = await answer.json(content_type=None)
                return answer.status, body, "Retry-After" in answer.headers
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return 0, None, False

    async def is_well(self) -> bool:
        """Tell whether everything runs, is ready, and is known to the rest."""
        running = [program for program in self.programs.values() if program.wanted]
        if not all(await asyncio.gather(*(self.ready(program) for program in running))):
            return False
        for node in self.nodes:
            if node.wanted:
                _, health, _ = await self.get(node, "/actuator/health", 3.0)
                if not (health and health["components"]["redis"]["details"]["directorySettled"]):
                    return False
        wanted = {f"{LOOPBACK}:{node.port}" for node in self.nodes if node.wanted}
        for gateway in self.gateways:
            if gateway.wanted:
                _, listed, _ = await self.get(gateway, "/api/nodes", 3.0)
                if not listed or {item["address"] for item in listed["nodes"]} != wanted:
                    return False
        return True

    async def publish(self, changes: dict[str, Any]) -> str:
        """Change the nodes' document; gives its md5."""
        self.document = merged(self.document, changes)
        text = yaml.safe_dump(self.document)
        await asyncio.to_thread(self.nacos.publish, "websocket-service.yml", text)
        return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()

    async def weigh(self, **weights: float) -> None:
        """Set nodes' weights in the registry, by name with an underscore, and wait for gateways."""
        wanted = {}
        for key, weight in weights.items():
            name = key.replace("_", "-")
            discovery = {"weight": weight}
            document = _profile(name) | {
                "spring": {"cloud": {"nacos": {"discovery": discovery}}},
            }
            data_id = f"websocket-service-{name}.yml"
            await asyncio.to_thread(self.nacos.publish, data_id, yaml.safe_dump(document))
            wanted[f"{LOOPBACK}:{self.programs[name].port}"] = weight
        listed: list[Any] = []
        # Longer than the interval at which a gateway asks for what it may have missed.
        for _ in range(300):
            listed = [(await self.get(gate, "/api/nodes", 3.0))[1] for gate in self.gateways]
            if all(
                item["weight"] == wanted.get(item["address"], item["weight"])
                for body in listed
                if body
                for item in body["nodes"]
            ):
                return
            await asyncio.sleep(0.2)
        told = await asyncio.to_thread(self.nacos.instances, "websocket-service")
        weights_told = {f"{item['ip']}:{item['port']}": item["weight"] for item in told}
        raise AssertionError(f"gateways list {listed}; Nacos has {weights_told}, wanted {wanted}")

    def metric(self, text: str, name: str) -> float:
        """Sum a metric's samples in the text of a program."""
        lines = (line for line in text.splitlines() if line.startswith((f"{name} ", f"{name}{{")))
        return sum(float(line.rpartition(" ")[2]) for line in lines)

    def logs(self, length: int = 4000) -> str:
        """Give the ends of what the programs have written."""
        ends = [(name, p.child) for name, p in self.programs.items() if p.child.log.exists()]
        return "\n".join(f"== {name}\n{child.output()[-length:]}" for name, child in ends)

    async def _start_programs(self) -> None:
        self._make_small_disk()
        self._publish_documents()
        network, ports = self.network, self.servers.ports
        nacos = await network.lead_to_nacos(ports.nacos)
        redis = await network.lead_to("redis", ports.redis)
        rabbitmq = await network.lead_to("rabbitmq", ports.rabbitmq)
        self._environment = {
            **program_environment(self.servers.env()),
            "NACOS_SERVER_ADDR": f"{LOOPBACK}:{nacos}",
            "REDIS_PORT": str(redis),
            "RABBITMQ_PORT": str(rabbitmq),
        }
        for name in self.programs:
            await self.start(name)
            self._ending.push_async_callback(self._end_program, name)
        for name in self.programs:
            await self.started(name)
        well = False
        for _ in range(150):
            well = await self.is_well()
            if well:
                break
            await asyncio.sleep(0.2)
        assert well, self.logs()

    async def _end_program(self, name: str) -> None:
        # Nobody looks any more at how it goes.
        await self.kill(name)

    def _publish_documents(self) -> None:
        for data_id in ("common.yml", "websocket-service.yml", "websocket-gateway.yml"):
            text = (ROOT / "nacos-config" / data_id).read_text(encoding="utf-8")
            if data_id == "websocket-service.yml":
                self.document = yaml.safe_load(text)
                if self.quick:
                    node = {"heartbeat-cron": "*/2 * * * * *", "ttl": "6s"}
                    drain = {"notice": "1s", "window": "1s", "return-window": "2s"}
                    self.document = merged(
                        self.document, {"websocket": {"node": node, "drain": drain}}
                    )
                text = yaml.safe_dump(self.document)
            self.nacos.publish(data_id, text)
        for name in NODES:
            self.nacos.publish(f"websocket-service-{name}.yml", yaml.safe_dump(_profile(name)))

    def _make_small_disk(self) -> None:
        """Give node-1 a disk of its own for snapshots, where that is allowed."""
        self.small_disk.mkdir()
        options = ["-t", "tmpfs", "-o", f"size={_SMALL_DISK}", "tmpfs", str(self.small_disk)]
        if os.geteuid() == 0:
            mounted = subprocess.run(["mount", *options], check=False, capture_output=True)
            if mounted.returncode == 0:
                self._ending.callback(subprocess.run, ["umount", "-l", str(self.small_disk)])

    def _snapshots(self, name: str) -> Path:
        return self.small_disk if name == "node-1" else self.state / f"snapshots-{name}"


def _profile(name: str) -> dict[str, Any]:
    return {"websocket": {"push": {"mode": MODES[name]}}}

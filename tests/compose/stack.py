"""The cluster of docker-compose.yml, brought up by a compose command on a Docker engine."""

import hashlib
import json
import os
import shlex
import time
from typing import Any

import aiohttp
from websockets.asyncio.client import ClientConnection, connect

from devtools.compose import compose_environment
from devtools.paths import ROOT
from devtools.ports import LOOPBACK, Ports
from tests.compose.engine import Engine, run
from tests.nacos_admin import NacosAdmin
from tests.waiting import eventually

PROJECT = "websocket-cluster-test"
PROGRAMS = {"config", "node", "gateway"}
NODES_DOCUMENT = "websocket-service.yml"
# Debian 12 has 1.29 under this name; COMPOSE_COMMAND may say another, such as "docker compose".
COMMAND = shlex.split(os.environ.get("COMPOSE_COMMAND", "docker-compose"))


class Endpoint:
    """One published port, and what people do there."""

    def __init__(self, port: int, session: aiohttp.ClientSession) -> None:
        self.port = port
        self._session = session

    async def get(self, path: str) -> tuple[int, Any]:
        async with self._session.get(f"http://{LOOPBACK}:{self.port}{path}") as answer:
            return answer.status, await answer.json(content_type=None)

    async def post(self, path: str, body: Any) -> tuple[int, Any]:
        async with self._session.post(f"http://{LOOPBACK}:{self.port}{path}", json=body) as answer:
            return answer.status, await answer.json(content_type=None)

    async def connect(self, user: str) -> ClientConnection:
        """Connect a client and take its `pong`."""
        client = await connect(f"ws://{LOOPBACK}:{self.port}/websocket/{user}")
        assert await client.recv() == "pong"
        return client


class Container:
    """What the engine knows of one container."""

    def __init__(self, described: dict[str, Any]) -> None:
        self.id = str(described["Id"])
        self.service = str(described["Config"]["Labels"]["com.docker.compose.service"])
        self.host = described["HostConfig"]
        self.user = str(described["Config"]["User"])
        self.state = described["State"]
        networks = described["NetworkSettings"]["Networks"]
        self.address = next(str(network["IPAddress"]) for network in networks.values())
        ports = described["NetworkSettings"]["Ports"] or {}
        self.published = [
            (int(inner.partition("/")[0]), place["HostIp"], int(place["HostPort"]))
            for inner, places in ports.items()
            for place in places or []
        ]

    @property
    def well(self) -> bool:
        """Whether it is healthy, or has ended as it should."""
        if self.service == "config":
            return bool(self.state["Status"] == "exited" and self.state["ExitCode"] == 0)
        health = self.state.get("Health", {})
        return bool(self.state["Running"] and health.get("Status") == "healthy")


class Stack:
    """The containers of this test's project."""

    def __init__(self, engine: Engine, ports: Ports, session: aiohttp.ClientSession) -> None:
        self._engine = engine
        self._session = session
        self._environment = (
            engine.environment | compose_environment(ports) | {"COMPOSE_PROJECT_NAME": PROJECT}
        )
        self.ports = ports
        self.gateway = Endpoint(ports.gateway, session)
        self._nacos = NacosAdmin(f"http://{LOOPBACK}:{ports.nacos}/nacos")

    def compose(self, *arguments: str) -> str:
        """Run the compose command on the file of the project."""
        return run(*COMMAND, *arguments, env=self._environment, cwd=ROOT)

    def left(self, kind: str) -> list[str]:
        """Give what the engine has of this project: `container`, `network` or `volume`."""
        every = ["--all"] if kind == "container" else []
        label = f"label=com.docker.compose.project={PROJECT}"
        return self._engine.docker(kind, "ls", "--quiet", *every, "--filter", label).split()

    def containers(self, service: str = "") -> list[Container]:
        """Describe the containers of a service, or of all; those that have ended, too."""
        ids = self.left("container")
        described = json.loads(self._engine.docker("inspect", *ids)) if ids else []
        found = [Container(item) for item in described]
        return [item for item in found if service in ("", item.service)]

    def kill(self, container: Container) -> None:
        """End it without a word: SIGKILL."""
        self._engine.docker("kill", "--signal=KILL", container.id)

    def stop(self, container: Container) -> None:
        """SIGTERM, then wait as long as the file says."""
        self._engine.docker("stop", container.id)

    def execute(self, service: str, *command: str) -> str:
        """Run a command inside the one container of a service."""
        [container] = self.containers(service)
        return self._engine.docker("exec", container.id, *command)

    def nodes(self) -> dict[str, Endpoint]:
        """Give the running nodes' published ports, by their own addresses `ip:port`."""
        return {
            f"{container.address}:{inner}": Endpoint(port, self._session)
            for container in self.containers("node")
            if container.state["Running"]
            for inner, _, port in container.published
        }

    async def all_well(self) -> bool:
        containers = self.containers()
        failed = [c.service for c in containers if c.state.get("ExitCode") and not c.well]
        assert not failed, self.compose("logs", "--tail", "40", *failed)
        return all(container.well for container in containers)

    async def settled(self, nodes: int) -> None:
        """Wait until the gateway lists so many nodes, and each of them believes the directory."""

        async def listed() -> bool:
            _, body = await self.gateway.get("/api/nodes")
            return {item["address"] for item in body["nodes"]} == set(self.nodes())

        async def believed() -> bool:
            bodies = [(await node.get("/actuator/health"))[1] for node in self.nodes().values()]
            return all(
                body["components"]["redis"]["details"].get("directorySettled") for body in bodies
            )

        await eventually(lambda: len(self.nodes()) == nodes, limit=5)
        await eventually(listed, limit=30, interval=0.2)
        await eventually(believed, limit=30, interval=0.2)

    async def home(self, user: str) -> tuple[str, str]:
        """Wait until a user is known on one node; give that node's id and address."""

        async def known() -> str | None:
            status, body = await self.gateway.get(f"/api/users/{user}")
            ids = [node["nodeId"] for node in body["nodes"]] if status == 200 else []
            return ids[0] if len(ids) == 1 else None

        node_id = await eventually(known, limit=5)
        _, body = await self.gateway.get("/api/nodes")
        [address] = [item["address"] for item in body["nodes"] if item["nodeId"] == node_id]
        return node_id, address

    async def publish(self, text: str) -> float:
        """Publish the nodes' document; give the seconds until every node has it in force."""
        self._nacos.publish(NODES_DOCUMENT, text)
        began = time.monotonic()
        wanted = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
        for node in self.nodes().values():

            async def in_force(node: Endpoint = node) -> bool:
                _, body = await node.get("/actuator/nacosconfig")
                return any(item["md5"] == wanted for item in body["documents"])

            await eventually(in_force, limit=10)
        return time.monotonic() - began

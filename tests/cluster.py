"""Nodes and gateways as processes of their own, on the real servers."""

import asyncio
import hashlib
import itertools
from functools import partial
from types import TracebackType
from typing import Any, Self

import aiohttp
import yaml
from websockets.asyncio.client import ClientConnection, connect

from devtools.paths import ROOT
from devtools.ports import LOOPBACK, free_port
from devtools.processes import Child
from devtools.programs import program_environment, spawn_program
from devtools.servers import Servers
from tests.nacos_admin import NacosAdmin
from tests.waiting import eventually

TTL = 6.0

OPERATOR_KEY = "the-key-that-the-cluster-itself-calls-with"
"""A test that sets API keys lists it, too: the cluster goes on asking its programs."""

NODE_DOCUMENT: dict[str, Any] = {
    "websocket": {
        "push": {"mode": "fanout"},
        "node": {"heartbeat-cron": "*/2 * * * * *", "ttl": f"{TTL:g}s"},
        "drain": {"notice": "300ms", "window": "300ms", "return-window": "300ms"},
    }
}
GATEWAY_DOCUMENT: dict[str, Any] = {
    "gateway": {
        "strategy": "least-connections",
        "set-aside": "2s",
        "drain": {"notice": "0s", "window": "100ms"},
    }
}


def merged(document: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Give a document with nested changes applied."""
    result = dict(document)
    for key, value in changes.items():
        old = result.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            result[key] = merged(old, value)
        else:
            result[key] = value
    return result


class Program:
    """One process under test, and its HTTP side."""

    def __init__(self, child: Child, port: int, session: aiohttp.ClientSession) -> None:
        self.child = child
        self.port = port
        self._session = session

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    async def get(self, path: str) -> tuple[int, Any]:
        async with self._session.get(f"{self.url}{path}") as answer:
            return answer.status, await answer.json(content_type=None)

    async def post(self, path: str, body: Any) -> tuple[int, Any]:
        kind = {"data": body} if isinstance(body, str | bytes) else {"json": body}
        async with self._session.post(f"{self.url}{path}", **kind) as answer:
            return answer.status, await answer.json(content_type=None)

    async def delete(self, path: str) -> int:
        async with self._session.delete(f"{self.url}{path}") as answer:
            return answer.status

    async def push(self, content: Any, *targets: str) -> dict[str, Any]:
        """Push to users, or to everyone when none is named; it must be accepted."""
        body = {
            "content": content,
            **({"targetUserList": targets} if targets else {"allUser": True}),
        }
        status, answer = await self.post("/api/push", body)
        assert status == 202, answer
        return dict(answer)

    async def ready(self) -> bool:
        try:
            status, _ = await self.get("/actuator/health/readiness")
        except aiohttp.ClientError:
            assert self.child.alive, self.child.output()
            return False
        return status == 200

    async def metric(self, name: str, **labels: str) -> float:
        """Read one sample from `/actuator/prometheus`; 0 where it isn't there yet."""
        wanted = name
        if labels:
            inner = ",".join(f'{key}="{value}"' for key, value in sorted(labels.items()))
            wanted = f"{name}{{{inner}}}"
        async with self._session.get(f"{self.url}/actuator/prometheus") as answer:
            for line in (await answer.text()).splitlines():
                if line.startswith(f"{wanted} "):
                    return float(line.rpartition(" ")[2])
        return 0.0

    async def connect(self, user: str, **options: Any) -> ClientConnection:
        """Connect a client and take its `pong`."""
        client = await connect(f"ws://{LOOPBACK}:{self.port}/websocket/{user}", **options)
        assert await client.recv() == "pong"
        return client


class ClusterUnderTest:
    """Nodes and a gateway that share the documents of this test run."""

    def __init__(self, servers: Servers, nacos: NacosAdmin) -> None:
        self.servers = servers
        self.nacos = nacos
        self.nodes: list[Program] = []
        self.gateway: Program
        self._numbers = itertools.count(1)
        self._programs: list[Program] = []
        self.texts: dict[str, str] = {}

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=15), headers={"X-API-Key": OPERATOR_KEY}
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._session.close()
        await asyncio.gather(*(asyncio.to_thread(p.child.stop) for p in self._programs))

    async def start(self, nodes: int) -> None:
        common = (ROOT / "nacos-config" / "common.yml").read_text(encoding="utf-8")
        self.publish("common.yml", common)
        self.publish("websocket-service.yml", NODE_DOCUMENT)
        self.publish("websocket-gateway.yml", GATEWAY_DOCUMENT)
        self.nodes = [self.spawn("service") for _ in range(nodes)]
        self.gateway = self.spawn("gateway_lb")
        for program in (*self.nodes, self.gateway):
            await eventually(program.ready, limit=30)
        await eventually(lambda: self.lists(nodes), limit=10)
        await self.settled()

    def spawn(self, package: str, **env: str) -> Program:
        """Start a program without waiting for it."""
        number = next(self._numbers)
        child = Child(f"{package}-{number}", self.servers.state_dir)
        port = int(env.pop("SERVER_PORT", free_port()))
        spawn_program(child, package, port, {**self.environment(number), **env})
        program = Program(child, port, self._session)
        self._programs.append(program)
        return program

    def environment(self, number: int) -> dict[str, str]:
        snapshots = self.servers.state_dir / f"snapshots-{number}"
        return {
            **program_environment(self.servers.env()),
            "SPRING_CLOUD_NACOS_CONFIG_SNAPSHOTDIR": str(snapshots),
            # After a test that has Nacos hang, the next one's nodes must not stay listed for long.
            "SPRING_CLOUD_NACOS_DISCOVERY_HOLDAFTEROUTAGE": "6s",
        }

    async def add_node(self, **env: str) -> Program:
        """Start one more node, and wait until the gateway knows it."""
        node = self.spawn("service", **env)
        await eventually(node.ready, limit=30)

        async def listed() -> bool:
            _, body = await self.gateway.get("/api/nodes")
            return any(item["address"] == f"{LOOPBACK}:{node.port}" for item in body["nodes"])

        await eventually(listed, limit=10)
        return node

    async def lists(self, count: int) -> bool:
        _, body = await self.gateway.get("/api/nodes")
        return len(body["nodes"]) == count

    async def settled(self) -> None:
        """Wait until every node believes the directory."""
        for node in self.nodes:

            async def believes(node: Program = node) -> bool:
                _, body = await node.get("/actuator/health")
                return bool(body["components"]["redis"]["details"]["directorySettled"])

            await eventually(believes, limit=20)

    def publish(self, data_id: str, document: dict[str, Any] | str) -> None:
        """Publish a document as it is, without waiting for anything."""
        text = document if isinstance(document, str) else yaml.safe_dump(document)
        self.texts[data_id] = text
        self.nacos.publish(data_id, text)

    async def edit_nodes(self, changes: dict[str, Any], limit: float = 10) -> None:
        """Change the nodes' document, and wait until every node has it in force."""
        await self._edit("websocket-service.yml", merged(NODE_DOCUMENT, changes), self.nodes, limit)

    async def edit_node(self, node: Program, changes: dict[str, Any]) -> None:
        """Change the nodes' document, and wait until one node has it in force."""
        await self._edit("websocket-service.yml", merged(NODE_DOCUMENT, changes), [node])

    async def edit_gateway(self, changes: dict[str, Any]) -> None:
        """Change the gateway's document, and wait until it has it in force."""
        document = merged(GATEWAY_DOCUMENT, changes)
        await self._edit("websocket-gateway.yml", document, [self.gateway])

    async def set_mode(self, mode: str) -> None:
        await self.edit_nodes({"websocket": {"push": {"mode": mode}}})
        await self.settled()

    def logs(self) -> dict[str, str]:
        """Give what each program has written so far."""
        return {program.child.name: program.child.output() for program in self._programs}

    async def restore(self) -> None:
        """Put the documents back, and stop what a test has added."""
        kept = [*self.nodes, self.gateway]
        added = [program for program in self._programs if program not in kept]
        await asyncio.gather(*(asyncio.to_thread(p.child.stop) for p in added))
        self._programs = kept
        await self.edit_nodes({})
        await self.edit_gateway({})
        await eventually(lambda: self.lists(len(self.nodes)), limit=20)
        for node in self.nodes:
            await eventually(partial(self._is_empty, node))

    async def _is_empty(self, node: Program) -> bool:
        return await node.metric("websocket_connections") == 0

    async def _edit(
        self, data_id: str, document: dict[str, Any], programs: list[Program], limit: float = 10
    ) -> None:
        text = yaml.safe_dump(document)
        if self.texts.get(data_id) != text:
            self.publish(data_id, text)
        wanted = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
        for program in programs:

            async def in_force(program: Program = program) -> bool:
                return (await document_md5s(program))[data_id] == wanted

            await eventually(in_force, limit=limit)


async def document_md5s(program: Program) -> dict[str, str]:
    """Give the md5 of each document that a program has in force, by data id."""
    _, body = await program.get("/actuator/nacosconfig")
    return {document["dataId"]: document["md5"] for document in body["documents"]}

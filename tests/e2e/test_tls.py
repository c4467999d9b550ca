"""TLS on every way: to the gateway, from it to a node, and from both to the servers."""

import asyncio
import contextlib
import os
import ssl
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from devtools.ports import LOOPBACK, free_port
from devtools.processes import Child
from devtools.servers import Servers
from tests.certificates import Authority, serial_of
from tests.cluster import ClusterUnderTest, Program
from tests.tls_proxy import tls_in_front_of
from tests.waiting import eventually

GRPC_OFFSET = 1000


@dataclass
class Secured:
    """A node and a gateway that speak nothing but TLS."""

    authority: Authority
    folder: Path
    node: Program
    gateway: Program
    session: aiohttp.ClientSession

    @property
    def tls(self) -> ssl.SSLContext:
        return self.authority.client()

    async def connect(self, program: Program, user: str) -> ClientConnection:
        url = f"wss://{LOOPBACK}:{program.port}/websocket/{user}"
        client = await connect(url, ssl=self.tls)
        assert await client.recv() == "pong"
        return client

    async def status(self, program: Program, path: str) -> int:
        try:
            async with self.session.get(self.url(program, path)) as answer:
                return answer.status
        except aiohttp.ClientError:
            assert program.child.alive, program.child.output()
            return 0

    async def push(self, program: Program, content: str, user: str) -> int:
        body = {"content": content, "targetUserList": [user]}
        async with self.session.post(self.url(program, "/api/push"), json=body) as answer:
            return answer.status

    @staticmethod
    def url(program: Program, path: str) -> str:
        return f"https://{LOOPBACK}:{program.port}{path}"


def server_tls(
    authority: Authority, *alpn: str, address: str = LOOPBACK, strict: bool = False
) -> ssl.SSLContext:
    """Give a server's context; a `strict` one wants its clients' certificates."""
    certificate, key = authority.issue(address).write(authority.file.parent)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    context.set_alpn_protocols(alpn)
    if strict:
        context.load_verify_locations(authority.file)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


@contextlib.asynccontextmanager
async def nacos_by_tls(port: int, authority: Authority) -> AsyncIterator[int]:
    """Nacos's two ports, which are always this far apart."""
    http, grpc = server_tls(authority), server_tls(authority, "h2")
    async with contextlib.AsyncExitStack() as opened:
        while True:
            candidate = free_port()
            try:
                await opened.enter_async_context(
                    tls_in_front_of(port + GRPC_OFFSET, grpc, candidate + GRPC_OFFSET)
                )
                await opened.enter_async_context(tls_in_front_of(port, http, candidate))
            except (OSError, OverflowError):
                continue
            break
        yield candidate


@contextlib.contextmanager
def redis_by_tls(servers: Servers, authority: Authority, folder: Path) -> Iterator[int]:
    """A Redis that speaks TLS itself, and asks for a certificate."""
    certificate, key = authority.issue().write(folder)
    port = free_port()
    child = Child("redis-tls", servers.state_dir)
    options = f"""--port 0 --tls-port {port} --bind {LOOPBACK} --appendonly no
        --tls-cert-file {certificate} --tls-key-file {key}
        --tls-ca-cert-file {authority.file} --tls-auth-clients yes"""
    argv = ["redis-server", "--save", "", *options.split()]
    child.spawn(argv, env=os.environ, cwd=folder)
    try:
        yield port
    finally:
        child.stop()


@pytest.fixture(scope="module")
async def secured(
    servers: Servers, session_cluster: ClusterUnderTest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Secured]:
    folder = tmp_path_factory.mktemp("tls")
    own, redis_folder = folder / "own", folder / "redis"
    own.mkdir()
    redis_folder.mkdir()
    authority = Authority(folder)
    certificate, key = authority.issue().write(own)
    async with contextlib.AsyncExitStack() as opened:
        nacos = await opened.enter_async_context(nacos_by_tls(servers.ports.nacos, authority))
        rabbit = await opened.enter_async_context(
            tls_in_front_of(servers.ports.rabbitmq, server_tls(authority))
        )
        redis = opened.enter_context(redis_by_tls(servers, authority, redis_folder))
        environment = {
            "NACOS_SERVER_ADDR": f"https://{LOOPBACK}:{nacos}",
            "SPRING_CLOUD_NACOS_SSL_TRUSTCERTIFICATE": str(authority.file),
            "SPRING_CLOUD_NACOS_DISCOVERY_SERVICE": "websocket-tls",
            "SERVER_SSL_CERTIFICATE": f"file:{certificate}",
            "SERVER_SSL_CERTIFICATEPRIVATEKEY": str(key),
        }
        node = session_cluster.spawn(
            "service",
            **environment,
            SPRING_RABBITMQ_PORT=str(rabbit),
            SPRING_RABBITMQ_SSL_ENABLED="true",
            SPRING_RABBITMQ_SSL_TRUSTCERTIFICATE=str(authority.file),
            SPRING_DATA_REDIS_PORT=str(redis),
            SPRING_DATA_REDIS_SSL_ENABLED="true",
            SPRING_DATA_REDIS_SSL_TRUSTCERTIFICATE=authority.text,
            SPRING_DATA_REDIS_SSL_CERTIFICATE=str(certificate),
            SPRING_DATA_REDIS_SSL_CERTIFICATEPRIVATEKEY=str(key),
        )
        gateway = session_cluster.spawn(
            "gateway_lb",
            **{**environment, "SPRING_CLOUD_NACOS_DISCOVERY_SERVICE": "websocket-tls-gateway"},
            GATEWAY_SERVICENAME="websocket-tls",
            GATEWAY_NODES_SSL_TRUSTCERTIFICATE=str(authority.file),
        )
        session = await opened.enter_async_context(
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=authority.client()))
        )
        found = Secured(authority, own, node, gateway, session)
        for program in (node, gateway):

            async def is_ready(program: Program = program) -> bool:
                return await found.status(program, "/actuator/health/readiness") == 200

            await eventually(is_ready, limit=30)

        async def listed() -> bool:
            async with session.get(found.url(gateway, "/api/nodes")) as answer:
                return len((await answer.json())["nodes"]) == 1

        await eventually(listed, limit=15)
        yield found
        for program in (gateway, node):
            await asyncio.to_thread(program.child.stop)


async def test_a_push_arrives_though_every_way_is_tls(secured: Secured) -> None:
    async with (
        await secured.connect(secured.gateway, "tls-a") as through_gateway,
        await secured.connect(secured.node, "tls-b") as direct,
    ):
        for program, client, user in (
            (secured.gateway, through_gateway, "tls-a"),
            (secured.node, direct, "tls-b"),
        ):
            assert await secured.push(program, "hello", user) == 202
            assert await client.recv() == "hello"
        await through_gateway.send("ping")
        assert await through_gateway.recv() == "pong"


async def test_much_at_once_arrives_whole_and_in_order(secured: Secured) -> None:
    texts = [f"{number}:" + "x" * 60_000 for number in range(40)]
    async with await secured.connect(secured.gateway, "tls-much") as client:
        for text in texts:
            assert await secured.push(secured.gateway, text, "tls-much") == 202
        assert [await client.recv() for _ in texts] == texts


async def test_the_close_code_of_a_node_reaches_the_client(secured: Secured) -> None:
    client = await secured.connect(secured.gateway, "tls-gone")
    async with secured.session.delete(
        secured.url(secured.gateway, "/api/users/tls-gone")
    ) as answer:
        assert answer.status == 204
    with pytest.raises(ConnectionClosed) as caught:
        await client.recv()
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == 4403


async def test_a_client_that_leaves_is_gone_at_the_node(secured: Secured) -> None:
    client = await secured.connect(secured.gateway, "tls-leaves")
    assert await secured.status(secured.node, "/api/users/tls-leaves") == 200
    client.transport.abort()

    async def gone() -> bool:
        return await secured.status(secured.node, "/api/users/tls-leaves") == 404

    await eventually(gone)


async def test_plain_text_gets_nowhere(secured: Secured) -> None:
    for program in (secured.node, secured.gateway):
        with pytest.raises((aiohttp.ClientError, OSError)):
            await secured.session.get(f"http://{LOOPBACK}:{program.port}/actuator/health")


async def test_the_node_says_that_it_is_secure(secured: Secured) -> None:
    async with secured.session.get(secured.url(secured.gateway, "/discover/alice")) as answer:
        body = await answer.json()
    assert body["url"].startswith("wss://")


async def test_a_new_certificate_is_used_without_a_restart(secured: Secured) -> None:
    async def serial(program: Program) -> int:
        _, writer = await asyncio.open_connection(LOOPBACK, program.port, ssl=secured.tls)
        found = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.close()
        return serial_of(found)

    async with await secured.connect(secured.gateway, "tls-stays") as before:
        fresh = secured.authority.issue()
        fresh.write(secured.folder)
        for program in (secured.node, secured.gateway):

            async def renewed(program: Program = program) -> bool:
                return await serial(program) == fresh.serial

            await eventually(renewed, limit=10)
        async with await secured.connect(secured.gateway, "tls-new") as after:
            for client, user in ((before, "tls-stays"), (after, "tls-new")):
                assert await secured.push(secured.node, "still here", user) == 202
                assert await client.recv() == "still here"


async def test_a_gateway_that_does_the_tls_of_plain_nodes_drains_with_a_close_frame(
    cluster: ClusterUnderTest, tmp_path: Path
) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.issue().write(tmp_path)
    gateway = cluster.spawn(
        "gateway_lb",
        SERVER_SSL_CERTIFICATE=str(certificate),
        SERVER_SSL_CERTIFICATEPRIVATEKEY=str(key),
    )

    async def open_client() -> ClientConnection | None:
        try:
            url = f"wss://{LOOPBACK}:{gateway.port}/websocket/tls-drain"
            client = await connect(url, ssl=authority.client())
            return client if await client.recv() == "pong" else None
        except (OSError, ConnectionClosed):
            assert gateway.child.alive, gateway.child.output()
            return None

    client = await eventually(open_client, limit=30)
    await asyncio.to_thread(gateway.child.stop)
    with pytest.raises(ConnectionClosed) as caught:
        await client.recv()
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == 4001


PASSWORD = "opens the key"
ELSEWHERE = "192.0.2.1"
PEER_KEYS = (
    "bundle",
    "trust-certificate",
    "certificate",
    "certificate-private-key",
    "key-password",
    "verify-hostname",
)


def peer_keys(*sections: str) -> list[str]:
    return [f"{section}.{key}" for section in sections for key in PEER_KEYS]


def strict_peer(authority: Authority, folder: Path, *, bundle: bool) -> tuple[Any, Any]:
    """Give an `ssl` section for a server that wants a certificate and is named otherwise.

    Each of its keys is needed. With it comes the section `spring.ssl`, for a bundle.
    """
    folder.mkdir()
    certificate, key = authority.issue(password=PASSWORD.encode()).write(folder)
    if not bundle:
        section = {
            "trust-certificate": str(authority.file),
            "certificate": str(certificate),
            "certificate-private-key": str(key),
            "key-password": PASSWORD,
        }
        return {**section, "verify-hostname": False}, {}
    stores = {
        "keystore": {
            "certificate": str(certificate),
            "private-key": str(key),
            "private-key-password": PASSWORD,
        },
        "truststore": {"certificate": str(authority.file)},
    }
    return {"bundle": "ours", "verify-hostname": False}, {"bundle": {"pem": {"ours": stores}}}


@pytest.mark.shows(
    "spring.rabbitmq.ssl.enabled",
    "spring.data.redis.ssl.enabled",
    *peer_keys("spring.rabbitmq.ssl", "spring.data.redis.ssl"),
)
@pytest.mark.parametrize("bundle", [False, True])
async def test_nodes_move_to_servers_by_tls_while_clients_stay(
    cluster: ClusterUnderTest, servers: Servers, tmp_path: Path, bundle: bool
) -> None:
    authority = Authority(tmp_path)
    section, spring_ssl = strict_peer(authority, tmp_path / "own", bundle=bundle)
    section["enabled"] = True
    strict = server_tls(authority, address=ELSEWHERE, strict=True)
    async with (
        tls_in_front_of(servers.ports.redis, strict) as redis,
        tls_in_front_of(servers.ports.rabbitmq, strict) as rabbit,
        await cluster.nodes[0].connect("moved-to-tls") as client,
    ):
        await cluster.edit_nodes(
            {
                "spring": {
                    "ssl": spring_ssl,
                    "rabbitmq": {"port": rabbit, "ssl": section},
                    "data": {"redis": {"port": redis, "ssl": section}},
                }
            }
        )

        async def moved(node: Program, kind: str, port: int) -> bool:
            _, health = await node.get("/actuator/health")
            return str(
                health["components"][kind]["details"]["address"]
            ) == f"{LOOPBACK}:{port}" or (
                str(health["components"][kind]["details"]["address"]).startswith(
                    f"{LOOPBACK}:{port}/"
                )
            )

        for node in cluster.nodes:
            await eventually(lambda node=node: moved(node, "rabbit", rabbit), limit=30)
            await eventually(lambda node=node: moved(node, "redis", redis), limit=30)
        await cluster.nodes[1].push("by tls", "moved-to-tls")
        assert await client.recv() == "by tls"
        await cluster.edit_nodes({})
        for node in cluster.nodes:
            await eventually(
                lambda node=node: moved(node, "rabbit", servers.ports.rabbitmq), limit=30
            )
            await eventually(lambda node=node: moved(node, "redis", servers.ports.redis), limit=30)


@pytest.mark.shows(*peer_keys("gateway.nodes.ssl"))
@pytest.mark.parametrize("bundle", [False, True])
async def test_the_gateway_learns_live_how_to_reach_nodes_by_tls(
    cluster: ClusterUnderTest, tmp_path: Path, bundle: bool
) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.issue(ELSEWHERE).write(tmp_path)
    service = f"websocket-strict-{bundle}".lower()
    node = cluster.spawn(
        "service",
        SPRING_CLOUD_NACOS_DISCOVERY_SERVICE=service,
        SERVER_SSL_CERTIFICATE=str(certificate),
        SERVER_SSL_CERTIFICATEPRIVATEKEY=str(key),
        SERVER_SSL_TRUSTCERTIFICATE=str(authority.file),
        SERVER_SSL_CLIENTAUTH="need",
    )
    section, spring_ssl = strict_peer(authority, tmp_path / "own", bundle=bundle)
    await cluster.edit_gateway({"gateway": {"service-name": service}})

    async def listed() -> bool:
        _, body = await cluster.gateway.get("/api/nodes")
        assert node.child.alive, node.child.output()
        return [item["address"] for item in body["nodes"]] == [f"{LOOPBACK}:{node.port}"]

    await eventually(listed, limit=30)
    with pytest.raises(ConnectionClosed) as caught:
        await cluster.gateway.connect("strict")
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == 4503
    await cluster.edit_gateway(
        {
            "spring": {"ssl": spring_ssl},
            "gateway": {"service-name": service, "set-aside": "0s", "nodes": {"ssl": section}},
        }
    )

    async with await cluster.gateway.connect("strict") as client:
        await cluster.gateway.push("by tls", "strict")
        assert await client.recv() == "by tls"

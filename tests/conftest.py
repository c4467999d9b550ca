"""The real servers, once for the whole run, and a cluster on them."""

from collections.abc import AsyncIterator, Generator, Iterator
from dataclasses import replace

import pytest
from hypothesis import settings

from devtools.ports import Ports, free_port
from devtools.rabbitmq import RabbitServer
from devtools.redis import RedisServer
from devtools.servers import Servers
from tests.cluster import ClusterUnderTest
from tests.nacos_admin import NacosAdmin

LAST_WORDS = 6000

# The same examples every time, and nothing left on disk; a loaded machine may be slow.
settings.register_profile("repeatable", derandomize=True, database=None, deadline=None)
settings.register_profile("long", max_examples=20_000, database=None, deadline=None)
settings.load_profile("repeatable")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show with a failure what the programs of the cluster have written last."""
    report = yield
    cluster = getattr(item, "funcargs", {}).get("cluster")
    if report.failed and isinstance(cluster, ClusterUnderTest):
        report.sections += [(name, text[-LAST_WORDS:]) for name, text in cluster.logs().items()]
    return report


@pytest.fixture(scope="session")
def servers(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Servers]:
    """A real Nacos, Redis and RabbitMQ on free ports."""
    capture = request.config.pluginmanager.getplugin("capturemanager")

    def progress(line: str) -> None:
        with capture.global_and_fixture_disabled():
            print(f"  [servers] {line}", flush=True)  # noqa: T201 - a start of half a minute is shown

    with Servers(tmp_path_factory.mktemp("servers"), Ports.free()) as servers:
        progress("starting Nacos, Redis and RabbitMQ for this test run")
        servers.start(progress)
        yield servers


@pytest.fixture(scope="session")
def session_rabbitmq(servers: Servers) -> Iterator[RabbitServer]:
    """Another RabbitMQ, which may have been stopped by a test."""
    rabbitmq = RabbitServer(servers.state_dir, Ports.free(), "rabbitmq-2")
    yield rabbitmq
    rabbitmq.stop()


@pytest.fixture
def second_rabbitmq(session_rabbitmq: RabbitServer) -> RabbitServer:
    """Another RabbitMQ, which knows nothing of the first."""
    if not session_rabbitmq.alive:
        session_rabbitmq.start()
    return session_rabbitmq


@pytest.fixture(scope="session")
def second_redis(servers: Servers) -> Iterator[RedisServer]:
    """One more Redis, to move to."""
    server = RedisServer(servers.state_dir, replace(servers.ports, redis=free_port()), "redis-2")
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def nacos(servers: Servers) -> NacosAdmin:
    """Publish documents as a person at the console would."""
    return NacosAdmin(servers.nacos.url)


@pytest.fixture(scope="session")
async def session_cluster(servers: Servers, nacos: NacosAdmin) -> AsyncIterator[ClusterUnderTest]:
    """Two nodes and a gateway, as processes of their own."""
    async with ClusterUnderTest(servers, nacos) as cluster:
        await cluster.start(nodes=2)
        yield cluster


@pytest.fixture
async def cluster(session_cluster: ClusterUnderTest) -> AsyncIterator[ClusterUnderTest]:
    """The shared cluster, with its documents as they were and nobody connected."""
    yield session_cluster
    await session_cluster.restore()


@pytest.fixture(params=["fanout", "routed"])
async def mode(request: pytest.FixtureRequest, cluster: ClusterUnderTest) -> str:
    """Each push mode in turn, in force on every node."""
    await cluster.set_mode(request.param)
    return str(request.param)

"""The real servers, once for the whole run, and a cluster on them."""

from collections.abc import AsyncIterator, Iterator

import pytest

from devtools.ports import Ports
from devtools.servers import Servers
from tests.cluster import ClusterUnderTest
from tests.nacos_admin import NacosAdmin


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

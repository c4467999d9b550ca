from collections.abc import Callable
from pathlib import Path

import pytest

from nacos_boot.config_reader import ConfigReader
from nacos_boot.nacos_error import NacosError, UnreachableError
from tests.fakes.nacos import FakeNacos, FakeNacosClient
from tests.nacos_boot.samples import bootstrap
from tests.waiting import eventually


class Recording(FakeNacosClient):
    """Notes who is listened to; `faults` is how many calls fail first."""

    def __init__(self, server: FakeNacos) -> None:
        super().__init__(server)
        self.listened: list[str] = []
        self.started = 0
        self.faults = 0

    async def listen(self, data_id: str, group: str, changed: Callable[[], None]) -> None:
        if self.faults:
            self.faults -= 1
            raise NacosError("the stream is gone")
        self.listened.append(data_id)
        await super().listen(data_id, group, changed)

    async def start_listening(self) -> None:
        self.started += 1


@pytest.fixture
def nacos() -> FakeNacos:
    server = FakeNacos()
    for data_id in ("common.yml", "fixed.yml", "demo.yml"):
        server.publish(data_id, f"# {data_id}")
    return server


async def test_each_document_that_refreshes_is_listened_to_once(
    nacos: FakeNacos, tmp_path: Path
) -> None:
    client = Recording(nacos)
    stirred: list[None] = []
    reader = ConfigReader(bootstrap(tmp_path), client, lambda: stirred.append(None))
    contents = await reader.first_read()
    await reader.read(contents)
    assert client.listened == ["common.yml", "extension.yml", "demo.yml"]
    assert client.started == 1
    await eventually(lambda: stirred)


async def test_only_documents_that_refresh_are_read_again(nacos: FakeNacos, tmp_path: Path) -> None:
    reader = ConfigReader(bootstrap(tmp_path), FakeNacosClient(nacos), lambda: None)
    contents = await reader.first_read()
    assert list(contents) == [
        "DEFAULT_GROUP/common.yml",
        "DEFAULT_GROUP/fixed.yml",
        "DEFAULT_GROUP/demo.yml",
    ]
    nacos.reads.clear()
    assert await reader.read(contents) == contents
    assert nacos.reads == ["common.yml", "extension.yml", "demo.yml"]


async def test_a_listener_that_could_not_be_set_up_is_tried_again(
    nacos: FakeNacos, tmp_path: Path
) -> None:
    client = Recording(nacos)
    client.faults = 1
    reader = ConfigReader(bootstrap(tmp_path), client, lambda: None)
    with pytest.raises(UnreachableError, match="the stream is gone"):
        await reader.first_read()
    await reader.first_read()
    assert client.listened == ["common.yml", "extension.yml", "demo.yml"]

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from nacos_boot.config import reader as config_reader
from nacos_boot.config.reader import ConfigReader
from nacos_boot.nacos.error import NacosError, NacosForbiddenError, UnreachableError
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

    async def listen(self, data_id: str, group: str, changed: Callable[[str | None], None]) -> None:
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
    told: list[tuple[str, str | None]] = []
    reader = ConfigReader(bootstrap(tmp_path), client, lambda *push: told.append(push))
    contents = await reader.first_read()
    await reader.read(contents)
    assert client.listened == ["common.yml", "extension.yml", "demo.yml"]
    assert client.started == 1
    await eventually(lambda: len(told) == 2)
    assert told == [
        ("DEFAULT_GROUP/common.yml", "# common.yml"),
        ("DEFAULT_GROUP/demo.yml", "# demo.yml"),
    ]
    nacos.remove("demo.yml")
    await eventually(lambda: told[2:] == [("DEFAULT_GROUP/demo.yml", None)])


async def test_only_documents_that_refresh_are_read_again(nacos: FakeNacos, tmp_path: Path) -> None:
    reader = ConfigReader(bootstrap(tmp_path), FakeNacosClient(nacos), lambda *_: None)
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
    reader = ConfigReader(bootstrap(tmp_path), client, lambda *_: None)
    with pytest.raises(UnreachableError, match="the stream is gone"):
        await reader.first_read()
    await reader.first_read()
    assert client.listened == ["common.yml", "extension.yml", "demo.yml"]


async def test_documents_are_read_at_the_same_time(nacos: FakeNacos, tmp_path: Path) -> None:
    all_asked = asyncio.Event()

    class Slow(FakeNacosClient):
        async def get_config(self, data_id: str, group: str) -> str | None:
            content = await super().get_config(data_id, group)
            if len(nacos.reads) == 4:
                all_asked.set()
            await all_asked.wait()
            return content

    reader = ConfigReader(bootstrap(tmp_path), Slow(nacos), lambda *_: None)
    async with asyncio.timeout(2):
        assert len(await reader.first_read()) == 3


async def test_what_was_just_pushed_counts_more_than_what_another_server_still_has(
    nacos: FakeNacos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    behind = {"demo.yml": "# demo.yml"}

    class Behind(FakeNacosClient):
        async def get_config(self, data_id: str, group: str) -> str | None:
            content = await super().get_config(data_id, group)
            return behind.get(data_id, content)

    key = "DEFAULT_GROUP/demo.yml"
    told: list[str | None] = []
    reader = ConfigReader(
        bootstrap(tmp_path), Behind(nacos), lambda _, content: told.append(content)
    )
    contents = await reader.first_read()
    nacos.publish("demo.yml", "# new")
    await eventually(lambda: "# new" in told)
    assert (await reader.read(contents))[key] == "# new"
    # When it has settled, what is read counts: the push may have been overtaken.
    monkeypatch.setattr(config_reader, "SETTLED", 0.0)
    assert (await reader.read(contents))[key] == "# demo.yml"
    behind.clear()
    assert (await reader.read(contents))[key] == "# new"


async def test_a_push_while_the_documents_are_read_counts_more_than_the_read(
    nacos: FakeNacos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config_reader, "SETTLED", 0.0)
    going_on = asyncio.Event()

    class Slow(FakeNacosClient):
        async def get_config(self, data_id: str, group: str) -> str | None:
            content = await super().get_config(data_id, group)
            await going_on.wait()
            return content

    told: list[str | None] = []
    reader = ConfigReader(bootstrap(tmp_path), Slow(nacos), lambda _, content: told.append(content))
    reading = asyncio.create_task(reader.first_read())
    await eventually(lambda: len(nacos.reads) == 4)
    nacos.publish("demo.yml", "# new")
    await eventually(lambda: "# new" in told)
    going_on.set()
    assert (await reading)["DEFAULT_GROUP/demo.yml"] == "# new"


async def test_a_refusal_is_told_before_a_missing_answer(nacos: FakeNacos, tmp_path: Path) -> None:
    class Partly(FakeNacosClient):
        async def get_config(self, data_id: str, group: str) -> str | None:
            if data_id == "demo.yml":
                raise NacosForbiddenError("forbids demo.yml")
            raise NacosError(f"no answer for {group}/{data_id}")

    reader = ConfigReader(bootstrap(tmp_path), Partly(nacos), lambda *_: None)
    with pytest.raises(NacosForbiddenError, match=r"forbids demo\.yml"):
        await reader.read({})

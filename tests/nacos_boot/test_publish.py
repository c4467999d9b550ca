from pathlib import Path

import pytest

from nacos_boot import publish as publish_module
from nacos_boot.bootstrap import NacosSettings
from nacos_boot.publish import publish_folder
from nacos_boot.startup import StartError
from tests.fakes.nacos import GROUP, FakeNacos, FakeNacosClient

SETTINGS = NacosSettings.model_validate({"start-timeout": "10ms"})


@pytest.fixture
def nacos(monkeypatch: pytest.MonkeyPatch) -> FakeNacos:
    server = FakeNacos()
    monkeypatch.setattr(publish_module, "NacosClient", lambda _settings: FakeNacosClient(server))
    return server


async def test_what_is_absent_is_published_and_what_is_there_is_left(
    nacos: FakeNacos, tmp_path: Path
) -> None:
    (tmp_path / "one.yml").write_text("# one\na: 1\n")
    (tmp_path / "two.yaml").write_text("b: 2\n")
    (tmp_path / "notes.txt").write_text("not: this")
    (tmp_path / "folder.yml").mkdir()
    nacos.publish("two.yaml", "b: edited")
    await publish_folder(tmp_path, SETTINGS)
    assert nacos.read("one.yml", GROUP) == "# one\na: 1\n"
    assert nacos.read("two.yaml", GROUP) == "b: edited"
    assert nacos.read("notes.txt", GROUP) is None


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"a: 1\na: 2", "line 2: the key 'a' stands twice"), (b"\xff", "can't decode")],
)
async def test_nothing_is_published_where_one_document_is_bad(
    nacos: FakeNacos, tmp_path: Path, content: bytes, words: str
) -> None:
    (tmp_path / "a-good.yml").write_text("a: 1")
    (tmp_path / "bad.yml").write_bytes(content)
    with pytest.raises(StartError) as caught:
        await publish_folder(tmp_path, SETTINGS)
    assert caught.value.final
    assert "bad.yml" in str(caught.value)
    assert words in str(caught.value)
    assert nacos.read("a-good.yml", GROUP) is None


async def test_an_empty_folder_is_a_mistake(nacos: FakeNacos, tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"holds no \.yml files to publish"):
        await publish_folder(tmp_path, SETTINGS)


async def test_nacos_away(nacos: FakeNacos, tmp_path: Path) -> None:
    (tmp_path / "one.yml").write_text("a: 1")
    nacos.up = False
    with pytest.raises(StartError, match="nobody answers"):
        await publish_folder(tmp_path, SETTINGS)

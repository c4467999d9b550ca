from pathlib import Path

import pytest

from nacos_boot.nacos import publish as publish_module
from nacos_boot.nacos.publish import publish
from nacos_boot.start.nacos_settings import NacosSettings
from nacos_boot.start.startup import StartError
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
    (tmp_path / "three.properties").write_text("c.d=3\n")
    (tmp_path / "four.json").write_text('{"e": 4}')
    # Read before Nacos is asked, so it is nothing for Nacos.
    (tmp_path / "bootstrap.yml").write_text("f: 5")
    (tmp_path / "notes.txt").write_text("not: this")
    (tmp_path / "folder.yml").mkdir()
    nacos.publish("two.yaml", "b: edited")
    await publish([tmp_path], SETTINGS)
    assert nacos.read("one.yml", GROUP) == "# one\na: 1\n"
    assert nacos.read("two.yaml", GROUP) == "b: edited"
    assert nacos.read("three.properties", GROUP) == "c.d=3\n"
    assert nacos.read("four.json", GROUP) == '{"e": 4}'
    assert nacos.read("notes.txt", GROUP) is None
    assert nacos.read("bootstrap.yml", GROUP) is None


async def test_single_files_are_published(nacos: FakeNacos, tmp_path: Path) -> None:
    (tmp_path / "one.yml").write_text("a: 1")
    (tmp_path / "two.json").write_text("{}")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "three.yml").write_text("c: 3")
    await publish([tmp_path / "one.yml", tmp_path / "sub"], SETTINGS)
    assert nacos.read("one.yml", GROUP) == "a: 1"
    assert nacos.read("three.yml", GROUP) == "c: 3"
    assert nacos.read("two.json", GROUP) is None


async def test_what_is_no_document_is_refused(nacos: FakeNacos, tmp_path: Path) -> None:
    (tmp_path / "one.yml").write_text("a: 1")
    (tmp_path / "notes.txt").write_text("a: 1")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "one.yml").write_text("a: 2")
    for paths, words in (
        ([tmp_path / "notes.txt"], r"notes\.txt is no document: expected a name that ends in"),
        ([tmp_path / "one.yml", tmp_path / "sub"], "another of the files is one.yml, too"),
        ([tmp_path / "absent.yml"], "absent.yml"),
    ):
        with pytest.raises(StartError, match=words):
            await publish(paths, SETTINGS)
    assert nacos.read("one.yml", GROUP) is None


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("bad.yml", b"a: 1\na: 2", "line 2: the key 'a' "),
        ("bad.yml", b"\xff", "can't decode"),
        ("bad.json", b'{"a": 1', "line 1"),
        ("bad.properties", b"a=\\uZZZZ", "line 1"),
    ],
)
async def test_nothing_is_published_where_one_document_is_bad(
    nacos: FakeNacos, tmp_path: Path, name: str, content: bytes, words: str
) -> None:
    (tmp_path / "a-good.yml").write_text("a: 1")
    (tmp_path / name).write_bytes(content)
    with pytest.raises(StartError) as caught:
        await publish([tmp_path], SETTINGS)
    assert caught.value.final
    assert name in str(caught.value)
    assert words in str(caught.value)
    assert nacos.read("a-good.yml", GROUP) is None


async def test_an_empty_folder_is_a_mistake(nacos: FakeNacos, tmp_path: Path) -> None:
    with pytest.raises(StartError, match="holds no document to publish"):
        await publish([tmp_path], SETTINGS)


async def test_nacos_away(nacos: FakeNacos, tmp_path: Path) -> None:
    (tmp_path / "one.yml").write_text("a: 1")
    nacos.up = False
    with pytest.raises(StartError, match="nobody answers"):
        await publish([tmp_path], SETTINGS)

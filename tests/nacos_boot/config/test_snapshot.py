import json
import os
import stat
import time
from pathlib import Path

import pytest

from nacos_boot.config.snapshot import SnapshotError, SnapshotFile, SnapshotKeeper

CONTENTS = {"DEFAULT_GROUP/demo.yml": "demo.password: hunter2 é\n"}


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    file = SnapshotFile(tmp_path / "new" / "folder", "demo", "")
    file.save(CONTENTS)
    loaded = file.load()
    assert loaded is not None
    assert loaded.contents == CONTENTS
    assert abs(loaded.taken_at - time.time()) < 5


def test_only_its_owner_can_read_it(tmp_path: Path) -> None:
    file = SnapshotFile(tmp_path, "demo", "")
    previous = os.umask(0)
    try:
        file.save(CONTENTS)
        file.save(CONTENTS)
    finally:
        os.umask(previous)
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600


def test_programs_and_namespaces_do_not_share_one(tmp_path: Path) -> None:
    paths = {
        SnapshotFile(tmp_path, name, namespace).path
        for name in ("one", "two")
        for namespace in ("", "test")
    }
    assert len(paths) == 4


def test_it_is_replaced_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = SnapshotFile(tmp_path, "demo", "")
    file.save(CONTENTS)

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        file.save({"DEFAULT_GROUP/demo.yml": "x" * 100_000})
    loaded = file.load()
    assert loaded is not None
    assert loaded.contents == CONTENTS
    assert list(tmp_path.iterdir()) == [file.path]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        json.dumps({"contents": {}}),
        json.dumps({"contents": [], "taken_at": 1}),
        json.dumps({"contents": {}, "taken_at": "yesterday"}),
    ],
)
def test_one_that_is_damaged_is_an_error(tmp_path: Path, text: str) -> None:
    file = SnapshotFile(tmp_path, "demo", "")
    file.path.write_text(text)
    with pytest.raises(SnapshotError, match="it is damaged"):
        file.load()


def test_one_changed_by_hand_is_an_error(tmp_path: Path) -> None:
    file = SnapshotFile(tmp_path, "demo", "")
    file.save(CONTENTS)
    file.path.write_text(file.path.read_text().replace("hunter2", "hunter3"))
    with pytest.raises(SnapshotError, match="its md5"):
        file.load()


def test_one_of_another_namespace_is_an_error(tmp_path: Path) -> None:
    other, file = SnapshotFile(tmp_path, "demo", "test"), SnapshotFile(tmp_path, "demo", "")
    other.save(CONTENTS)
    other.path.rename(file.path)
    with pytest.raises(SnapshotError, match="of the namespace 'test', expected 'public'"):
        file.load()


def test_one_that_may_not_be_read_is_an_error(tmp_path: Path) -> None:
    file = SnapshotFile(tmp_path, "demo", "")
    file.path.mkdir()
    with pytest.raises(SnapshotError, match="it cannot be read"):
        file.load()


def test_a_name_with_a_slash_stays_in_the_folder(tmp_path: Path) -> None:
    file = SnapshotFile(tmp_path, "../demo/one", "a/b")
    file.save(CONTENTS)
    assert list(tmp_path.iterdir()) == [file.path]


async def test_a_failed_save_is_told_once_and_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "folder"
    folder.write_text("a file where the folder should be")
    file = SnapshotFile(folder, "demo", "")
    keeper = SnapshotKeeper(file)
    for _ in range(3):
        await keeper.save(CONTENTS)
    assert caplog.text.count("cannot be written") == 1
    assert keeper.saved_at is None
    folder.unlink()
    await keeper.save(CONTENTS)
    loaded = file.load()
    assert loaded is not None
    assert loaded.contents == CONTENTS
    assert keeper.saved_at is not None


async def test_what_is_saved_already_is_not_written_again(tmp_path: Path) -> None:
    file = SnapshotFile(tmp_path, "demo", "")
    keeper = SnapshotKeeper(file)
    await keeper.save(CONTENTS)
    file.path.unlink()
    await keeper.save(dict(CONTENTS))
    assert file.load() is None
    await keeper.save({})
    assert file.load() is not None


def test_none_is_none(tmp_path: Path) -> None:
    assert SnapshotFile(tmp_path, "demo", "").load() is None

import json
import os
import stat
import time
from pathlib import Path

import pytest

from nacos_boot.snapshot import SnapshotFile

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
def test_one_that_cannot_be_read_is_none(tmp_path: Path, text: str) -> None:
    file = SnapshotFile(tmp_path, "demo", "")
    file.path.write_text(text)
    assert file.load() is None


def test_none_is_none(tmp_path: Path) -> None:
    assert SnapshotFile(tmp_path, "demo", "").load() is None

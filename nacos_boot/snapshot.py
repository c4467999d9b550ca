"""The last good configuration on disk, for a start while Nacos cannot be reached."""

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The documents of the last configuration that passed every check; `taken_at` is Unix time."""

    contents: Mapping[str, str]
    taken_at: float


class SnapshotFile:
    """One program's snapshot. It may hold passwords, so only its owner can read it."""

    def __init__(self, folder: Path, application: str, namespace: str) -> None:
        self.path = folder / f"{application}@{namespace or 'public'}.json"

    def save(self, contents: Mapping[str, str]) -> None:
        """Replace the snapshot in one step. Raises OSError (a full disk, a read-only one)."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.path.with_name(f"{self.path.name}.{os.getpid()}")
        text = json.dumps({"taken_at": time.time(), "contents": dict(contents)})
        try:
            descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(self.path)
        finally:
            fresh.unlink(missing_ok=True)

    def load(self) -> Snapshot | None:
        """Read the snapshot; None where there is none, or where it cannot be read."""
        try:
            data = json.loads(self.path.read_text(encoding="utf-8"))
            contents = {str(key): str(value) for key, value in data["contents"].items()}
            return Snapshot(contents, float(data["taken_at"]))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

"""The last good configuration on disk, for a start while Nacos cannot be reached."""

import asyncio
import hashlib
import json
import logging
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The documents of the last configuration that passed every check; `taken_at` is Unix time."""

    contents: Mapping[str, str]
    taken_at: float


class SnapshotError(Exception):
    """There is a snapshot, and it cannot be used; the message says why."""


class SnapshotFile:
    """One program's snapshot. It may hold passwords, so only its owner can read it."""

    def __init__(self, folder: Path, application: str, namespace: str) -> None:
        self._namespace = namespace or "public"
        name = f"{quote(application, safe='')}@{quote(self._namespace, safe='')}.json"
        self.path = folder / name

    def save(self, contents: Mapping[str, str]) -> None:
        """Replace the snapshot in one step. Raises OSError (a full disk, a read-only one)."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.path.with_name(f"{self.path.name}.{os.getpid()}")
        text = json.dumps(
            {
                "taken_at": time.time(),
                "namespace": self._namespace,
                "md5": _md5(contents),
                "contents": dict(contents),
            }
        )
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
        """Read the snapshot, None where there is none. Raises SnapshotError."""
        try:
            data = json.loads(self.path.read_text(encoding="utf-8"))
            contents = {str(key): str(value) for key, value in data["contents"].items()}
            taken_at = float(data["taken_at"])
            md5, namespace = data["md5"], data["namespace"]
        except FileNotFoundError:
            return None
        except OSError as error:
            raise SnapshotError(f"it cannot be read ({error.strerror})") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise SnapshotError("it is damaged, or not a snapshot of this version") from error
        if md5 != _md5(contents):
            raise SnapshotError("it is damaged: its md5 is another one")
        if namespace != self._namespace:
            raise SnapshotError(
                f"it is of the namespace '{namespace}', expected '{self._namespace}'"
            )
        return Snapshot(contents, taken_at)


class SnapshotKeeper:
    """Keeps the file up to what is in force, beside the event loop: a disk may be slow.

    What cannot be written is a warning, and is tried again at the next `save`.
    """

    def __init__(self, file: SnapshotFile) -> None:
        self._file = file
        self._saved: Mapping[str, str] | None = None
        self._one_at_a_time = asyncio.Lock()
        self._failed = False
        self.saved_at: float | None = None
        """Unix time of the last save by this process."""

    async def save(self, contents: Mapping[str, str]) -> None:
        """Save, unless just this is what was saved last. Never raises."""
        async with self._one_at_a_time:
            if contents == self._saved:
                return
            try:
                await asyncio.to_thread(self._file.save, contents)
            except OSError as error:
                if not self._failed:
                    log.warning("the snapshot %s cannot be written: %s", self._file.path, error)
                self._failed = True
            else:
                self._failed = False
                self._saved, self.saved_at = contents, time.time()


def _md5(contents: Mapping[str, str]) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    for key in sorted(contents):
        digest.update(f"{key}\n{contents[key]}\n".encode())
    return digest.hexdigest()

"""The documents that a program starts with: those in Nacos, or where it is away the snapshot."""

import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from nacos_boot.config.reader import missing_of
from nacos_boot.config.snapshot import SnapshotError, SnapshotFile
from nacos_boot.nacos.error import UnreachableError
from nacos_boot.start.bootstrap import Bootstrap
from nacos_boot.start.startup import StartError, retried

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StartDocuments:
    """The texts by `group/data id`, where they come from, and the snapshot's age in seconds.

    The age is None where they come from Nacos.
    """

    contents: Mapping[str, str]
    where: str
    age: float | None = None


async def read_for_start(
    bootstrap: Bootstrap,
    read: Callable[[], Awaitable[Mapping[str, str]]],
    snapshot: SnapshotFile | None,
) -> StartDocuments:
    """Read within the start window; the snapshot counts only where Nacos gives no answer.

    `snapshot` is None where a setting has switched it off. Raises StartError.
    """
    try:
        contents = await retried("Nacos", bootstrap.nacos.start_timeout, read)
    except UnreachableError as error:
        if snapshot is None:
            raise
        found = _from_snapshot(bootstrap, snapshot, error)
    else:
        found = StartDocuments(contents, "Nacos")
    # Whether a profile is without any document is told apart from this.
    of_profiles = [bootstrap.of_profile(profile) for profile in bootstrap.profiles]
    missing = [
        document.key
        for document in bootstrap.documents
        if document.key not in found.contents and document not in of_profiles
    ]
    if missing:
        log.warning("%s has no %s: going on without", found.where, ", ".join(missing))
    return found


def _from_snapshot(
    bootstrap: Bootstrap, snapshot: SnapshotFile, unreachable: UnreachableError
) -> StartDocuments:
    try:
        found = snapshot.load()
    except SnapshotError as error:
        raise StartError(
            f"{unreachable}; the snapshot {snapshot.path} cannot be used: {error}"
        ) from error
    if found is None:
        raise unreachable
    known = {document.key for document in bootstrap.documents}
    contents = {key: text for key, text in found.contents.items() if key in known}
    if missing := missing_of(bootstrap, contents):
        raise StartError(
            f"{unreachable}; the snapshot {snapshot.path} cannot be used: it has no {missing}"
        )
    age = max(time.time() - found.taken_at, 0.0)
    log.warning("%s; starting from the snapshot %s, %.0f s old", unreachable, snapshot.path, age)
    return StartDocuments(contents, str(snapshot.path), age)

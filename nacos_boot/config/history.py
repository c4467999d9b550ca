"""What the edits did: each change of the documents, applied or refused, the last ones kept."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from nacos_boot.settings.changes import KeyChange

KEPT = 50


@dataclass(frozen=True, slots=True)
class Edit:
    """A change of the documents; `at` in Unix time, `md5` of all documents with it.

    `documents` are those that it touched, as (group, data id, md5); the md5 is empty where the
    document is gone. `changes` are the first keys that it changed, `more` is the number of the
    others. `refused` says why it is not in force, and is None where it is.
    """

    at: float
    md5: str
    documents: tuple[tuple[str, str, str], ...]
    changes: tuple[KeyChange, ...] = ()
    more: int = 0
    refused: str | None = None


class History:
    """The last 50 edits of one program's run."""

    def __init__(self) -> None:
        self._edits: deque[Edit] = deque(maxlen=KEPT)

    def add(self, edit: Edit) -> None:
        """Note an edit."""
        self._edits.append(edit)

    def __iter__(self) -> Iterator[Edit]:
        """Give the edits, the newest first."""
        return reversed(self._edits)

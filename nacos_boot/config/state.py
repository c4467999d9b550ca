"""What can be said of the configuration at a moment: what is in force, and what is wrong."""

from dataclasses import dataclass
from enum import StrEnum

from nacos_boot.config.pending import Pending
from nacos_boot.settings.bind import Problem


class FaultKind(StrEnum):
    """Why the documents in Nacos are not the ones in force."""

    EMPTY = "empty"  # a document that held settings holds none
    DELETED = "deleted"  # it was there while this program ran
    MISSING = "missing"  # it is needed, and was not there since this program's start
    INVALID = "invalid"  # it does not parse, or its settings do not pass the checks
    FORBIDDEN = "forbidden"  # Nacos refuses the account
    UNREACHABLE = "unreachable"  # Nacos gives no answer


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong; `since` in Unix time. `problems` say where, as far as is known."""

    kind: FaultKind
    message: str
    since: float = 0.0
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class ConfigState:
    """What can be said of the configuration at this moment.

    `md5` is of the documents in force, `applied_at` in Unix time. `refused` says why the newest
    documents are not in force, `unread` why Nacos could not be asked; `snapshot_age` is in seconds
    where the start was from the snapshot. Each is None where all is well. `pending` are the
    settings that wait for a restart.
    """

    md5: str = ""
    applied_at: float = 0.0
    refused: Fault | None = None
    unread: Fault | None = None
    snapshot_age: float | None = None
    pending: tuple[Pending, ...] = ()

    @property
    def faults(self) -> tuple[Fault, ...]:
        """All that is wrong, the documents' own faults first."""
        return tuple(fault for fault in (self.refused, self.unread) if fault is not None)

    @property
    def fault(self) -> Fault | None:
        """What is to be mended first: an edit of the documents, before the way to them."""
        return next(iter(self.faults), None)

    @property
    def error(self) -> str | None:
        """What somebody must mend: the documents, or the account."""
        messages = [f.message for f in self.faults if f.kind is not FaultKind.UNREACHABLE]
        return "; ".join(messages) or None

    @property
    def unreachable(self) -> str | None:
        """Why Nacos gives no answer."""
        found = self.unread
        return found.message if found and found.kind is FaultKind.UNREACHABLE else None

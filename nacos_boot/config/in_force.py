"""The settings in force, and the decision about each change of the documents: all or nothing.

Pure but for the log: no I/O, and the clock is an argument.
"""

import hashlib
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Generic, TypeVar

from pydantic import BaseModel

from nacos_boot.config.decision import Bad, Good, decide, secrets_in
from nacos_boot.config.history import Edit, History
from nacos_boot.config.live import LiveSettings
from nacos_boot.config.metrics import APPLIED, REFUSED
from nacos_boot.config.pending import Pending, pending_restarts
from nacos_boot.config.state import ConfigState, Fault
from nacos_boot.logs.masking import know_secrets
from nacos_boot.settings.configuration import Configuration, assemble
from nacos_boot.settings.framework import FrameworkSettings, read_too_late
from nacos_boot.start.bootstrap import Bootstrap

log = logging.getLogger(__name__)

T = TypeVar("T", bound=BaseModel)


class SettingsInForce(Generic[T]):
    """One program's settings from its start on; raises SettingsError where they cannot be used.

    `contents` are the documents as they were seen last, in force or refused; `synced` is when each
    of those in force came into force (Unix time).
    """

    def __init__(
        self, model: type[T], bootstrap: Bootstrap, contents: Mapping[str, str], now: float
    ) -> None:
        self._model = model
        self._bootstrap = bootstrap
        self._refused: Mapping[str, str] | None = None
        self._told_too_late: set[tuple[str, str]] = set()
        self.configuration: Configuration[T] = assemble(model, bootstrap, contents)
        know_secrets(secrets_in(self.configuration))
        # What a restart is needed for stays as it was at the start, whatever is edited.
        self._started = self.configuration
        self.contents = contents
        self.synced = dict.fromkeys(contents, now)
        self.history = History()
        self.live: LiveSettings[T] = LiveSettings(self.configuration.bound.settings)
        self.framework: LiveSettings[FrameworkSettings] = LiveSettings(
            self.configuration.framework.settings
        )
        _warn(self.configuration.warnings)
        self._tell_what_is_too_late()

    def is_news(self, contents: Mapping[str, str]) -> bool:
        """Tell whether the documents are others than those in force and those refused last."""
        return contents not in (self.configuration.contents, self._refused)

    def decide(self, contents: Mapping[str, str]) -> Good[T] | Bad[T]:
        """Decide about documents without doing anything; a thread of its own may do that."""
        return decide(self._model, self._bootstrap, contents, self.configuration)

    def take(
        self,
        contents: Mapping[str, str],
        state: ConfigState,
        clock: Callable[[], float],
        decided: Good[T] | Bad[T] | None = None,
    ) -> ConfigState:
        """Decide about documents as they are seen now, and apply them where they are good.

        `decided` is what `decide` has given for them. Gives the state that follows from `state`.
        Never raises.
        """
        self.contents = contents
        if contents == self.configuration.contents:
            self._refused = None
            return replace(state, refused=None, snapshot_age=None)
        if contents == self._refused:
            return state
        if decided is None or decided.before is not self.configuration:
            decided = self.decide(contents)
        if isinstance(decided, Good):
            return self._apply(decided, state, clock)
        fault = Fault(decided.kind, decided.message, clock(), decided.problems)
        return self._refuse(contents, state, fault)

    def refuse(self, contents: Mapping[str, str], state: ConfigState, fault: Fault) -> ConfigState:
        """Refuse documents for a reason that does not lie in what they say."""
        self.contents = contents
        return state if contents == self._refused else self._refuse(contents, state, fault)

    def _apply(self, good: Good[T], state: ConfigState, clock: Callable[[], float]) -> ConfigState:
        before, after = good.before, good.after
        pending = self._pending(after)
        self.configuration, self._refused = after, None
        know_secrets(good.secrets)
        APPLIED.inc()
        more = (f"and {good.more} more",) if good.more else ()
        told = ", ".join((*map(str, good.changed), *more))
        log.info("settings changed: %s", told or "no value differs")
        _warn(warning for warning in after.warnings if warning not in before.warnings)
        self._tell_what_is_too_late()
        for key, origin in good.without_effect:
            log.warning("the edit of %s has no effect: %s pins this key", key, origin)
        _tell_pending(state.pending, pending)
        self.framework.swap(after.framework.settings)
        self.live.swap(after.bound.settings)
        now = clock()
        touched = _touched(before.contents, after.contents)
        edit = Edit(now, md5_of(after.contents), touched, good.changed, good.more)
        self.history.add(edit)
        self.synced.update({f"{group}/{name}": now for group, name, md5 in touched if md5})
        return ConfigState(edit.md5, now, unread=state.unread, pending=pending)

    def _refuse(self, contents: Mapping[str, str], state: ConfigState, fault: Fault) -> ConfigState:
        self._refused = contents
        touched = _touched(self.configuration.contents, contents)
        self.history.add(Edit(fault.since, md5_of(contents), touched, refused=fault.message))
        REFUSED.labels(fault.kind).inc()
        log.error("the change in Nacos is refused, the last good settings stay: %s", fault.message)
        return replace(state, refused=fault)

    def _pending(self, now: Configuration[T]) -> tuple[Pending, ...]:
        started = self._started
        found = [
            *pending_restarts(started.bound.settings, now.bound),
            *pending_restarts(started.framework.settings, now.framework),
        ]
        # A section that the program has, too, is told of once.
        return tuple({pending.key: pending for pending in found}.values())

    def _tell_what_is_too_late(self) -> None:
        documents = self.configuration.documents
        lines = {source.name: source.lines for source in documents.values()}
        for source, key in read_too_late(documents):
            if (source, key) not in self._told_too_late:
                self._told_too_late.add((source, key))
                line = lines[source].get(key)
                log.warning(
                    "%s: %s has no effect there, since it is needed before Nacos is asked;"
                    " expected it in bootstrap.yml, the environment or the command line",
                    f"{source}, line {line}" if line else source,
                    key,
                )


def _warn(sentences: Iterable[str]) -> None:
    for sentence in sentences:
        log.warning("%s", sentence)


def md5_of(contents: Mapping[str, str]) -> str:
    """Give one md5 for all documents, whatever their order."""
    digest = hashlib.md5(usedforsecurity=False)
    for key in sorted(contents):
        digest.update(f"{key}\n{contents[key]}\n".encode())
    return digest.hexdigest()


def document_md5(content: str) -> str:
    """Give the md5 of one document, as the Nacos console shows it."""
    return hashlib.md5(content.encode(), usedforsecurity=False).hexdigest()


def _touched(
    before: Mapping[str, str], after: Mapping[str, str]
) -> tuple[tuple[str, str, str], ...]:
    found: list[tuple[str, str, str]] = []
    for key in sorted({*before, *after}):
        if before.get(key) != after.get(key):
            group, _, data_id = key.partition("/")
            found.append((group, data_id, document_md5(after[key]) if key in after else ""))
    return tuple(found)


def _tell_pending(before: tuple[Pending, ...], after: tuple[Pending, ...]) -> None:
    for pending in after:
        if pending not in before:
            log.warning("a restart is needed for %s", pending)
    for key in {one.key for one in before} - {one.key for one in after}:
        log.info("no restart is needed for %s: it is again the value in use", key)

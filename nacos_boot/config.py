"""Live configuration: the documents in Nacos, bound to settings, and applied as they change."""

import asyncio
import contextlib
import hashlib
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from pydantic import BaseModel

from nacos_boot.bootstrap import Bootstrap
from nacos_boot.changes import describe, without_effect
from nacos_boot.config_reader import ConfigReader, ConfigServer, document_key
from nacos_boot.documents import DocumentError, parse_yaml
from nacos_boot.live import LiveSettings
from nacos_boot.nacos_error import NacosError
from nacos_boot.settings import Bound, Problem, SettingsError, bind
from nacos_boot.snapshot import SnapshotFile
from nacos_boot.sources import PropertySource
from nacos_boot.startup import StartError, retried

log = logging.getLogger(__name__)

T = TypeVar("T", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class ConfigState:
    """What can be said of the configuration at this moment.

    `md5` is of the documents in force, `applied_at` in Unix time. `error` says why the newest
    documents were refused, `unreachable` why Nacos could not be asked; `snapshot_age` is in
    seconds where the start was from the snapshot. Each is None where all is well.
    """

    md5: str = ""
    applied_at: float = 0.0
    error: str | None = None
    unreachable: str | None = None
    snapshot_age: float | None = None


@dataclass(frozen=True, slots=True)
class _Configuration(Generic[T]):
    contents: Mapping[str, str]
    sources: tuple[PropertySource, ...]
    bound: Bound[T]


class NacosConfig(Generic[T]):
    """The settings of one program, from its documents in Nacos.

    All or nothing: a change is parsed, merged, bound and checked whole, then swapped once. Anything
    wrong leaves the last good settings in force, and `state` says why.
    """

    def __init__(self, model: type[T], bootstrap: Bootstrap, server: ConfigServer) -> None:
        self._model = model
        self._bootstrap = bootstrap
        self._server = server
        self._snapshot = SnapshotFile(
            bootstrap.nacos.config.snapshot_dir, bootstrap.application, bootstrap.nacos.namespace
        )
        self._stirred = asyncio.Event()
        self._reader = ConfigReader(bootstrap, server, self._stirred.set)
        self._refused: Mapping[str, str] | None = None
        self._observers: list[Callable[[ConfigState], None]] = []
        self._in_force: _Configuration[T]
        self.live: LiveSettings[T]
        self.state = ConfigState()

    @property
    def document_md5s(self) -> Mapping[str, str]:
        """The md5 of each document in force, by `group/data id`: what the Nacos console shows."""
        return {
            key: hashlib.md5(content.encode(), usedforsecurity=False).hexdigest()
            for key, content in self._in_force.contents.items()
        }

    def observe(self, callback: Callable[[ConfigState], None]) -> None:
        """Have `callback(state)` called whenever the state of the configuration changes."""
        self._observers.append(callback)

    async def load(self) -> LiveSettings[T]:
        """Read and check everything for the first time, within the start window.

        Falls back on the snapshot where Nacos cannot be reached. Raises StartError.
        """
        nacos = self._bootstrap.nacos
        age = None
        try:
            contents = await retried("Nacos", nacos.start_timeout, self._reader.first_read)
        except StartError as error:
            snapshot = self._snapshot.load() if nacos.config.snapshot else None
            if error.final or snapshot is None:
                raise
            contents = dict(snapshot.contents)
            age = max(time.time() - snapshot.taken_at, 0.0)
            where = self._snapshot.path
            log.warning("%s; starting from the snapshot %s, %.0f s old", error, where, age)
        try:
            self._in_force = self._configuration(contents)
        except SettingsError as error:
            raise StartError(f"the settings in Nacos are not valid: {error}", final=True) from error
        self.live = LiveSettings(self._in_force.bound.settings)
        self.state = ConfigState(_md5(contents), time.time(), snapshot_age=age)
        if age is None:
            self._save_snapshot()
        return self.live

    async def watch(self) -> None:
        """Apply changes as they are published; runs until cancelled.

        A listener stirs it at once; the watchdog reads again at its interval, whatever the
        listener's stream may have missed.
        """
        interval = self._bootstrap.nacos.config.watchdog_interval.total_seconds()
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(interval):
                    await self._stirred.wait()
            self._stirred.clear()
            await self.refresh()

    async def refresh(self) -> None:
        """Read the documents now and apply what changed. Never raises for a bad document."""
        try:
            contents = await self._reader.read(self._in_force.contents)
        except (NacosError, StartError) as error:
            if self.state.unreachable is None:
                log.warning("%s; the settings in force stay", error)
            self._now(replace(self.state, unreachable=str(error)))
            return
        if self.state.unreachable is not None:
            log.info("Nacos at %s answers again", self._server.address)
        reached = replace(self.state, unreachable=None, snapshot_age=None)
        if contents == self._in_force.contents:
            self._refused = None
            self._now(replace(reached, error=None))
        elif contents == self._refused:
            self._now(reached)
        else:
            self._now(self._applied(contents, reached))

    def _applied(self, contents: dict[str, str], state: ConfigState) -> ConfigState:
        before = self._in_force
        try:
            gone = [key for key in before.contents if key not in contents]
            if gone:
                raise SettingsError([_deleted(key) for key in gone])
            after = self._configuration(contents)
        except SettingsError as error:
            self._refused = contents
            log.error("the change in Nacos is refused, the last good settings stay: %s", error)
            return replace(state, error=str(error))
        self._in_force, self._refused = after, None
        log.info("settings changed: %s", describe(before.bound.merged, after.bound.merged))
        for key in without_effect(before.sources, after.sources, after.bound.merged):
            origin = after.bound.merged.origin_of(key)
            log.warning("the edit of %s has no effect: %s pins this key", key, origin)
        self.live.swap(after.bound.settings)
        self._save_snapshot()
        return ConfigState(_md5(contents), time.time())

    def _configuration(self, contents: Mapping[str, str]) -> _Configuration[T]:
        sources: list[PropertySource] = []
        problems: list[Problem] = []
        for document in self._bootstrap.documents:
            content = contents.get(document_key(document))
            if content is None:
                continue
            try:
                sources.append(PropertySource(document.data_id, parse_yaml(content)))
            except DocumentError as error:
                problems.append(Problem(document.data_id, "the document", "(text)", str(error)))
        if problems:
            raise SettingsError(problems)
        bound = bind(
            self._model,
            [self._bootstrap.local, *sources],
            self._bootstrap.environ,
            [self._bootstrap.arguments],
        )
        return _Configuration(contents, tuple(sources), bound)

    def _save_snapshot(self) -> None:
        if not self._bootstrap.nacos.config.snapshot:
            return
        try:
            self._snapshot.save(self._in_force.contents)
        except OSError as error:
            log.warning("the snapshot %s cannot be written: %s", self._snapshot.path, error)

    def _now(self, state: ConfigState) -> None:
        if state != self.state:
            self.state = state
            for callback in self._observers:
                callback(state)


def _deleted(key: str) -> Problem:
    return Problem(
        key.partition("/")[2],
        "the document",
        "(deleted)",
        "expected it to exist, since it is in force; publish it again, or restart without it",
    )


def _md5(contents: Mapping[str, str]) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    for key in sorted(contents):
        digest.update(f"{key}\n{contents[key]}\n".encode())
    return digest.hexdigest()

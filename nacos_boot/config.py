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
from nacos_boot.config_reader import ConfigReader, ConfigServer
from nacos_boot.configuration import Configuration, assemble
from nacos_boot.live import LiveSettings
from nacos_boot.nacos_error import NacosError, UnreachableError
from nacos_boot.settings import SettingsError
from nacos_boot.snapshot import SnapshotFile
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
        self._one_at_a_time = asyncio.Lock()
        self._refused: Mapping[str, str] | None = None
        self._observers: list[Callable[[ConfigState], None]] = []
        self._in_force: Configuration[T]
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
        age, where = None, "Nacos"
        try:
            contents = await retried("Nacos", nacos.start_timeout, self._reader.first_read)
        except UnreachableError as error:
            snapshot = self._snapshot.load() if nacos.config.snapshot else None
            if snapshot is None:
                raise
            contents = dict(snapshot.contents)
            age, where = max(time.time() - snapshot.taken_at, 0.0), str(self._snapshot.path)
            log.warning("%s; starting from the snapshot %s, %.0f s old", error, where, age)
        try:
            self._in_force = assemble(self._model, self._bootstrap, contents)
        except SettingsError as error:
            raise StartError(
                f"the settings in {where} are not valid: {error}", final=True
            ) from error
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
            try:
                await self.refresh()
            except Exception:
                # A bug must not end the watch: the next change may well be the remedy.
                log.exception("the settings could not be read again")

    async def refresh(self) -> None:
        """Read the documents now and apply what changed. Never raises for a bad document."""
        async with self._one_at_a_time:
            try:
                contents = await self._reader.read(self._in_force.contents)
            except (NacosError, StartError) as error:
                if self.state.unreachable is None:
                    log.warning("%s; the settings in force stay", error)
                self._now(replace(self.state, unreachable=str(error)))
            else:
                self._take(contents)

    def _take(self, contents: dict[str, str]) -> None:
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
            after = assemble(self._model, self._bootstrap, contents, replaces=before)
        except SettingsError as error:
            return self._refuse(contents, state, str(error))
        except Exception as error:
            # A check of the program's own settings has a bug; it must not stop the program.
            log.exception("the settings could not be checked")
            return self._refuse(contents, state, f"a check of the settings failed: {error!r}")
        self._in_force, self._refused = after, None
        log.info("settings changed: %s", describe(before.bound.merged, after.bound.merged))
        for key in without_effect(before.bound, after.bound):
            origin = after.bound.merged.origin_of(key)
            log.warning("the edit of %s has no effect: %s pins this key", key, origin)
        self.live.swap(after.bound.settings)
        self._save_snapshot()
        return ConfigState(_md5(contents), time.time())

    def _refuse(self, contents: dict[str, str], state: ConfigState, error: str) -> ConfigState:
        self._refused = contents
        log.error("the change in Nacos is refused, the last good settings stay: %s", error)
        return replace(state, error=error)

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
                try:
                    callback(state)
                except Exception:
                    log.exception("a component could not take over the state of the settings")


def _md5(contents: Mapping[str, str]) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    for key in sorted(contents):
        digest.update(f"{key}\n{contents[key]}\n".encode())
    return digest.hexdigest()

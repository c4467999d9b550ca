"""Live configuration: the documents in Nacos, bound to settings, and applied as they change."""

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Generic, TypeVar

from pydantic import BaseModel

from nacos_boot.config import metrics as config_metrics
from nacos_boot.config.decision import Bad, Good
from nacos_boot.config.first import read_for_start
from nacos_boot.config.history import History
from nacos_boot.config.in_force import SettingsInForce, document_md5, md5_of
from nacos_boot.config.live import LiveSettings
from nacos_boot.config.reader import SETTLED, ConfigReader, ConfigServer, missing_of
from nacos_boot.config.snapshot import SnapshotFile, SnapshotKeeper
from nacos_boot.config.state import ConfigState, Fault, FaultKind
from nacos_boot.nacos.error import NacosError, NacosForbiddenError, UnreachableError
from nacos_boot.settings.bind import SettingsError
from nacos_boot.settings.changes import changed_keys
from nacos_boot.settings.configuration import Configuration
from nacos_boot.settings.framework import FrameworkSettings
from nacos_boot.start.bootstrap import Bootstrap
from nacos_boot.start.startup import StartError

log = logging.getLogger(__name__)

T = TypeVar("T", bound=BaseModel)

_LARGE = 100_000
"""Characters of all documents from which on they are looked at in a thread: some 20 ms of CPU."""


class NacosConfig(Generic[T]):
    """The settings of one program, from its documents in Nacos.

    All or nothing: a change is parsed, merged, bound and checked whole, then swapped once. Anything
    wrong leaves the last good settings in force, and `state` says why.
    """

    def __init__(self, model: type[T], bootstrap: Bootstrap, server: ConfigServer) -> None:
        self._model = model
        self._server = server
        self._settings = bootstrap.nacos.config
        self._interval = self._settings.watchdog_interval.total_seconds()
        file = SnapshotFile(
            self._settings.snapshot_dir,
            bootstrap.application,
            bootstrap.nacos.for_config().namespace,
        )
        self._snapshot_file = file
        self._snapshots = SnapshotKeeper(file)
        self._reader = ConfigReader(bootstrap, server, self._pushed)
        self._one_at_a_time = asyncio.Lock()
        self._stirred = asyncio.Event()
        self._read_at = 0.0  # loop time of the watchdog's next round
        self._verify_at = math.inf  # loop time at which what was pushed is to be confirmed
        self._told_at = -math.inf  # loop time at which a listener last asked for a read
        self._pushes = 0
        self._observers: list[Callable[[ConfigState], None]] = []
        self._in_force: SettingsInForce[T]
        self.bootstrap = bootstrap
        self.loaded = False
        self.state = ConfigState()

    @property
    def live(self) -> LiveSettings[T]:
        """The program's settings; there once `load` has returned."""
        return self._in_force.live

    @property
    def framework(self) -> LiveSettings[FrameworkSettings]:
        """The settings that any program has; there once `load` has returned."""
        return self._in_force.framework

    @property
    def in_force(self) -> Configuration[T]:
        """The documents in force and the settings made of them; there once `load` has returned."""
        return self._in_force.configuration

    @property
    def document_md5s(self) -> Mapping[str, str]:
        """The md5 of each document in force, by `group/data id`: what the Nacos console shows."""
        contents = self._in_force.configuration.contents
        return {key: document_md5(content) for key, content in contents.items()}

    @property
    def synced(self) -> Mapping[str, float]:
        """When each document in force was taken over (Unix time), by `group/data id`."""
        return self._in_force.synced

    @property
    def history(self) -> History:
        """The last edits of the documents since the start, applied or refused."""
        return self._in_force.history

    @property
    def snapshot_saved_at(self) -> float | None:
        """When this process last saved the snapshot (Unix time)."""
        return self._snapshots.saved_at

    def observe(self, callback: Callable[[ConfigState], None]) -> None:
        """Have `callback(state)` called whenever the state of the configuration changes."""
        self._observers.append(callback)

    async def load(self) -> LiveSettings[T]:
        """Read and check everything for the first time, within the start window.

        Falls back on the snapshot where Nacos cannot be reached. Raises StartError.
        """
        file = self._snapshot_file if self._settings.snapshot else None
        read = await read_for_start(self.bootstrap, self._reader.first_read, file)
        now = time.time()
        try:
            self._in_force = SettingsInForce(self._model, self.bootstrap, read.contents, now)
        except SettingsError as error:
            raise StartError(
                f"the settings in {read.where} are not valid: {error}", final=True
            ) from error
        self.loaded = True
        self._now(ConfigState(md5_of(read.contents), now, snapshot_age=read.age))
        if read.age is None:
            await self._save_snapshot()
        return self.live

    async def watch(self) -> None:
        """Apply changes as they are published; runs until cancelled.

        What a listener is told is applied at once, and confirmed by a read when it has settled; the
        watchdog reads again at its interval, whatever the listener's stream may have missed.
        """
        loop = asyncio.get_running_loop()
        self._read_at = loop.time() + self._interval
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(min(self._read_at, self._verify_at)):
                    await self._stirred.wait()
            self._stirred.clear()
            try:
                if loop.time() >= min(self._read_at, self._verify_at):
                    self._read_at = loop.time() + self._interval
                    self._verify_at = math.inf
                    await self.refresh()
                await self._save_snapshot()
            except Exception:
                # A bug must not end the watch: the next change may well be the remedy.
                log.exception("the settings could not be read again")

    async def refresh(self) -> list[str]:
        """Read the documents now and apply what changed; gives the keys whose values differ.

        Never raises for a bad document or for a server that is away: `state` tells.
        """
        async with self._one_at_a_time:
            before = self.in_force.bound.merged
            # What a snapshot says of documents that do not refresh is older than any start.
            everything = self.state.snapshot_age is not None
            try:
                contents = await self._reader.read(self.in_force.contents, everything=everything)
            except (NacosError, StartError) as error:
                self._unread(error)
            else:
                await self._consider(contents)
            return changed_keys(before, self.in_force.bound.merged)

    def _pushed(self, key: str, content: str | None) -> None:
        if not self.loaded:
            # The first read takes it into account.
            return
        now = asyncio.get_running_loop().time()
        self._pushes += 1
        contents = {**self._in_force.contents, key: content or ""}
        if content is None or self.state.snapshot_age is not None or _is_large(contents):
            self._verify_at = self._told_at = now
        else:
            self._verify_at = now + SETTLED
            self._now(self._in_force.take(contents, self.state, time.time))
        self._stirred.set()

    async def _consider(self, contents: Mapping[str, str]) -> None:
        if not (_is_large(contents) and self._in_force.is_news(contents)):
            self._read(contents)
            return
        pushes = self._pushes
        decided = await asyncio.to_thread(self._in_force.decide, contents)
        # A push of that time is newer, and has asked for a read of its own.
        if self._pushes == pushes:
            self._read(contents, decided)

    def _read(self, contents: Mapping[str, str], decided: Good[T] | Bad[T] | None = None) -> None:
        told = asyncio.get_running_loop().time() - self._told_at < SETTLED
        if self.state.unread is not None:
            log.info("Nacos at %s answers again", self._server.address)
        elif contents != self._in_force.contents and not told:
            config_metrics.FOUND_BY_WATCHDOG.inc()
        state = replace(self.state, unread=None)
        if state.snapshot_age is not None and (missing := missing_of(self.bootstrap, contents)):
            message = f"Nacos at {self._server.address} has no {missing}: publish it"
            fault = Fault(FaultKind.MISSING, message, time.time())
            self._now(self._in_force.refuse(contents, state, fault))
        else:
            self._now(self._in_force.take(contents, state, time.time, decided))

    def _unread(self, error: NacosError | StartError) -> None:
        before = self.state.unread
        refused = isinstance(error, NacosForbiddenError) or (
            isinstance(error, StartError) and not isinstance(error, UnreachableError)
        )
        kind = FaultKind.FORBIDDEN if refused else FaultKind.UNREACHABLE
        since = time.time()
        if before is not None and before.kind is kind:
            since = before.since
        else:
            log.warning("%s; the settings in force stay", error)
        self._now(replace(self.state, unread=Fault(kind, str(error), since)))

    async def _save_snapshot(self) -> None:
        # What was read from the snapshot is not made to look new; nor is a good one blanked where
        # configuration from Nacos is switched off.
        if self._settings.snapshot and self.state.snapshot_age is None and self.bootstrap.documents:
            await self._snapshots.save(self.in_force.contents)

    def _now(self, state: ConfigState) -> None:
        if state == self.state:
            return
        self.state = state
        config_metrics.show(state)
        for callback in self._observers:
            try:
                callback(state)
            except Exception:
                log.exception("a component could not take over the state of the settings")


def _is_large(contents: Mapping[str, str]) -> bool:
    return sum(map(len, contents.values())) > _LARGE

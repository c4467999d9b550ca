"""Switch the history on and off as the settings say, and run what it needs while it is on."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Protocol

from nacos_boot.config.live import LiveSettings
from service.clients.door import Door
from service.directory.directories import Directories
from service.directory.redis_store import StoreError
from service.history.history import History
from service.history.recorder import Recorder
from service.history.settings import HistorySection
from service.history.store import HistoryStore
from service.push.pusher import Pusher
from service.push.receiver import Receiver
from service.settings import NodeSettings

log = logging.getLogger(__name__)

AUDIT = 60.0
"""Seconds between two looks whether all that is in the streams has come: a safety net."""

_LOOK = 0.2
_SWEEP = timedelta(minutes=1)
_SHORTEST = timedelta(seconds=1)
_AGAIN = 1.0


class Consuming(Protocol):
    """What tells how often this node's queue was set up."""

    @property
    def ups(self) -> int:
        """How often it was set up again."""


class HistorySwitch:
    """Gives Pusher, Receiver and Door a history, or none."""

    def __init__(  # noqa: PLR0917 - what it switches
        self,
        live: LiveSettings[NodeSettings],
        directories: Directories,
        pusher: Pusher,
        receiver: Receiver,
        door: Door,
        arrivals: Consuming,
    ) -> None:
        self._live = live
        self._directories = directories
        self._pusher = pusher
        self._receiver = receiver
        self._door = door
        self._arrivals = arrivals
        self._changed = asyncio.Event()
        prefix = live.current.websocket.redis.key_prefix
        self._store = HistoryStore(lambda: directories.side.store, prefix)
        live.subscribe(lambda _old, _new: self._changed.set())

    @property
    def _settings(self) -> HistorySection:
        return self._live.current.websocket.history

    async def run(self) -> None:
        """Follow the settings; runs until cancelled."""
        while True:
            if self._settings.enabled:
                await self._be_on()
            await self._changed.wait()
            self._changed.clear()

    async def _be_on(self) -> None:
        hub = self._door.hub
        history = History(hub, self._store, lambda: self._settings)
        for user in hub.users:
            history.enter(user)
        self._pusher.recorder = Recorder(self._store, lambda: self._settings)
        self._receiver.history = self._door.history = history
        works = (
            history.catch_up.read_heads,
            history.catch_up.fill_gaps,
            history.kept.run,
            lambda: self._watch(history),
            self._sweep,
        )
        tasks = [asyncio.create_task(_insist(work)) for work in works]
        history.catch_up.ask_all()
        log.info("the history is on")
        try:
            while self._settings.enabled:
                await self._changed.wait()
                self._changed.clear()
        finally:
            self._pusher.recorder = self._receiver.history = self._door.history = None
            for task in tasks:
                task.cancel()
            history.let_all_in()
        log.info("the history is off")

    async def _watch(self, history: History) -> None:
        """Compare everything when this node may have missed something."""
        loop = asyncio.get_running_loop()
        seen, compared_at = self._circumstances(), loop.time()
        while True:
            await asyncio.sleep(_LOOK)
            now = self._circumstances()
            if now != seen or loop.time() - compared_at >= AUDIT:
                seen, compared_at = now, loop.time()
                history.catch_up.ask_all()

    def _circumstances(self) -> object:
        directory = self._directories.side.directory
        return self._arrivals.ups, directory.up, directory.run_id, id(directory)

    async def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        swept_at = loop.time()
        while True:
            await asyncio.sleep(_SHORTEST.total_seconds())
            age = self._settings.age
            pause = min(_SWEEP, max(age / 4, _SHORTEST))
            if loop.time() - swept_at < pause.total_seconds():
                continue
            swept_at = loop.time()
            try:
                removed = await self._store.trim(age, pause * 0.8)
            except StoreError as error:
                log.debug("%s; sweeping later", error)
            else:
                if removed:
                    log.info("the history has become shorter by %d pushes too old", removed)


async def _insist(work: Callable[[], Awaitable[None]]) -> None:
    while True:
        try:
            await work()
        except Exception:
            # A bug must not leave the history half on.
            log.exception("a part of the history failed; it begins again")
        await asyncio.sleep(_AGAIN)

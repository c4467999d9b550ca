"""Keep this node known: its record in Redis, refreshed by cron more often than it expires."""

import asyncio
import logging
from collections.abc import Callable

from apscheduler.schedulers.asyncio import AsyncIOScheduler

from nacos_boot.config.live import LiveSettings
from nacos_boot.settings.cron import SpringCron
from service.directory.directory import Directory
from service.directory.node_record import NodeRecord
from service.directory.redis_store import StoreError
from service.settings import NodeSettings

log = logging.getLogger(__name__)

_JOB = "heartbeat"
_LOOK_INTERVAL = 1.0


class Heartbeat:
    """Beats by the cron of the settings; looks at the other nodes once a second.

    The look doubles as a watchdog on the monotonic clock: the scheduler runs on the wall clock,
    and a step back of that would stall it for as long. `error` says why the last try failed.
    `told_run_id` is what the record names.
    """

    def __init__(
        self,
        live: LiveSettings[NodeSettings],
        directory: Directory,
        record: Callable[[], NodeRecord],
    ) -> None:
        self._live = live
        self._directory = directory
        self._record = record
        self._scheduler = AsyncIOScheduler()
        self._beaten_at = 0.0
        self.told_run_id = ""
        self._stopped = False
        self._beating: asyncio.Future[None] | None = None
        self.error: str | None = None

    async def start(self) -> None:
        """Beat for the first time, and from then on by cron. Raises StoreError."""
        await self._directory.look()
        await self._beat()
        self._scheduler.start()
        self._scheduler.add_job(
            self.beat,
            SpringCron(self._live.current.websocket.node.heartbeat_cron).trigger,
            id=_JOB,
            # However late, a beat is worth making, and one makes up for all that were missed.
            misfire_grace_time=None,
            coalesce=True,
            max_instances=1,
        )

    async def watch(self) -> None:
        """Look at the nodes, and beat when Redis is back or a beat is overdue; until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_INTERVAL)
            try:
                await self._directory.look()
            except StoreError as error:
                self._failed(error)
                continue
            if self.error or self._overdue() or self._record().run_id != self.told_run_id:
                await self.beat()

    async def beat(self) -> None:
        """Write the record now. Never raises: the next try comes within a second."""
        if self._stopped:
            return
        try:
            await self._beat()
        except StoreError as error:
            self._failed(error)

    def stop(self) -> None:
        """Beat no more: a record removed from now on stays so."""
        if not self._stopped and self._scheduler.running:
            self._scheduler.shutdown(wait=False)
        self._stopped = True

    async def _beat(self) -> None:
        record = self._record()
        await self._directory.beat(record, self._live.current.websocket.node.ttl)
        self.told_run_id = record.run_id
        self._beaten_at = asyncio.get_running_loop().time()
        if self.error:
            log.info("Redis at %s answers again; the node record is there", self._directory.address)
            self.error = None

    def _overdue(self) -> bool:
        ttl = self._live.current.websocket.node.ttl.total_seconds()
        return asyncio.get_running_loop().time() - self._beaten_at > ttl * 0.8

    def _failed(self, error: StoreError) -> None:
        if not self.error:
            log.warning("%s; trying again every second", error)
        self.error = str(error)

    def settings_changed(self, old: NodeSettings, new: NodeSettings) -> None:
        """Beat by new settings at once: the cron, the TTL, and what the record tells."""
        if self._stopped or not self._scheduler.running:
            return
        before, after = old.websocket.node, new.websocket.node
        if before.heartbeat_cron != after.heartbeat_cron:
            self._scheduler.reschedule_job(_JOB, trigger=SpringCron(after.heartbeat_cron).trigger)
        if before != after or old.websocket.push != new.websocket.push:
            # The record in Redis still lives by the old TTL, and tells the old mode.
            self._beating = asyncio.ensure_future(self.beat())

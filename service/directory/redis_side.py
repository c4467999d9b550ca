"""This node's part at one Redis: its record and its users' entries, kept right while it runs."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Collection

from nacos_boot.config.live import LiveSettings
from nacos_boot.start.startup import StartError
from service.clients.hub import Hub
from service.directory.directory import Directory, Keys
from service.directory.directory_writer import DirectoryWriter
from service.directory.heartbeat import Heartbeat
from service.directory.node_record import NodeRecord
from service.directory.redis_store import RedisStore, StoreError
from service.moving.handover import Server
from service.settings import NodeSettings
from service.settings_servers import RedisSection

log = logging.getLogger(__name__)

_PAUSE = 1.0
_LOOK = 0.05
_SCAN_COUNT = 1000
_DRAIN_LIMIT = 2.0
_ERASE_LIMIT = 5.0


def redis_server(settings: NodeSettings) -> Server[RedisSection]:
    """Give the Redis of the settings; another database is another server."""
    redis = settings.spring.data.redis
    return Server.at(redis.host, redis.port, str(redis.database), redis)


class RedisSide:
    """One server's store, Directory, writer and heartbeat; a `mover.Side`.

    `record` makes the node record, given the run id of the server that it is for. `expected` gives
    the nodes known to be alive, as the Directory wants them. `leaving` says that this node no
    longer keeps the server, `shared` that another side is at the same one; `elsewhere(user)` has an
    entry written by the other sides. `most` gives how many connections a user may have in the
    whole cluster, as far as this side is to see to that.
    """

    def __init__(
        self,
        server: Server[RedisSection],
        store: RedisStore,
        *,
        keys: Keys,
        node: str,
        live: LiveSettings[NodeSettings],
        hub: Hub,
        record: Callable[[str], NodeRecord],
        expected: Callable[["RedisSide"], Collection[str] | None],
        leaving: Callable[[], bool],
        shared: Callable[["RedisSide"], bool],
        elsewhere: Callable[[str], None],
        most: Callable[["RedisSide"], int],
    ) -> None:
        self.server = server
        self.store = store
        self._keys = keys
        self._node = node
        self._shared = shared
        self._elsewhere = elsewhere
        self._leaving = leaving
        self.writer = DirectoryWriter(lambda: most(self))
        self.writer.hub = hub
        self.directory = Directory(
            store,
            keys,
            node,
            expected=lambda: expected(self),
            lost=self.writer.everything,
        )
        self.heartbeat = Heartbeat(live, self.directory, lambda: record(self._run_id_to_tell()))
        self._begun = False
        self._started = False
        self._erased = False
        self._start_error: str | None = None

    @property
    def mark(self) -> str:
        """What tells this server and database from others, as far as it has ever answered."""
        return f"{self.directory.run_id}/{self.server.settings.database}"

    @property
    def identity(self) -> str | None:
        """The mark, while the node record and every user's entry are written there."""
        run_id = self.directory.run_id
        told = self.heartbeat.told_run_id == run_id
        return (
            self.mark if run_id and told and self.directory.up and self.writer.caught_up else None
        )

    @property
    def error(self) -> str | None:
        """Why the server does not work, naming it."""
        return self._start_error or self.heartbeat.error or self.writer.error

    def changed(self, user: str) -> None:
        """Have a user's entry written soon."""
        # Before the first contact nothing of ours is there; then everything is written.
        if self._begun:
            self.writer.changed(user)

    async def connect(self) -> None:
        """Check that the server answers. Raises StartError."""
        await self.store.connect()

    async def start(self) -> None:
        """Write the node record, and begin to follow the Hub. Raises StoreError."""
        self._begun = True
        await self.heartbeat.start()
        self._started = True

    async def run(self) -> None:
        """Start where that has not been done, and keep all right; runs until cancelled."""
        if not self._started:
            await self._insist(self._reach)
        await asyncio.gather(self.writer.run(self.directory), self._keep_known())

    async def forget(self) -> None:
        """Remove the node record and all entries at the node's end. Never raises."""
        self.heartbeat.stop()
        with contextlib.suppress(TimeoutError):
            # A write under way must not arrive behind the removal.
            async with asyncio.timeout(_DRAIN_LIMIT):
                await self.writer.drained()
        await self._erase()

    async def _erase(self) -> None:
        if self._erased or not self.directory.up:
            return
        try:
            async with asyncio.timeout(_ERASE_LIMIT):
                # The name in the index goes last: by it, others find what stays behind.
                await self.writer.erase(self.directory)
                await self.directory.forget()
        except (StoreError, TimeoutError):
            log.info("%s: the node record is left to expire by its TTL", self.server.name)
        self._erased = True

    async def leave(self, *, same: bool) -> None:
        """Close; what was written there is removed unless it is the same server. Never raises."""
        self.heartbeat.stop()
        self.writer.release()
        if same or self._shared(self):
            # A write that was broken off may arrive behind one of the other side.
            for user in self.writer.unwritten:
                self._elsewhere(user)
        else:
            await self._erase()
        try:
            await self.store.close()
        except StoreError as error:
            log.debug("%s", error)

    async def _keep_known(self) -> None:
        if not self._started:
            # Another side may be at the same server: the record there holds good meanwhile.
            while not self.writer.caught_up:  # noqa: ASYNC110 - a moment of each move
                await asyncio.sleep(_LOOK)
            await self._insist(self.start)
        await self.heartbeat.watch()

    async def _insist(self, step: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await step()
            except (StartError, StoreError) as error:
                if self._start_error != str(error):
                    log.warning("cannot move to %s: %s; trying again", self.server.name, error)
                self._start_error = str(error)
                await asyncio.sleep(_PAUSE)
            else:
                self._start_error = None
                return

    async def _reach(self) -> None:
        await self.connect()
        await self._find_leftovers()
        self._begun = True
        await self.directory.look()

    async def _find_leftovers(self) -> None:
        """Have our entries looked at again that were left here when this node left in haste."""
        names, _ = await self.store.members(self._keys.nodes)
        if self._node not in names:
            return
        cursor = 0
        while True:
            cursor, keys = await self.store.scan(cursor, self._keys.all_users, _SCAN_COUNT)
            texts = await self.store.get_many(keys) if keys else []
            ours = f'"{self._node}"'.encode()
            self.writer.again(
                [
                    self._keys.user_of(key)
                    for key, text in zip(keys, texts, strict=True)
                    if text is not None and ours in text
                ]
            )
            if cursor == 0:
                return

    def _run_id_to_tell(self) -> str:
        # A record with a run id says that all users of this node are there.
        caught_up = self.writer.caught_up and not self._leaving()
        return self.directory.run_id if caught_up else ""

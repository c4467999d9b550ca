"""The Directory at the Redis of the settings, wherever that moves to."""

import asyncio
import zlib
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from nacos_boot.config.live import LiveSettings
from service import metrics
from service.clients.hub import Hub
from service.directory.directory import Directory, Keys
from service.directory.node_record import NodeRecord
from service.directory.redis_side import RedisSide, redis_server
from service.directory.redis_store import RedisStore
from service.moving.handover import Peers, Server, Standing
from service.moving.mover import Mover
from service.push.plan import Homes
from service.settings import NodeSettings
from service.settings_servers import RedisSection

_MARKS = 2**32

MAX_CURSOR = 2**64 * _MARKS - 1
"""The greatest cursor of `Directories.users`."""


class Directories:
    """Reads go to the Redis in use, writes to every one that is kept.

    `record` makes the node record, given the run id of the server that it is for; `expected` gives
    the ids of the nodes known to be alive, `peers` what they say of themselves, None where nobody
    can say. `mover` moves from one to the other.
    """

    def __init__(
        self,
        node: str,
        live: LiveSettings[NodeSettings],
        hub: Hub,
        *,
        record: Callable[[str], NodeRecord],
        expected: Callable[[], Collection[str] | None],
        peers: Callable[[], Peers | None],
        make_store: Callable[[RedisSection], RedisStore] = RedisStore,
    ) -> None:
        self._node = node
        self._live = live
        self._hub = hub
        self._keys = Keys(live.current.websocket.redis.key_prefix)
        self._record = record
        self._expected = expected
        self._make_store = make_store
        self.mover: Mover[RedisSection, RedisSide] = Mover(
            "Redis",
            redis_server(live.current),
            self._make_side,
            wanted=lambda: redis_server(live.current),
            peers=peers,
            limit=lambda: live.current.websocket.handover.limit,
        )
        live.subscribe(self._settings_changed)
        metrics.DIRECTORY_UP.set_function(lambda: self.up)

    @property
    def keys(self) -> Keys:
        """The names in Redis."""
        return self._keys

    @property
    def side(self) -> RedisSide:
        """The side in use."""
        return self.mover.side

    @property
    def place(self) -> tuple[RedisStore, Directory]:
        """The store and the Directory in use."""
        return self.side.store, self.side.directory

    @property
    def details(self) -> Mapping[str, object]:
        """What health shows."""
        error = self.side.error
        return {
            "address": self.side.server.name,
            "directorySettled": self.settled,
            **({"error": error} if error else {}),
            # What hinders a move counts more: whoever looks has just asked for it.
            **self.mover.details,
        }

    @property
    def standing(self) -> Standing:
        """What this node may say of itself now."""
        return self.mover.standing

    @property
    def up(self) -> bool:
        """Whether the Redis in use answered last."""
        return self.side.directory.up

    @property
    def settled(self) -> bool:
        """Whether a user without an entry is known to be offline."""
        return self.side.directory.settled

    @property
    def alive(self) -> Mapping[str, NodeRecord]:
        """The nodes whose records live at any server that is kept."""
        found: dict[str, NodeRecord] = {}
        for side in (*self.mover.sides.values(), self.side):
            found.update(side.directory.alive)
        return found

    def changed(self, user: str) -> None:
        """Have a user's entry written soon, everywhere."""
        for side in self.mover.sides.values():
            side.changed(user)

    def after_next_write(self, done: Callable[[], None]) -> None:
        """Call `done()` when what has changed up to now is written, or cannot be for now.

        Wherever a node may look, that is: a server that is away, or not yet all written, and not
        the one in use, is not waited for.
        """
        writers = [
            side.writer
            for side in self.mover.sides.values()
            if side is self.side or side.writer.following
        ]
        if len(writers) == 1:
            # Always, but for moves: no closure for each client that comes.
            writers[0].after_next_write(done)
            return
        missing = len(writers)

        def one_done() -> None:
            nonlocal missing
            missing -= 1
            if missing == 0:
                done()

        for writer in writers:
            writer.after_next_write(one_done)

    async def homes(self, users: Sequence[str]) -> list[Homes | None]:
        """Look up where users are, in one command; None where that is not known. Never raises."""
        return await self.side.directory.homes(users)

    async def user(self, user: str) -> dict[str, Any]:
        """Read a user's entry: node id to what that node wrote. Raises StoreError."""
        return await self.side.directory.user(user)

    async def users(self, cursor: int, limit: int) -> tuple[int, dict[str, dict[str, Any]]]:
        """Walk through the cluster's users: gives the next cursor (0 at the end) and entries.

        A walk ends at the server where it began; where that is left, it begins again elsewhere, so
        that users come twice rather than not at all. Raises StoreError.
        """
        place, mark = divmod(cursor, _MARKS)
        begun_at = (side for side in self.mover.sides.values() if _mark(side) == mark)
        side = next(begun_at, None) if place else None
        if side is None or not side.directory.up:
            place, side = 0, self.side
        place, found = await side.directory.users(place, limit)
        return (place * _MARKS + _mark(side) if place else 0), found

    async def look(self) -> None:
        """Refresh what is known of the nodes. Raises StoreError."""
        await self.side.directory.look()

    async def connect(self) -> None:
        """Check that the first server answers. Raises StartError."""
        await self.side.connect()

    async def start(self) -> None:
        """Write the node record for the first time. Raises StoreError."""
        await self.side.start()

    async def run(self) -> None:
        """Keep everything right, and move when the settings say so; runs until cancelled."""
        await self.mover.run()

    async def forget(self) -> None:
        """Remove what this node has written, everywhere. Never raises."""
        await asyncio.gather(*(side.forget() for side in self.mover.sides.values()))

    async def close(self) -> None:
        """Close every side. Never raises."""
        await self.mover.close()

    def _make_side(self, server: Server[RedisSection]) -> RedisSide:
        return RedisSide(
            server,
            self._make_store(server.settings),
            keys=self._keys,
            node=self._node,
            live=self._live,
            hub=self._hub,
            record=self._record,
            expected=self._expected_at,
            leaving=lambda: self.mover.leaves(server),
            shared=self._is_shared,
            elsewhere=self.changed,
            most=self._most_at,
        )

    def _most_at(self, side: RedisSide) -> int:
        # Once is enough while there are two sides.
        in_use = side is self.side
        return self._live.current.websocket.limits.max_connections_per_user if in_use else 0

    def _is_shared(self, side: RedisSide) -> bool:
        others = (other for other in self.mover.sides.values() if other is not side)
        return any(other.mark == side.mark for other in others)

    def _expected_at(self, side: RedisSide) -> Collection[str] | None:
        found = self._expected()
        if found is not None:
            return found
        # Who is alive at one server and not at the other may have users that are not there.
        others = (other for other in self.mover.sides.values() if other is not side)
        return {node for other in others for node in other.directory.alive} or None

    def _settings_changed(self, old: NodeSettings, new: NodeSettings) -> None:
        for side in self.mover.sides.values():
            side.heartbeat.settings_changed(old, new)
        self.mover.stir()


def _mark(side: RedisSide) -> int:
    return zlib.crc32(side.mark.encode())

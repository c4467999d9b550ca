"""The Directory: which nodes hold which users, shared by all nodes through Redis.

One key per user, in a form that one MGET reads for many users. An entry of a node counts only
while that node's record lives, so that a node is known at a cost that doesn't grow with its users.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

import msgspec

from service.directory.node_record import NodeRecord, read_record, write_record
from service.directory.redis_store import RedisStore, StoreError
from service.directory.settling import Settling
from service.json_text import UNREADABLE
from service.push.plan import Homes

log = logging.getLogger(__name__)

_SCANS_PER_PAGE = 50

_homes_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])


class _Homes(dict[tuple[str, ...], Homes]):
    """Sets of living nodes by the nodes of an entry, each made once."""

    def __init__(self, alive: Collection[str]) -> None:
        super().__init__()
        self._alive = alive

    def __missing__(self, nodes: tuple[str, ...]) -> Homes:
        self[nodes] = homes = frozenset(node for node in nodes if node in self._alive)
        return homes


class Keys:
    """The names in Redis, under the prefix of the settings."""

    def __init__(self, prefix: str) -> None:
        self.nodes = f"{prefix}nodes"
        self.sweep = f"{prefix}sweep"
        self._node = f"{prefix}node:"
        self._user = f"{prefix}directory:"

    def node(self, node: str) -> str:
        """Give the key of a node record."""
        return f"{self._node}{node}"

    def user(self, user: str) -> str:
        """Give the key of a user's entry."""
        return f"{self._user}{user}"

    def users(self, users: Iterable[str]) -> list[str]:
        """Give the keys of users' entries."""
        prefix = self._user
        return [prefix + user for user in users]

    @property
    def all_users(self) -> str:
        """A pattern of every user's key."""
        return f"{self._user}*"

    def user_of(self, key: str) -> str:
        """Give the user of a key."""
        return key.removeprefix(self._user)


class Directory:
    """Reads and writes the shared state. `up` says whether Redis answered last.

    `expected` gives the ids of the nodes known to be alive, None where that cannot be said;
    `lost` is called when this node's entries must be written again.
    """

    def __init__(
        self,
        store: RedisStore,
        keys: Keys,
        node: str,
        *,
        expected: Callable[[], Collection[str] | None],
        lost: Callable[[], None],
    ) -> None:
        self._store = store
        self._keys = keys
        self._node = node
        self._expected = expected
        self._lost = lost
        self._settling = Settling()
        self._alive: dict[str, NodeRecord] = {}
        self._ttl = 15.0
        self._run_id = ""
        self._beaten_at = ""
        self.up = False

    @property
    def address(self) -> str:
        """Host and port, for messages."""
        return self._store.address

    @property
    def run_id(self) -> str:
        """The run id of the Redis server that answered last."""
        return self._run_id

    @property
    def alive(self) -> Mapping[str, NodeRecord]:
        """The nodes whose records lived when last looked, at most a second ago while `up`."""
        return self._alive

    @property
    def settled(self) -> bool:
        """Whether a user without an entry is known to be offline."""
        return self.up and self._settling.settled(self._now(), self._ttl)

    async def beat(self, record: NodeRecord, ttl: timedelta) -> None:
        """Write this node's record. Raises StoreError."""
        self._ttl = ttl.total_seconds()
        key = self._keys.node(self._node)
        try:
            known, run_id = await self._store.beat(
                key, write_record(record), ttl, self._keys.nodes, self._node
            )
        except StoreError:
            self._went_down()
            raise
        self._saw(run_id)
        same_server, self._beaten_at = run_id == self._beaten_at, run_id
        if same_server and not known:
            # The record outlives its beats, unless Redis lost it, or we slept too long.
            self._settling.doubt(self._now(), data_lost=True)
            self._lost()

    async def look(self) -> None:
        """Refresh what is known of the nodes. Raises StoreError."""
        try:
            names, run_id = await self._store.members(self._keys.nodes)
            nodes = sorted(names | {self._node})
            texts = await self._store.get_many([self._keys.node(node) for node in nodes])
        except StoreError:
            self._went_down()
            raise
        self._saw(run_id)
        records = {node: read_record(text) for node, text in zip(nodes, texts, strict=True)}
        self._alive = {node: record for node, record in records.items() if record is not None}
        written_to = {node: record.run_id for node, record in self._alive.items()}
        self._settling.saw_nodes(written_to, self._expected())

    async def homes(self, users: Sequence[str]) -> list[Homes | None]:
        """Look up where users are, in one command; None where that is not known.

        Never raises: while Redis cannot be asked, or has just come back, everything is unknown.
        """
        if not self.up:
            return [None] * len(users)
        try:
            own_record, *texts = await self._store.get_many(
                [self._keys.node(self._node), *self._keys.users(users)]
            )
            found = self._nodes_of_all(texts)
            await self._check_strangers({node for nodes in set(found) for node in nodes})
        except StoreError as error:
            log.debug("%s; pushes go by fanout", error)
            self._went_down()
            return [None] * len(users)
        if own_record is None and self._beaten_at == self._run_id:
            self._settling.doubt(self._now(), data_lost=True)
        if not self.settled:
            return [None] * len(users)
        # One set for each way to be connected, not for each user.
        homes = _Homes(self._alive)
        return [homes[nodes] for nodes in found]

    async def write_homes(self, entries: Mapping[str, bytes], most: int = 0) -> dict[str, int]:
        """Write this node's member of users' entries; empty bytes remove it.

        Where a user may have `most` connections, 0 for any number, tells how many each has too
        many; nodes that are gone hold none. Raises StoreError.
        """
        keys = {self._keys.user(user): entry for user, entry in entries.items()}
        try:
            over = await self._store.set_homes(self._node, keys, most)
            if not over:
                return {}
            await self._check_strangers(
                {node for text in over.values() for node in self._nodes_of(text)}
            )
        except StoreError:
            self._went_down()
            raise
        counts = {
            self._keys.user_of(key): sum(
                home.get("connections", 0)
                for home in self._living_entries(text).values()
                if isinstance(home, dict)
            )
            for key, text in over.items()
        }
        return {user: count - most for user, count in counts.items() if count > most}

    async def user(self, user: str) -> dict[str, Any]:
        """Read a user's entry: node id to what that node wrote. Raises StoreError."""
        [text] = await self._store.get_many([self._keys.user(user)])
        await self._check_strangers(self._nodes_of(text))
        return self._living_entries(text)

    async def users(self, cursor: int, limit: int) -> tuple[int, dict[str, dict[str, Any]]]:
        """Walk through the cluster's users: gives the next cursor (0 at the end) and entries.

        A page holds about `limit` users, fewer where other keys fill the way to them; a user may
        come twice while entries change, as with every SCAN. Raises StoreError.
        """
        found: dict[str, dict[str, Any]] = {}
        for _ in range(_SCANS_PER_PAGE):
            cursor, keys = await self._store.scan(cursor, self._keys.all_users, limit)
            texts = await self._store.get_many(keys) if keys else []
            await self._check_strangers({node for text in texts for node in self._nodes_of(text)})
            for key, text in zip(keys, texts, strict=True):
                if entry := self._living_entries(text):
                    found[self._keys.user_of(key)] = entry
            if cursor == 0 or len(found) >= limit:
                break
        return cursor, found

    async def forget(self) -> None:
        """Remove this node's record. Raises StoreError."""
        await self._store.forget(self._keys.node(self._node), self._keys.nodes, self._node)

    def _living_entries(self, text: bytes | None) -> dict[str, Any]:
        return {
            node: msgspec.json.decode(raw)
            for node, raw in self._decode(text).items()
            if node in self._alive
        }

    async def _check_strangers(self, nodes: Collection[str]) -> None:
        # A node that started within the last second; or one that died, which stays unknown.
        strangers = [node for node in nodes if node not in self._alive]
        if not strangers:
            return
        texts = await self._store.get_many([self._keys.node(node) for node in strangers])
        for node, text in zip(strangers, texts, strict=True):
            record = read_record(text)
            if record is not None:
                self._alive[node] = record

    def _nodes_of_all(self, texts: Sequence[bytes | None]) -> list[tuple[str, ...]]:
        decode = _homes_decoder.decode
        try:
            return [() if text is None else tuple(decode(text)) for text in texts]
        except UNREADABLE:
            # One that somebody else has written costs the others nothing but time.
            return [tuple(self._nodes_of(text)) for text in texts]

    def _nodes_of(self, text: bytes | None) -> Collection[str]:
        return self._decode(text).keys()

    @staticmethod
    def _decode(text: bytes | None) -> dict[str, msgspec.Raw]:
        if text is None:
            return {}
        try:
            return _homes_decoder.decode(text)
        except UNREADABLE:
            return {}

    def _saw(self, run_id: str) -> None:
        self.up = True
        self._run_id = run_id
        if self._settling.saw_server(run_id, self._now()):
            self._lost()

    def _went_down(self) -> None:
        self.up = False
        self._settling.doubt(self._now())

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()

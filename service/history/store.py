"""The streams of the history in Redis: one of each user, one of pushes to everyone."""

import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import timedelta
from typing import NamedTuple

from service.directory.redis_store import Call, RedisStore, StoreError
from service.history.position import Position, entry_id, position, position_of
from service.history.scripts import APPEND, HEADS
from service.history.settings import HistorySection

Stream = str | None
"""A user, or None for the stream of pushes to everyone."""

LIFE = timedelta(days=7)
"""Beyond the age of its last entry, a stream lives so long. Then its numbers begin anew."""

_PER_CALL = 100
_CALLS = 20


class Item(NamedTuple):
    """A push as the history keeps it; `keep` where it is known that it is kept for its user."""

    id: str
    content: bytes
    keep: bool = False


class Addition(NamedTuple):
    """A push to be appended to one stream.

    `tries` is the key of a hash where Redis notes its position until the push has succeeded: a
    later try gets that, and no entry of its own. Where there is no such hash, nothing is noted.
    """

    stream: Stream
    item: Item
    tries: str = ""


class Head(NamedTuple):
    """The last position of a user's stream, and how many pushes are kept until acknowledged."""

    position: Position
    kept: int


class Heads(NamedTuple):
    """Where streams end; `now` in ms on the clock of Redis."""

    data_set: str
    now: int
    all: Position
    users: Mapping[str, Head]


class Span(NamedTuple):
    """Entries of a stream to be read: behind `after`, up to `upto` (None: all), some at most."""

    stream: Stream
    after: Position
    upto: Position | None
    most: int


class HistoryStore:
    """The history at the Redis in use. Everything here raises StoreError."""

    def __init__(self, in_use: Callable[[], RedisStore], prefix: str) -> None:
        self._in_use = in_use
        self._id = f"{prefix}history:id"
        self._all = f"{prefix}history:all"
        self._users = f"{prefix}history:user:"
        self._kept = f"{prefix}history:kept:"
        self._sweep = f"{prefix}history:sweep"

    @property
    def place(self) -> RedisStore:
        """The Redis in use."""
        return self._in_use()

    async def append(
        self, additions: Sequence[Addition], settings: HistorySection
    ) -> tuple[str, list[Position]]:
        """Append, in the order given; gives the data set, and the position of each."""
        calls = [
            self._append_call(additions[start : start + _PER_CALL], settings)
            for start in range(0, len(additions), _PER_CALL)
        ]
        data_sets: set[str] = set()
        positions: list[Position] = []
        for start in range(0, len(calls), _CALLS):
            for reply in await self._in_use().run_script(APPEND, calls[start : start + _CALLS]):
                data_sets.add(reply[0].decode())
                positions += map(position_of, reply[1:])
        if len(data_sets) != 1:
            raise StoreError(f"Redis at {self._in_use().address} has lost its data meanwhile")
        return data_sets.pop(), positions

    def _append_call(self, additions: Sequence[Addition], settings: HistorySection) -> Call:
        keys = [self._id, *(self._key(addition.stream) for addition in additions)]
        pushes: dict[str, int] = {}
        contents: list[str | bytes | int] = []
        places: list[str | bytes | int] = []
        tried: list[str | bytes | int] = []
        for entry, (stream, item, tries) in enumerate(additions, 1):
            if item.id not in pushes:
                pushes[item.id] = len(pushes) + 1
                contents += (item.id, item.content)
            kept = 0
            if stream is None:
                kept = -1
            elif item.keep:
                keys.append(f"{self._kept}{stream}")
                kept = len(keys)
            places += (pushes[item.id], kept)
            if tries:
                keys.append(tries)
                tried += (entry, len(keys))
        life = round((settings.age + LIFE) / timedelta(milliseconds=1))
        lengths = (settings.length, settings.all_length)
        numbers = (len(additions), len(pushes))
        return keys, [_new_data_set(), *lengths, life, *numbers, *contents, *places, *tried]

    async def heads(self, users: Sequence[str]) -> Heads:
        """Read where the stream to all ends, and those of users."""
        calls: list[Call] = []
        for start in range(0, max(len(users), 1), _PER_CALL):
            keys = [self._id, self._all]
            for user in users[start : start + _PER_CALL]:
                keys += (self._key(user), f"{self._kept}{user}")
            calls.append((keys, [_new_data_set()]))
        found: dict[str, Head] = {}
        data_set, now, head_of_all, left = "", 0, "", iter(users)
        for reply in await self._in_use().run_script(HEADS, calls):
            data_set, now = reply[0].decode(), int(reply[1])
            head_of_all = _head(reply[2], now)
            for at in range(3, len(reply), 2):
                found[next(left)] = Head(_head(reply[at], now), int(reply[at + 1]))
        return Heads(data_set, now, head_of_all, found)

    async def read(self, spans: Sequence[Span]) -> tuple[str, list[list[tuple[Position, Item]]]]:
        """Read entries; gives the data set, and those of each span in their order."""
        commands: list[Sequence[str | bytes | int]] = [("GET", self._id)]
        for stream, after, upto, most in spans:
            end = "+" if upto is None else entry_id(upto)
            start = f"({entry_id(after)}"
            commands.append(("XRANGE", self._key(stream), start, end, "COUNT", most))
        data_set, *replies = await self._in_use().run_commands(commands)
        return (data_set or b"").decode(), [[_entry(*entry) for entry in got] for got in replies]

    async def kept(self, user: str) -> list[tuple[Position, Item]]:
        """Read what is kept for a user, in its order; what the stream has no more is dropped."""
        [pointers] = await self._in_use().run_commands([("HGETALL", f"{self._kept}{user}")])
        if not pointers:
            return []
        wanted = sorted((position_of(at), push_id) for push_id, at in pointers.items())
        key = self._key(user)
        replies = await self._in_use().run_commands(
            [("XRANGE", key, entry_id(at), entry_id(at)) for at, _ in wanted]
        )
        gone = [push_id for (_, push_id), got in zip(wanted, replies, strict=True) if not got]
        if gone:
            await self._in_use().run_commands([("HDEL", f"{self._kept}{user}", *gone)])
        return [_entry(*entry) for got in replies for entry in got]

    async def release(self, users: Mapping[str, Collection[str]]) -> None:
        """Keep these pushes (by user) no longer until they are acknowledged."""
        await self._in_use().run_commands(
            [("HDEL", f"{self._kept}{user}", *ids) for user, ids in users.items()]
        )

    async def trim(self, age: timedelta, limit: timedelta) -> int | None:
        """Remove what is older; gives how many entries, None where another node does it.

        The lock for it ends by itself after `limit`.
        """
        place = self._in_use()
        if not await place.claim(self._sweep, limit):
            return None
        oldest = (await self.heads(())).now - round(age / timedelta(milliseconds=1))
        removed, keys = 0, [self._all]
        cursor: int | None = None
        while True:
            if keys:
                commands = [("XTRIM", key, "MINID", oldest) for key in keys]
                removed += sum(await place.run_commands(commands))
            if cursor == 0:
                return removed
            cursor, keys = await place.scan(cursor or 0, f"{_escaped(self._users)}*", 500)

    def _key(self, stream: Stream) -> str:
        return self._all if stream is None else f"{self._users}{stream}"


def _new_data_set() -> str:
    return uuid.uuid4().hex[:12]


def _head(text: bytes, now: int) -> Position:
    return position_of(text) if text else position(now, 0)


def _entry(at: bytes, fields: Mapping[bytes, bytes]) -> tuple[Position, Item]:
    # One that somebody else has added means nothing, but must not hold up the others.
    push_id = fields.get(b"i", b"").decode(errors="replace")
    return position_of(at), Item(push_id, fields.get(b"c", b"null"), b"k" in fields)


def _escaped(text: str) -> str:
    return "".join(f"\\{sign}" if sign in r"*?[]^-\\" else sign for sign in text)

"""Keep this node's entries in the Directory equal to what the Hub holds."""

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable

import msgspec

from service.clients.hub import Hub
from service.clients.user_limit import close_newest
from service.directory.directory import Directory
from service.directory.redis_store import StoreError

log = logging.getLogger(__name__)

_BATCH = 1000
_PAUSE = 1.0


class _Home(msgspec.Struct):
    connections: int
    since: float
    addresses: list[str]
    attributes: dict[str, str] | msgspec.UnsetType = msgspec.UNSET


_encoder = msgspec.json.Encoder()


class DirectoryWriter:
    """Writes users whose connections changed, many in one round trip.

    It writes what is, not what changed: a write that failed is simply done again, and a user who
    came and went meanwhile costs one write. `error` says why the last one failed. `most` gives
    how many connections a user may have in the whole cluster, 0 for any number: who has just come
    and is one too many is closed before it is let in.
    """

    def __init__(self, most: Callable[[], int] = lambda: 0) -> None:
        self._most = most
        self.hub: Hub
        self._dirty: dict[str, None] = {}
        self._behind: set[str] = set()
        self._waiting: list[Callable[[], None]] = []
        self._stirred = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self.following = False
        self.error: str | None = None

    def changed(self, user: str) -> None:
        """Have a user's entry written soon."""
        self._dirty[user] = None
        if not self.following:
            self._behind.add(user)
        self._idle.clear()
        self._stirred.set()

    def after_next_write(self, done: Callable[[], None]) -> None:
        """Call `done()` when what has changed up to now is written, or cannot be for now.

        A client isn't made to wait for a Redis that is away.
        """
        self._waiting.append(done)
        self._stirred.set()

    def everything(self) -> None:
        """Have the entries of all users written again: Redis has lost them."""
        self.again(self.hub.users)

    def again(self, users: Collection[str]) -> None:
        """Have entries written that are not as they should be; the writer is behind until then."""
        if users:
            self.following = False
        for user in users:
            self.changed(user)

    @property
    def caught_up(self) -> bool:
        """Whether all is written but the changes of users who are made to wait for it.

        While `following`, a client that comes has to wait by `after_next_write`; otherwise its
        entry is one of those to be caught up with.
        """
        return not self._behind

    @property
    def unwritten(self) -> Collection[str]:
        """The users whose entries are still to be written."""
        return self._dirty.keys()

    def release(self) -> None:
        """Let in who waits for a writer that runs no longer."""
        waiting, self._waiting = self._waiting, []
        _tell(waiting)

    async def drained(self) -> None:
        """Wait until everything is written."""
        await self._idle.wait()

    async def run(self, directory: Directory) -> None:
        """Write for ever; runs until cancelled."""
        self.following = not self._behind
        while True:
            await self._stirred.wait()
            self._stirred.clear()
            users, waiting = list(self._dirty), self._waiting
            self._dirty, self._waiting = {}, []
            written = 0
            try:
                for start in range(0, len(users), _BATCH):
                    batch = users[start : start + _BATCH]
                    if not await self._write(directory, batch):
                        break
                    written = start + len(batch)
                    # Who is to be written again was changed, or lost, after this write.
                    self._behind.difference_update(u for u in batch if u not in self._dirty)
            except asyncio.CancelledError:
                self._dirty.update(dict.fromkeys(users[written:]))
                self._waiting[:0] = waiting
                raise
            failed = users[written:]
            self.following = not failed
            _tell(waiting)
            if failed:
                self._behind.update(failed)
                self._dirty.update(dict.fromkeys(failed))
                await self._pause()
                self._stirred.set()
            elif not self._dirty:
                self._idle.set()

    async def erase(self, directory: Directory) -> None:
        """Remove every entry of this node; for a writer that runs no longer. Raises StoreError."""
        users = list(self._dirty | dict.fromkeys(self.hub.users))
        for start in range(0, len(users), _BATCH):
            await directory.write_homes(dict.fromkeys(users[start : start + _BATCH], b""))

    async def _write(self, directory: Directory, users: Iterable[str]) -> bool:
        most = self._most()
        # As they are now: who comes while this is written is judged by the next write.
        held = {user: self.hub.of_user(user) for user in users} if most else {}
        try:
            over = await directory.write_homes({user: self._home(user) for user in users}, most)
        except StoreError as error:
            if self.error is None:
                log.warning("%s; the users' entries are written when it does", error)
            self.error = str(error)
            return False
        self.error = None
        for user, surplus in over.items():
            close_newest(held[user], surplus)
        return True

    async def _pause(self) -> None:
        # Clients that come meanwhile are let in at once.
        deadline = asyncio.get_running_loop().time() + _PAUSE
        while (left := deadline - asyncio.get_running_loop().time()) > 0:
            try:
                async with asyncio.timeout(left):
                    await self._stirred.wait()
            except TimeoutError:
                return
            self._stirred.clear()
            waiting, self._waiting = self._waiting, []
            _tell(waiting)

    def _home(self, user: str) -> bytes:
        sockets = self.hub.of_user(user)
        if not sockets:
            return b""
        attributes = {
            name: value for socket in sockets for name, value in socket.attributes.items()
        }
        return _encoder.encode(
            _Home(
                connections=len(sockets),
                since=round(min(socket.opened_at for socket in sockets), 3),
                addresses=sorted({socket.address for socket in sockets}),
                attributes=attributes or msgspec.UNSET,
            )
        )


def _tell(waiting: Iterable[Callable[[], None]]) -> None:
    for done in waiting:
        try:
            done()
        except Exception:
            # One client's trouble must not keep all others out.
            log.exception("a client could not be let in")

"""Pushes that are kept for users until they have them: which ones may go from Redis."""

import asyncio
from collections.abc import Collection
from typing import Protocol

from service.directory.redis_store import StoreError
from service.history.position import Position, ms_of
from service.history.store import Heads, HistoryStore

_PAUSE = 1.0
_MOST = 10_000

_LATEST = 60_000
"""Milliseconds in which a push may come over the broker that was read from Redis before."""


class Owner(Protocol):
    """A connection of a user."""

    user: str
    cluster_form: bool


class OwnerInHub(Owner, Protocol):
    """One that a message goes to, at once where it is open."""

    open: bool


class Kept:
    """What was delivered here of it: a client of cluster.v1 acknowledges, another just has it."""

    def __init__(self, store: HistoryStore) -> None:
        self._store = store
        self._unacknowledged: dict[str, set[str]] = {}
        self._due: dict[str, set[str]] = {}
        self._noted: dict[str, dict[str, set[object]]] = {}
        self._stirred = asyncio.Event()

    def delivered(self, user: str, push_id: str, *, cluster: bool) -> None:
        """Note that a user has been given a push that is kept; `cluster`: only by cluster.v1."""
        if not cluster:
            self._release(user, push_id)
            return
        waiting = self._unacknowledged.setdefault(user, set())
        if len(waiting) < _MOST:
            waiting.add(push_id)

    def acknowledged(self, user: str, push_id: str) -> None:
        """Take a client's acknowledgement; most are about pushes that nobody keeps."""
        waiting = self._unacknowledged.get(user)
        if waiting and push_id in waiting:
            waiting.discard(push_id)
            self._release(user, push_id)

    def left(self, user: str) -> None:
        """Forget a user who has left: what was not acknowledged comes again."""
        self._unacknowledged.pop(user, None)
        self._noted.pop(user, None)

    def gone(self, client: Owner) -> None:
        """Forget a connection that has left."""
        for clients in self._noted.get(client.user, {}).values():
            clients.discard(client)

    def came(
        self, user: str, push_id: str, sockets: Collection[OwnerInHub], *, may_repeat: bool
    ) -> None:
        """Note that a push that is kept came over the broker, and goes to a user's connections.

        With `may_repeat` it may be among those that are read from Redis, too.
        """
        raw = [socket for socket in sockets if not socket.cluster_form]
        self.delivered(user, push_id, cluster=not any(socket.open for socket in raw))
        for socket in raw:
            if may_repeat or not socket.open:
                self._note(socket, push_id)

    def read(self, client: Owner, push_id: str, at: Position, heads: Heads | None) -> None:
        """Note that a client has got a push from Redis; it may still come over the broker."""
        self.delivered(client.user, push_id, cluster=client.cluster_form)
        if not client.cluster_form and heads is not None and ms_of(at) > heads.now - _LATEST:
            self._note(client, push_id)

    def has(self, client: Owner, push_id: str) -> bool:
        """Tell whether a client of the default form, which drops no repeats, has a push already."""
        return client in self._noted.get(client.user, {}).get(push_id, ())

    def opened(self, client: Owner) -> None:
        """Note that a client gets now what waited for it to be opened."""
        for push_id, clients in self._noted.get(client.user, {}).items():
            if client in clients:
                self._release(client.user, push_id)

    async def run(self) -> None:
        """Tell Redis, much at a time; runs until cancelled."""
        while True:
            await self._stirred.wait()
            self._stirred.clear()
            due, self._due = self._due, {}
            try:
                await self._store.release(due)
            except StoreError:
                for user, ids in due.items():
                    self._due.setdefault(user, set()).update(ids)
                await asyncio.sleep(_PAUSE)
                self._stirred.set()

    def _note(self, client: Owner, push_id: str) -> None:
        self._noted.setdefault(client.user, {}).setdefault(push_id, set()).add(client)

    def _release(self, user: str, push_id: str) -> None:
        self._due.setdefault(user, set()).add(push_id)
        self._stirred.set()

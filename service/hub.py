"""The Hub: which sockets each user has at this node, and the writes to them.

The hot path of a node. A frame is built once per message. Within one turn of the event loop,
frames only queue; at its end each socket gets what queued for it in one write, and a queue of
messages to everyone is joined once for all sockets.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Protocol

from service.frames import Message


class Socket(Protocol):
    """What the Hub needs of a Connection.

    `queue` and `seen` belong to the Hub: frames of this turn that are for this socket alone, and
    how many of the turn's messages to everyone are in it already.
    """

    user: str
    address: str
    attributes: Mapping[str, str]
    opened_at: float
    cluster_form: bool
    open: bool
    alive_at: float
    ping_sent_at: float
    queue: list[bytes]
    seen: int

    def write(self, data: bytes) -> None:
        """Put bytes on the wire; they are whole frames."""

    def ping(self, now: float) -> None:
        """Send a ping frame."""

    def close(self, code: int, reason: str) -> None:
        """Close the connection; the Hub is told by `remove`."""


class Hub:
    """Every Connection of this node, by user.

    `changed(user)` is called when a user's number of connections has changed.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, changed: Callable[[str], None]) -> None:
        self._loop = loop
        self._changed = changed
        self._users: dict[str, list[Socket]] = {}
        self._sockets: dict[Socket, None] = {}
        self._queued: list[Socket] = []
        self._to_all: list[Message] = []
        self._flushing = False

    def __len__(self) -> int:
        """Give the number of connections."""
        return len(self._sockets)

    @property
    def users(self) -> Collection[str]:
        """The users who have a connection here."""
        return self._users.keys()

    @property
    def sockets(self) -> Collection[Socket]:
        """Every connection here."""
        return self._sockets.keys()

    def of_user(self, user: str) -> tuple[Socket, ...]:
        """Give the connections of one user."""
        return tuple(self._users.get(user, ()))

    def add(self, socket: Socket) -> None:
        """Take a connection in; what is pushed to it waits until it is `open`."""
        self._users.setdefault(socket.user, []).append(socket)
        self._sockets[socket] = None
        # What was pushed to everyone before it came is not for it.
        socket.seen = len(self._to_all)
        self._changed(socket.user)

    def remove(self, socket: Socket) -> None:
        """Let a connection go; other connections of the user stay untouched."""
        if self._sockets.pop(socket, socket) is socket:
            return
        held = self._users[socket.user]
        held.remove(socket)
        if not held:
            del self._users[socket.user]
        self._changed(socket.user)

    def opened(self, socket: Socket) -> None:
        """Send what queued while the connection was being opened."""
        if socket.queue:
            self._queued.append(socket)
            self._flush_soon()

    def deliver(self, message: Message, targets: Iterable[str] | None) -> int:
        """Send a message to users, or to everyone; gives the number of sockets it goes to."""
        if targets is None:
            self._to_all.append(message)
            self._flush_soon()
            return len(self._sockets)
        count = 0
        users = self._users
        for user in targets:
            for socket in users.get(user, ()):
                self._queue(socket, message)
                count += 1
        if count:
            self._flush_soon()
        return count

    def _queue(self, socket: Socket, message: Message) -> None:
        queue = socket.queue
        if not queue and socket.open:
            self._queued.append(socket)
        if socket.seen < len(self._to_all):
            # Messages to everyone that came before this one go before it.
            queue.extend(_frames(self._to_all[socket.seen :], socket))
            socket.seen = len(self._to_all)
        queue.append(message.cluster_frame if socket.cluster_form else message.raw_frame)

    def _flush_soon(self) -> None:
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = False
        to_all, self._to_all = self._to_all, []
        queued, self._queued = self._queued, []
        if to_all:
            self._flush_to_all(to_all, queued)
        for socket in queued:
            if queue := socket.queue:
                socket.queue = []
                socket.write(queue[0] if len(queue) == 1 else b"".join(queue))

    def _flush_to_all(self, to_all: list[Message], queued: list[Socket]) -> None:
        raw: bytes | None = None
        cluster: bytes | None = None
        # A write may end a connection (too slow), which takes it out of the dict.
        for socket in list(self._sockets):
            if socket.seen or socket.queue or not socket.open:
                if socket.open and not socket.queue:
                    queued.append(socket)
                socket.queue.extend(_frames(to_all[socket.seen :], socket))
                socket.seen = 0
            elif socket.cluster_form:
                if cluster is None:
                    cluster = b"".join([message.cluster_frame for message in to_all])
                socket.write(cluster)
            else:
                if raw is None:
                    raw = b"".join([message.raw_frame for message in to_all])
                socket.write(raw)


def _frames(messages: list[Message], socket: Socket) -> list[bytes]:
    if socket.cluster_form:
        return [message.cluster_frame for message in messages]
    return [message.raw_frame for message in messages]

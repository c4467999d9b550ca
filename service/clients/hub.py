"""The Hub: which sockets each user has at this node, and what is pushed to them.

A frame is built once per message. Within one turn of the event loop, frames only queue; at its end
each socket gets what queued for it in one write, and a queue of messages to everyone is joined once
for all sockets. Sockets stand in Rows (`row.py`), of which a turn writes to about one:
10,000 sends in one go would hold everything else up for 50 ms. What comes meanwhile joins the
queues of the Rows that still wait.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable

from service.clients.frames import Message
from service.clients.ping import PingWheel
from service.clients.row import Row, Socket
from service.clients.undelivered import count_closed

ROW = 1000
"""Sockets in a Row: so many sends take 5 ms. With 250, messages to everyone cost 3 % more."""


class Hub:
    """Every Connection of this node, by user.

    `changed(user)` is called when a user's number of connections has changed. `pings` finds those
    that are gone without a word.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, changed: Callable[[str], None]) -> None:
        self._loop = loop
        self._changed = changed
        self.pings = PingWheel()
        self._users: dict[str, tuple[Socket, ...]] = {}
        self._count = 0
        self._rows: dict[Row, None] = {}
        self._roomy: dict[Row, None] = {}
        self._due: dict[Row, None] = {}
        self._flushing = False

    def __len__(self) -> int:
        """Give the number of connections."""
        return self._count

    @property
    def users(self) -> Collection[str]:
        """The users who have a connection here."""
        return self._users.keys()

    @property
    def sockets(self) -> Collection[Socket]:
        """Every connection here."""
        return [socket for row in self._rows for socket in row]

    @property
    def writing(self) -> bool:
        """Whether something is still to be written in this turn of the event loop or the next."""
        return bool(self._due)

    def of_user(self, user: str) -> tuple[Socket, ...]:
        """Give the connections of one user."""
        return self._users.get(user, ())

    def add(self, socket: Socket) -> None:
        """Take a connection in; what is pushed to it waits until it is `opened`."""
        self._users[socket.user] = (*self._users.get(socket.user, ()), socket)
        row = next(iter(self._roomy), None)
        if row is None:
            row = Row()
            self._rows[row] = self._roomy[row] = None
        row.add(socket)
        self._count += 1
        if len(row) >= ROW:
            del self._roomy[row]
        self._changed(socket.user)

    def remove(self, socket: Socket) -> None:
        """Let a connection go that was added; other connections of the user stay untouched."""
        held = self._users.get(socket.user, ())
        left = tuple([other for other in held if other is not socket])
        if len(left) == len(held):
            return
        if left:
            self._users[socket.user] = left
        else:
            del self._users[socket.user]
        if socket.queue is not None:
            count_closed(socket.queue)
            socket.queue = None
        row = socket.row
        row.remove(socket)
        self._count -= 1
        if len(row):
            self._roomy[row] = None
        else:
            del self._rows[row]
            self._roomy.pop(row, None)
        self.pings.remove(socket)
        self._changed(socket.user)

    def opened(self, socket: Socket) -> None:
        """Send what queued while the connection was being opened."""
        self.pings.add(socket)
        socket.row.opened(socket)
        if socket.queue is not None:
            self._due[socket.row] = None
            self._flush_soon()

    def deliver(self, message: Message, targets: Iterable[str] | None) -> int:
        """Send a message to users, or to everyone; gives the number of sockets it goes to."""
        due = self._due
        if targets is None:
            for row in self._rows:
                row.queue_to_all(message)
                due[row] = None
            count = self._count
        else:
            count = 0
            users = self._users
            for user in targets:
                for socket in users.get(user, ()):
                    row = socket.row
                    row.queue(socket, message)
                    due[row] = None
                    count += 1
        if count:
            self._flush_soon()
        return count

    def _flush_soon(self) -> None:
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = False
        due = self._due
        written = 0
        try:
            while due and written < ROW:
                row = next(iter(due))
                del due[row]
                written += row.flush()
        finally:
            if due:
                self._flush_soon()

"""A Row: the sockets that are written to in one turn of the event loop. The hot path of a node."""

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Protocol

from service.clients.frames import Message


class Direct(Protocol):
    """The way to a socket past its transport."""

    def send(self, data: bytes, /) -> int:
        """Give how many of the bytes the system has taken. Raises OSError."""


class Socket(Protocol):
    """What the Hub needs of a Connection.

    `direct` is None unless the socket is open and nothing waits to be written to it. `row`,
    `queue`, `seen` and `slot` belong to the Hub: where it stands; frames of this turn that are for
    this socket alone, None for none; how many of the turn's messages to everyone are in them
    already; who else is looked at together with it. `tail` is the end of its tokens.
    """

    user: str
    address: str
    attributes: Mapping[str, str]
    opened_at: float
    cluster_form: bool
    open: bool
    alive_at: float
    ping_sent_at: float
    row: "Row"
    queue: list[bytes] | None
    seen: int
    slot: dict["Socket", None] | None
    tail: bytes

    @property
    def direct(self) -> Direct | None:
        """Where to send what has to wait for nothing."""

    @property
    def behind(self) -> bool:
        """Whether bytes wait for the client to read, or did when it was closed."""

    def write(self, data: bytes) -> None:
        """Put bytes on the wire; they are whole frames."""

    def write_rest(self, data: bytes, sent: int) -> None:
        """Put on the wire what `direct` has not taken, which is all behind `sent` bytes."""

    def ping(self, now: float) -> None:
        """Send a ping frame."""

    def close(self, code: int, reason: str) -> None:
        """Close the connection; the Hub is told by `remove`."""


class Row:
    """Sockets, and what is to be written to them."""

    __slots__ = ("_cluster", "_others", "_queued", "_raw", "_to_all")

    def __init__(self) -> None:
        # Sockets with a direct way, by form. A message to everyone goes down these keys without a
        # look at a Connection or its transport, most of which would have to come out of memory:
        # 4.0 us for each socket instead of 5.5, where a bare loop of send() takes 3.9.
        self._raw: dict[Direct, Socket] = {}
        self._cluster: dict[Direct, Socket] = {}
        # Those still being let in, and those for which bytes wait already.
        self._others: dict[Socket, None] = {}
        self._queued: list[Socket] = []
        self._to_all: list[Message] = []

    def __len__(self) -> int:
        """Give the number of sockets."""
        return len(self._raw) + len(self._cluster) + len(self._others)

    def __iter__(self) -> Iterator[Socket]:
        """Give the sockets."""
        yield from self._raw.values()
        yield from self._cluster.values()
        yield from self._others

    def add(self, socket: Socket) -> None:
        """Take a socket in that is not open yet."""
        socket.row = self
        # What was pushed to everyone before it came is not for it.
        socket.seen = len(self._to_all)
        self._others[socket] = None

    def remove(self, socket: Socket) -> None:
        """Let a socket go."""
        if socket.direct is not None:
            del self._way(socket)[socket.direct]
        else:
            del self._others[socket]

    def opened(self, socket: Socket) -> None:
        """Have written what came for a socket before it was open."""
        if socket.direct is not None:
            self.quick(socket)
        if socket.seen and socket.queue is None:
            socket.queue = []
        if socket.queue is not None:
            self._queued.append(socket)

    def quick(self, socket: Socket) -> None:
        """Note that a socket has got a direct way."""
        if socket.direct is not None:
            del self._others[socket]
            self._way(socket)[socket.direct] = socket

    def slow(self, socket: Socket) -> None:
        """Note that a socket is about to lose its direct way."""
        if socket.direct is not None:
            del self._way(socket)[socket.direct]
            self._others[socket] = None

    def queue_to_all(self, message: Message) -> None:
        """Have a message written to every socket that is here now."""
        self._to_all.append(message)

    def queue(self, socket: Socket, message: Message) -> None:
        """Have a message written to one socket."""
        queue = socket.queue
        if queue is None:
            queue = socket.queue = []
            if socket.open:
                self._queued.append(socket)
        if socket.seen < len(self._to_all):
            # Messages to everyone that came before this one go before it.
            queue.extend(_frames(self._to_all[socket.seen :], socket))
            socket.seen = len(self._to_all)
        queue.append(message.cluster_frame if socket.cluster_form else message.raw_frame)

    def flush(self) -> int:
        """Write all that is queued, once to each socket; gives the number of sockets."""
        to_all, self._to_all = self._to_all, []
        queued, self._queued = self._queued, []
        count = len(queued)
        if to_all:
            count = len(self)
            self._flush_to_all(to_all, queued)
        for socket in queued:
            queue, socket.queue = socket.queue, None
            if queue:
                socket.write(queue[0] if len(queue) == 1 else b"".join(queue))
        return count

    def _flush_to_all(self, to_all: list[Message], queued: list[Socket]) -> None:
        # Who has a queue of its own gets its share of the messages in there, in their order.
        for socket in queued:
            _share(socket, to_all)
        apart = dict.fromkeys(queued)
        quick = [(socket, socket.direct) for socket in queued if socket.direct is not None]
        for socket, direct in quick:
            del self._way(socket)[direct]
        # As it is now: a write moves who is too slow for it in here, and who leaves out of it.
        others = [socket for socket in self._others if socket not in apart]
        joined = _Joined(to_all)
        rests = _send(self._raw, joined.raw) if self._raw else []
        if self._cluster:
            pieces = joined.cluster
            one = len(pieces) == 1
            way = self._cluster
            rests += _send(way, pieces[0]) if one else _send_with_tails(way, pieces)
        for socket, direct in quick:
            self._way(socket)[direct] = socket
        for socket, data, sent in rests:
            socket.write_rest(data, sent)
        for socket in others:
            if socket.open and not socket.seen:
                cluster = socket.cluster_form
                socket.write(socket.tail.join(joined.cluster) if cluster else joined.raw)
                continue
            _share(socket, to_all)
            if socket.open:
                queued.append(socket)

    def _way(self, socket: Socket) -> dict[Direct, Socket]:
        return self._cluster if socket.cluster_form else self._raw


class _Joined:
    """The frames of messages to everyone in one piece, made once for all sockets of a form."""

    def __init__(self, messages: list[Message]) -> None:
        self._messages = messages

    @cached_property
    def raw(self) -> bytes:
        return b"".join([message.raw_frame for message in self._messages])

    @cached_property
    def cluster(self) -> list[bytes]:
        """What stands between the ends of tokens; one piece where there are none."""
        whole: list[bytes] = []
        piece: list[bytes] = []
        for message in self._messages:
            if message.pieces is None:
                piece.append(message.cluster_frame)
            else:
                piece.append(message.pieces[0])
                whole.append(b"".join(piece))
                piece = [message.pieces[1]]
        return [*whole, b"".join(piece)]


def _send(ways: dict[Direct, Socket], data: bytes) -> list[tuple[Socket, bytes, int]]:
    """Send the same to all; gives whose rest, behind how many bytes, was not taken."""
    size = len(data)
    short: list[tuple[Direct, int]] = []
    for direct in ways:
        try:
            sent = direct.send(data)
        except OSError:
            # Nothing taken for now, or a connection that has broken: its transport finds out.
            sent = 0
        if sent != size:
            short.append((direct, sent))
    return [(ways[direct], data, sent) for direct, sent in short]


def _send_with_tails(
    ways: dict[Direct, Socket], pieces: list[bytes]
) -> list[tuple[Socket, bytes, int]]:
    """Send to all what differs by the ends of their tokens; gives whose rest was not taken."""
    rests: list[tuple[Socket, bytes, int]] = []
    for direct, socket in ways.items():
        data = socket.tail.join(pieces)
        try:
            sent = direct.send(data)
        except OSError:
            sent = 0
        if sent != len(data):
            rests.append((socket, data, sent))
    return rests


def _share(socket: Socket, to_all: list[Message]) -> None:
    if socket.queue is None:
        socket.queue = []
    socket.queue.extend(_frames(to_all[socket.seen :], socket))
    socket.seen = 0


def _frames(messages: list[Message], socket: Socket) -> list[bytes]:
    if socket.cluster_form:
        tail = socket.tail
        return [
            message.cluster_frame if message.pieces is None else tail.join(message.pieces)
            for message in messages
        ]
    return [message.raw_frame for message in messages]

"""The hot path: it moves the bytes of all relays, on sockets of its own beside the event loop.

Per small frame, most of the cost is in the kernel, and what remains to be saved is around it
(figures of a C program that does nothing else: 4.3 µs; nginx 5.3; asyncio transports on uvloop
6.1; this 4.9):

- One epoll for all relays, which the event loop watches as a single file. A transport per socket
  costs two takings of the GIL and a chain of calls for each read, and 2 KB.
- First every socket that has something is read, then all of it is written. The kernel's code for
  either, and Python's, stays in the processor's caches; a sixth cheaper than by turns.
- A write goes straight to the socket. What it does not take waits in memory, for which there is a
  limit: beyond that, its peer is not read until it has caught up.

- A socket that is only read is watched edge-triggered, which spares the kernel a second look at
  it; so one that may not be empty yet is read again, or asked about anew.
"""

import asyncio
from collections.abc import Callable, Sequence
from os import close, read, write
from select import EPOLLET, EPOLLIN, EPOLLOUT, EPOLLRDHUP, epoll
from typing import Protocol, cast

from gateway_lb.metrics import Direction

READ_SIZE = 32 * 1024
"""Most bytes that one read takes."""
_READS_PER_TURN = 256
"""Sockets read in one go; then the event loop has its turn."""
_CLOSED = -1
_READING = EPOLLIN | EPOLLRDHUP | EPOLLET


class Ends(Protocol):
    """Who decides what follows from the end of a side; a Relay."""

    buffer_high_water: int
    """Bytes that may wait for a side before its peer is paused."""

    def half_closed(self, side: "Side") -> None:
        """Hear that a side will send no more."""

    def lost(self, side: "Side") -> None:
        """Hear that a side can neither be read nor written, or is done with."""


class Side:
    """One socket of a relay. What is read from its peer is written to it."""

    __slots__ = (
        "direction",
        "ended",
        "fd",
        "paused",
        "peer",
        "relay",
        "then",
        "waiting",
        "watched",
    )

    peer: "Side"

    def __init__(self, relay: Ends, fd: int, direction: Direction) -> None:
        """`direction`: the account of the bytes that go out here."""
        self.relay = relay
        self.fd = fd
        self.direction = direction
        self.ended = False
        """Whether nothing more is to be read from it."""
        self.paused = False
        """Whether it is not read for now, because its peer is slow."""
        self.waiting: bytearray | None = None
        """What its socket has not taken yet; None for nothing."""
        self.then: Callable[[Side], None] | None = None
        """What to do when nothing waits any more."""
        self.watched = 0
        """The events that epoll has been asked for."""

    @property
    def open(self) -> bool:
        """Whether it has its socket."""
        return self.fd != _CLOSED


_NOBODY = cast("Side", None)


class Pump:
    """Reads and writes the sides given to it, which it owns until it drops them."""

    def __init__(self) -> None:
        self._targets: list[Side] = []
        """Who is sent what a socket receives, by the socket's number.

        A list, since a dict would compare its keys, and the target, since the socket's own side
        is not needed for most reads: each is memory that is in no cache by its next turn.
        """
        self._open = 0
        self._epoll: epoll | None = None

    def add(self, sides: Sequence[Side]) -> None:
        """Begin to read sides, whose sockets must not block.

        Raises OSError when the kernel will not watch one; all are to be dropped then.
        """
        highest = max(side.fd for side in sides)
        self._targets += [_NOBODY] * (highest + 1 - len(self._targets))
        for side in sides:
            self._targets[side.fd] = side.peer
            self._open += 1
        for side in sides:
            self.watch(side)

    def drop(self, side: Side) -> None:
        """Close a side's socket; what waits for it is lost."""
        if not side.open:
            return
        side.ended, side.waiting, side.then = True, None, None
        # Before the number is free for another socket.
        self.watch(side)
        self._targets[side.fd] = _NOBODY
        self._open -= 1
        close(side.fd)
        side.fd = _CLOSED
        if not self._open and self._epoll is not None:
            asyncio.get_running_loop().remove_reader(self._epoll)
            self._epoll.close()
            self._epoll = None

    def watch(self, side: Side) -> None:
        """Ask epoll for what a side's state calls for, and for nothing else.

        A side that is neither read nor written is taken out, since epoll would go on and on about
        a connection that is reset or has ended.
        """
        wanted = 0 if side.ended or side.paused else _READING
        if side.waiting is not None:
            wanted = wanted & EPOLLIN | EPOLLOUT
        if wanted == side.watched:
            return
        files = self._epoll or self._begin()
        if not side.watched:
            files.register(side.fd, wanted)
        elif wanted:
            files.modify(side.fd, wanted)
        else:
            files.unregister(side.fd)
        side.watched = wanted

    def when_written(self, side: Side, then: Callable[[Side], None]) -> None:
        """Call `then` when a side's socket has taken all that waits for it: perhaps at once."""
        if side.waiting is None:
            then(side)
        else:
            side.then = then

    def pass_on(self, batch: Sequence[tuple[Side, bytes]]) -> None:
        """Write bytes to sides, as far as they take them; the rest waits."""
        failed = []
        for target, data in batch:
            size = len(data)
            target.direction.bytes += size
            if target.waiting is None:
                try:
                    written = write(target.fd, data)
                except BlockingIOError:
                    written = 0
                except OSError:
                    failed.append(target)
                    continue
                if written == size:
                    continue
                data = data[written:]  # noqa: PLW2901 - the rest of it
            self._keep(target, data)
        self._lose(failed)

    def _begin(self) -> epoll:
        self._epoll = epoll()
        asyncio.get_running_loop().add_reader(self._epoll, self._turn, self._epoll)
        return self._epoll

    def _turn(self, files: epoll) -> None:
        """Relay what has come in, then see to the sides that need more than that."""
        targets = self._targets
        batch: list[tuple[Side, bytes]] = []
        others, failed = [], []
        for fd, events in files.poll(0, _READS_PER_TURN):
            if events == EPOLLIN:
                try:
                    data = read(fd, READ_SIZE)
                except BlockingIOError:
                    continue
                except OSError:
                    failed.append(targets[fd].peer)
                    continue
                if data:
                    batch.append((targets[fd], data))
                    if len(data) < READ_SIZE:
                        continue
            others.append(targets[fd].peer)
        # No side is dropped, and no socket's number is used anew, before all is written.
        self.pass_on(batch)
        self._lose(failed)
        for side in others:
            self._attend(side, files)

    def _attend(self, side: Side, files: epoll) -> None:
        """Write what waits for a side, read it, and hear of its end."""
        if side.waiting is not None:
            self._flush(side)
        # What came before in the same turn may have ended or paused it.
        if side.ended or side.paused:
            return
        try:
            data = read(side.fd, READ_SIZE)
        except BlockingIOError:
            return
        except OSError:
            side.relay.lost(side)
            return
        if not data:
            side.ended = True
            self.watch(side)
            side.relay.half_closed(side)
            return
        self.pass_on([(side.peer, data)])
        if side.watched == _READING:
            # There may be more, or the end, which epoll has told already. Asked anew, it looks.
            files.modify(side.fd, _READING)

    def _lose(self, sides: Sequence[Side]) -> None:
        for side in sides:
            if side.open:
                side.relay.lost(side)

    def _keep(self, side: Side, data: bytes) -> None:
        """Let data wait for a side, and stop its peer when there is too much of it."""
        if side.waiting is None:
            side.waiting = bytearray(data)
            self.watch(side)
        else:
            side.waiting += data
        if len(side.waiting) > side.relay.buffer_high_water:
            side.peer.paused = True
            self.watch(side.peer)

    def _flush(self, side: Side) -> None:
        waiting = side.waiting
        if waiting is None:
            return
        try:
            del waiting[: write(side.fd, waiting)]
        except BlockingIOError:
            return
        except OSError:
            side.relay.lost(side)
            return
        if not waiting:
            side.waiting = None
            self.watch(side)
        peer = side.peer
        if peer.paused and len(waiting) <= side.relay.buffer_high_water // 4:
            peer.paused = False
            self.watch(peer)
        if not waiting and side.then is not None:
            then, side.then = side.then, None
            then(side)

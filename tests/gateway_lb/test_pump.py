"""The pump on pairs of sockets, in states that a network brings about now and then only."""

import asyncio
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from gateway_lb import pump as pump_module
from gateway_lb.pool import Member
from gateway_lb.pump import READ_SIZE, Pump, Side
from gateway_lb.relay import Relay
from tests.gateway_lb.fakes import instance, until


@dataclass
class Owner:
    pump: Pump = field(default_factory=Pump)
    half_close_timeout: float = 30.0
    over: list[Relay] = field(default_factory=list)

    def ended(self, relay: Relay) -> None:
        self.over.append(relay)


@dataclass
class Joined:
    """A relay, with the sockets of the client and of the node at the far ends."""

    relay: Relay
    client: socket.socket
    node: socket.socket


def connection() -> tuple[socket.socket, socket.socket]:
    """Give both ends of a TCP connection; TCP can be reset, a pair of Unix sockets cannot."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        far = socket.create_connection(listener.getsockname())
        near, _ = listener.accept()
    for end in (far, near):
        end.setblocking(False)
    return far, near


@pytest.fixture
def owner() -> Owner:
    return Owner()


@pytest.fixture
def far_ends() -> Iterator[list[socket.socket]]:
    ends: list[socket.socket] = []
    yield ends
    for end in ends:
        end.close()


def join(owner: Owner, far_ends: list[socket.socket], high_water: int = 65536) -> Joined:
    client, client_near = connection()
    node, node_near = connection()
    far_ends += (client, node)
    relay = Relay(
        owner,
        Member(instance(1)),
        client=client_near.detach(),
        node=node_near.detach(),
        buffer_high_water=high_water,
    )
    relay.start(b"head", b"")
    return Joined(relay, client, node)


async def read(end: socket.socket, length: int) -> bytes:
    data = b""
    while len(data) < length:
        piece = await asyncio.get_running_loop().sock_recv(end, length - len(data))
        if not piece:
            break
        data += piece
    return data


def fill(end: socket.socket) -> bytes:
    """Write until nothing more is taken."""
    data = bytearray()
    block = bytes(range(256)) * 64
    while True:
        try:
            data += block[: end.send(block)]
        except BlockingIOError:
            return bytes(data)


def reset(end: socket.socket) -> None:
    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    end.close()


async def turns() -> None:
    """Let the loop go round until all that is ready has been seen to."""
    for _ in range(20):
        await asyncio.sleep(0)


def at_rest(owner: Owner) -> bool:
    files = owner.pump._epoll
    return files is not None and not files.poll(0)


async def test_more_sockets_than_fit_in_a_turn_are_all_served(
    owner: Owner, far_ends: list[socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pump_module, "_READS_PER_TURN", 2)
    all_joined = [join(owner, far_ends) for _ in range(7)]
    for number, joined in enumerate(all_joined):
        joined.client.send(b"up %d" % number)
        joined.node.send(b"down %d" % number)
    for number, joined in enumerate(all_joined):
        assert await read(joined.node, 4) == b"up %d" % number
        assert await read(joined.client, 10) == b"headdown %d" % number
        joined.relay.close()


async def test_an_idle_pump_has_no_epoll(owner: Owner, far_ends: list[socket.socket]) -> None:
    for _ in range(2):
        joined = join(owner, far_ends)
        assert owner.pump._epoll is not None
        joined.relay.close()
        assert owner.pump._epoll is None
    assert len(owner.over) == 2


async def test_what_comes_with_the_other_sides_end_goes_nowhere_else(
    owner: Owner, far_ends: list[socket.socket], caplog: pytest.LogCaptureFixture
) -> None:
    """A socket that is opened meanwhile must not get it, though it may have the same number."""
    joined = join(owner, far_ends)
    await turns()
    joined.client.send(b"for the node")
    reset(joined.node)
    await until(lambda: owner.over, "the relay is over")
    assert not joined.relay.client.open
    assert not joined.relay.node.open
    assert await read(joined.client, 5) == b"head"
    assert not caplog.records


@pytest.mark.parametrize("who", ["client", "node"])
async def test_a_reset_of_a_paused_side_does_not_keep_the_loop_busy(
    owner: Owner, far_ends: list[socket.socket], who: str
) -> None:
    joined = join(owner, far_ends)
    sender, deaf = joined.node, joined.client
    side = joined.relay.node
    if who == "client":
        sender, deaf, side = deaf, sender, joined.relay.client
    while not side.paused:
        fill(sender)
        await turns()
    reset(sender)
    await turns()
    assert at_rest(owner)
    # The one that was slow takes what there is, and its end comes behind it.
    deaf.setblocking(False)
    got = 0
    while piece := await asyncio.get_running_loop().sock_recv(deaf, 1 << 20):
        got += len(piece)
    assert got > 65536
    await until(lambda: owner.over, "the relay is over")


async def test_a_pause_ends_when_most_has_been_taken_and_nothing_is_lost(
    owner: Owner, far_ends: list[socket.socket]
) -> None:
    joined = join(owner, far_ends)
    sent = b""
    while not joined.relay.node.paused:
        sent += fill(joined.node)
        await turns()
    assert len(joined.relay.client.waiting or b"") <= 65536 + READ_SIZE
    assert await read(joined.client, 4 + len(sent)) == b"head" + sent
    assert not joined.relay.node.paused
    assert joined.relay.client.waiting is None
    joined.node.send(b"more")
    assert await read(joined.client, 4) == b"more"
    joined.relay.close()


async def test_the_end_of_a_stream_comes_behind_what_waits(
    owner: Owner, far_ends: list[socket.socket]
) -> None:
    joined = join(owner, far_ends, high_water=1 << 30)
    sent = b""
    while not joined.relay.client.waiting:
        sent += fill(joined.node)
        await turns()
    joined.node.shutdown(socket.SHUT_WR)
    await until(lambda: joined.relay.node.ended, "the node's end is seen")
    assert joined.relay.client.waiting
    joined.client.send(b"still here")
    assert await read(joined.node, 10) == b"still here"
    assert await read(joined.client, 8 + len(sent)) == b"head" + sent
    # One direction has ended; the other goes on.
    joined.client.send(b"and here")
    assert await read(joined.node, 8) == b"and here"
    assert not owner.over
    joined.client.shutdown(socket.SHUT_WR)
    await until(lambda: owner.over, "both have ended")


async def test_a_side_that_has_ended_both_ways_does_not_keep_the_loop_busy(
    owner: Owner, far_ends: list[socket.socket]
) -> None:
    """epoll reports such a socket whether it was asked to or not."""
    joined = join(owner, far_ends)
    while not joined.relay.node.paused:
        fill(joined.node)
        await turns()
    joined.client.shutdown(socket.SHUT_WR)
    await until(lambda: joined.relay.client.ended, "the client's end is seen")
    joined.node.close()
    await turns()
    assert at_rest(owner)
    joined.relay.close()
    joined.client.close()
    await until(lambda: owner.over, "the relay is over")


async def test_sockets_that_the_kernel_will_not_watch_are_closed(
    owner: Owner, far_ends: list[socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = join(owner, far_ends)
    watch = owner.pump.watch

    def full(side: Side) -> None:
        if not side.ended:
            raise OSError(28, "no space left on device")
        watch(side)

    monkeypatch.setattr(owner.pump, "watch", full)
    with pytest.raises(OSError, match="no space"):
        join(owner, far_ends)
    monkeypatch.undo()
    (refused,) = owner.over
    assert not refused.client.open
    assert not refused.node.open
    kept.client.send(b"unharmed")
    assert await read(kept.node, 8) == b"unharmed"
    kept.relay.close()

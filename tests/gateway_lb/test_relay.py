"""Relays on real sockets: what goes in at one side comes out at the other, and both end."""

import asyncio
import errno
import os
import socket
import struct
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from gateway_lb import opening as opening_module
from gateway_lb import relay as relay_module
from gateway_lb.pump import READ_SIZE
from gateway_lb.reach import Reached, reach
from gateway_lb.relay import Relay
from tests.gateway_lb.fakes import (
    LIMIT,
    FakeNode,
    Gateway,
    Visit,
    echo,
    gateway,
    handshake,
    instance,
    opened,
    settings,
    until,
)


def only_relay(gate: Gateway) -> Relay:
    (relay,) = gate.relays._open
    return relay


def sample(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


async def echo_messages(connection: ServerConnection) -> None:
    async for message in connection:
        if isinstance(message, str):
            await connection.send(message)
        else:
            await connection.send([message[:7], message[7:]])


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 3_000_000])
async def test_messages_arrive_byte_for_byte_in_both_directions(size: int) -> None:
    message = os.urandom(size)
    async with serve(echo_messages, "127.0.0.1", 0, max_size=None, compression=None) as server:
        node = instance(server.sockets[0].getsockname()[1])
        async with gateway(node) as gate, connect(gate.ws(), max_size=None) as client:
            await client.send([message[:3], message[3:]])
            assert await client.recv() == message


async def test_compression_is_between_client_and_node() -> None:
    async with serve(echo_messages, "127.0.0.1", 0) as server:
        node = instance(server.sockets[0].getsockname()[1])
        async with gateway(node) as gate, connect(gate.ws()) as client:
            assert client.response is not None
            assert "permessage-deflate" in client.response.headers["Sec-WebSocket-Extensions"]
            await client.send("x" * 100_000)
            assert await client.recv() == "x" * 100_000


async def test_a_close_by_the_node_reaches_the_client_with_code_and_reason() -> None:
    async def refuse(connection: ServerConnection) -> None:
        await connection.close(4403, "not you")

    async with serve(refuse, "127.0.0.1", 0) as server:
        node = instance(server.sockets[0].getsockname()[1])
        async with gateway(node) as gate, connect(gate.ws()) as client:
            with pytest.raises(ConnectionClosed):
                await client.recv()
            assert (client.close_code, client.close_reason) == (4403, "not you")


async def test_early_bytes_of_the_client_wait_for_the_node() -> None:
    accept = asyncio.Event()

    async def slow(visit: Visit) -> None:
        await accept.wait()
        await visit.accept()
        visit.writer.write(await visit.reader.readexactly(11))
        await visit.reader.read()

    async with FakeNode(slow) as node, gateway(node) as gate:
        reader, writer = await gate.connect()
        writer.write(handshake() + b"early ")
        await until(lambda: node.visits, "the node is asked")
        writer.write(b"later")
        accept.set()
        await reader.readuntil(b"\r\n\r\n")
        assert await reader.readexactly(11) == b"early later"
        writer.close()


async def test_a_client_that_sends_much_before_it_is_accepted_is_paused_not_cut_off() -> None:
    accept = asyncio.Event()
    data = os.urandom(8_000_000)

    async def slow(visit: Visit) -> None:
        await accept.wait()
        await echo(visit)

    async with FakeNode(slow) as node, gateway(node) as gate:
        reader, writer = await gate.connect()
        writer.write(handshake() + data)
        await until(lambda: node.visits, "the node is asked")
        (opening,) = gate.server._server.server_state.connections
        await until(lambda: not opening._transport.is_reading(), "the client is paused")
        assert len(opening._early) < 600_000
        accept.set()
        await reader.readuntil(b"\r\n\r\n")
        assert await reader.readexactly(len(data)) == data
        writer.close()


async def test_bytes_that_the_node_sends_right_behind_its_answer_arrive() -> None:
    async def eager(visit: Visit) -> None:
        await visit.accept(behind=b"\x81\x04pong")
        await visit.reader.read()

    async with FakeNode(eager) as node, gateway(node) as gate:
        reader, writer = await opened(gate)
        assert await reader.readexactly(6) == b"\x81\x04pong"
        writer.close()


async def test_the_end_of_one_direction_is_passed_on_and_the_other_goes_on() -> None:
    async def last_words(visit: Visit) -> None:
        await visit.accept()
        got = await visit.reader.read()  # to the end of the stream
        visit.writer.write(b"got " + got)

    async with FakeNode(last_words) as node, gateway(node) as gate:
        reader, writer = await opened(gate)
        writer.write(b"all I have")
        writer.write_eof()
        assert await reader.read() == b"got all I have"
        await until(gate.idle, "the relay is over")


async def test_the_end_of_the_nodes_direction_is_passed_on() -> None:
    async def quiet(visit: Visit) -> None:
        await visit.accept()
        visit.writer.write_eof()
        assert await visit.reader.read() == b"still here"
        visit.node.script = echo  # noted

    async with FakeNode(quiet) as node, gateway(node) as gate:
        reader, writer = await opened(gate)
        assert await reader.read() == b""
        writer.write(b"still here")
        writer.close()
        await until(lambda: node.script is echo, "the node got the client's last bytes")
        await until(gate.idle, "the relay is over")


async def test_a_half_that_goes_on_for_too_long_is_ended() -> None:
    async def deaf(visit: Visit) -> None:
        await visit.accept()
        await asyncio.Event().wait()

    async with FakeNode(deaf) as node, gateway(node, half_close_timeout="100ms") as gate:
        reader, writer = await opened(gate)
        writer.write_eof()
        assert await reader.read() == b""
        await until(gate.idle, "the relay is over")


@pytest.mark.parametrize("who", ["client", "node"])
@pytest.mark.parametrize("how", ["close", "abort"])
async def test_when_one_side_goes_the_other_goes_too(who: str, how: str) -> None:
    async with FakeNode(echo) as node, gateway(node) as gate:
        reader, writer = await opened(gate)
        await until(lambda: len(gate.relays) == 1, "the relay counts")
        assert gate.pool.members[0].open == 1
        leaving = writer if who == "client" else node.visits[0].writer
        if how == "close":
            leaving.close()
        else:
            leaving.transport.abort()
        if who == "node":
            assert await reader.read() == b""
            writer.close()
        await until(lambda: node.open == 0, "the node's side is closed")
        await until(gate.idle, "the relay is over")
        assert not gate.server._server.server_state.connections


async def test_what_was_in_flight_when_the_node_went_still_arrives() -> None:
    data = os.urandom(5_000_000)

    async def burst(visit: Visit) -> None:
        await visit.accept(behind=data)

    async with FakeNode(burst) as node, gateway(node) as gate:
        reader, writer = await opened(gate)
        assert await reader.read() == data
        writer.close()
        await until(gate.idle, "the relay is over")


async def test_a_side_that_reads_nothing_does_not_keep_a_relay_that_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(relay_module, "CLOSE_TIMEOUT", 0.1)

    async def flood(visit: Visit) -> None:
        await visit.accept()
        while True:
            visit.writer.write(bytes(65536))
            await visit.writer.drain()

    async with FakeNode(flood) as node, gateway(node) as gate:
        with socket.create_connection(("127.0.0.1", gate.port)) as deaf:
            deaf.sendall(handshake())
            await until(lambda: len(gate.relays) == 1, "the relay is there")
            relay = only_relay(gate)
            await until(
                lambda: relay.node.paused,
                "the node is paused by a full client",
            )
            node.visits[0].writer.transport.abort()
            relay.close()
            await until(gate.idle, "the relay is over")


def reset(visit: Visit) -> None:
    """End the connection as a process does that crashes with something unread."""
    own = visit.writer.get_extra_info("socket")
    own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    visit.writer.transport.abort()


def files() -> int:
    """Count the open files of this process."""
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_a_node_that_is_gone_before_the_relay_starts_had_its_say(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def parting(visit: Visit) -> None:
        await visit.accept(behind=b"bye")
        reset(visit)

    async def reach_it_late(*arguments: Any) -> Reached:
        reached = await reach(*arguments)
        await until(lambda: reached.node.lost, "the node is gone")
        return reached

    monkeypatch.setattr(opening_module, "reach", reach_it_late)
    async with FakeNode(parting) as node, gateway(node) as gate:
        reader, writer = await opened(gate)
        assert await reader.read() == b"bye"
        writer.close()
        assert gate.idle()


async def test_without_a_file_to_spare_the_client_is_told_and_nothing_stays_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    duplicate = os.dup

    def second_fails(descriptor: int) -> int:
        monkeypatch.setattr(os, "dup", no_more)
        return duplicate(descriptor)

    def no_more(_: int) -> int:
        raise OSError(errno.EMFILE, "too many open files")

    async with FakeNode(echo) as node, gateway(node) as gate:
        before = files()
        monkeypatch.setattr(os, "dup", second_fails)
        async with connect(gate.ws()) as client:
            with pytest.raises(ConnectionClosed):
                await client.recv()
            assert client.close_code == 1011
        await until(lambda: node.open == 0, "the node's side is closed")
        await until(lambda: files() <= before, "no file is left open")
        assert gate.idle()


class _Slow:
    """A socket that is read only when told, with as little kernel buffer as there can be."""

    def __init__(self, port: int) -> None:
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.connect(("127.0.0.1", port))
        self.socket.setblocking(False)

    async def send(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self.socket, data)

    async def read(self, length: int) -> bytes:
        data = bytearray()
        loop = asyncio.get_running_loop()
        while len(data) < length and (piece := await loop.sock_recv(self.socket, 1 << 20)):
            data += piece
        return bytes(data)


async def test_a_slow_client_pauses_the_node_and_memory_stays_bounded() -> None:
    data = os.urandom(64 << 20)

    async def burst(visit: Visit) -> None:
        await visit.accept(behind=data)
        await visit.reader.read()

    async with FakeNode(burst) as node, gateway(node, buffer_high_water=65536) as gate:
        client = _Slow(gate.port)
        await client.send(handshake())
        await until(lambda: len(gate.relays) == 1, "the relay is there")
        relay = only_relay(gate)
        await until(lambda: relay.node.paused, "the node is paused")
        assert len(relay.client.waiting or b"") <= 65536 + READ_SIZE
        received = await client.read(len(data) + 129)
        assert received.partition(b"\r\n\r\n")[2] == data
        client.socket.close()


async def test_a_slow_node_pauses_the_client_and_memory_stays_bounded() -> None:
    data = os.urandom(64 << 20)
    read = asyncio.Event()
    received = bytearray()

    async def lazy(visit: Visit) -> None:
        await visit.accept()
        await read.wait()
        while piece := await visit.reader.read(1 << 20):
            received.extend(piece)

    async with FakeNode(lazy) as node, gateway(node, buffer_high_water=65536) as gate:
        _, writer = await opened(gate)
        writer.write(data)
        relay = only_relay(gate)
        await until(lambda: relay.client.paused, "the client is paused")
        assert len(relay.node.waiting or b"") <= 65536 + READ_SIZE
        read.set()
        writer.write_eof()
        await until(lambda: len(received) == len(data), "everything arrived")
        assert bytes(received) == data
        writer.close()


async def test_traffic_and_relays_are_counted() -> None:
    async with FakeNode(echo) as node, gateway(node) as gate:
        relays = sample("gateway_relays_total")
        up = sample("gateway_relayed_bytes_total", direction="up")
        down = sample("gateway_relayed_bytes_total", direction="down")
        reader, writer = await opened(gate)
        writer.write(bytes(1000))
        await reader.readexactly(1000)
        assert sample("gateway_relays_open") == 1
        assert sample("gateway_relays_total") == relays + 1
        assert sample("gateway_relayed_bytes_total", direction="up") == up + 1000
        assert sample("gateway_relayed_bytes_total", direction="down") >= down + 1000
        writer.close()
        await until(lambda: sample("gateway_relays_open") == 0, "the gauge falls")


async def test_draining_refuses_new_clients_and_ends_the_open_relays() -> None:
    async with FakeNode(echo) as node, gateway(node, drain={"window": "200ms"}) as gate:
        clients = [await opened(gate) for _ in range(4)]
        draining = asyncio.create_task(gate.relays.drain())
        await until(lambda: gate.relays.draining, "it drains")
        async with connect(gate.ws()) as late:
            with pytest.raises(ConnectionClosed):
                await late.recv()
            assert late.close_code == 4001
        async with asyncio.timeout(LIMIT):
            await draining
        for reader, writer in clients:
            assert await reader.read() == b""
            writer.close()
        assert gate.idle()


async def test_relays_that_end_by_themselves_while_draining_do_not_disturb_it() -> None:
    async with FakeNode(echo) as node, gateway(node, drain={"window": "400ms"}) as gate:
        clients = [await opened(gate) for _ in range(8)]
        draining = asyncio.create_task(gate.relays.drain())
        await until(lambda: gate.relays.draining, "it drains")
        for _, writer in clients:
            writer.close()
        async with asyncio.timeout(LIMIT):
            await draining
        assert gate.idle()


async def test_a_node_that_says_goodbye_at_the_end_of_the_stream_is_heard_when_draining() -> None:
    goodbye = b"\x88\x04" + (4001).to_bytes(2, "big") + b"go"

    async def polite(visit: Visit) -> None:
        await visit.accept()
        await visit.reader.read()
        visit.writer.write(goodbye)

    async with (
        FakeNode(polite) as node,
        gateway(node, drain={"window": "0s"}) as gate,
        connect(gate.ws()) as client,
    ):
        await gate.relays.drain()
        with pytest.raises(ConnectionClosed):
            await client.recv()
        assert (client.close_code, client.close_reason) == (4001, "go")


async def test_a_relay_opened_while_draining_ends_too() -> None:
    accept = asyncio.Event()

    async def slow(visit: Visit) -> None:
        await accept.wait()
        await echo(visit)

    async with FakeNode(slow) as node, gateway(node) as gate:
        reader, writer = await gate.connect()
        writer.write(handshake())
        await until(lambda: node.visits, "the node is asked")
        await gate.relays.drain()
        accept.set()
        assert (await reader.read()).startswith(b"HTTP/1.1 101 ")
        writer.close()
        await until(gate.idle, "the relay is over")


async def test_two_clients_one_after_the_other_sit_on_different_nodes() -> None:
    async with FakeNode(echo) as one, FakeNode(echo) as two, gateway(one, two) as gate:
        clients: list[Any] = [await opened(gate), await opened(gate)]
        assert (len(one.visits), len(two.visits)) == (1, 1)
        for _, writer in clients:
            writer.close()


async def test_a_new_strategy_holds_for_the_next_client() -> None:
    async with FakeNode(echo) as one, FakeNode(echo) as two, gateway(one, two) as gate:
        gate.live.swap(settings(strategy="consistent-hash"))
        clients = [await opened(gate) for _ in range(4)]
        assert sorted((len(one.visits), len(two.visits))) == [0, 4]
        gate.live.swap(settings(strategy="least-connections"))
        clients.append(await opened(gate))
        assert sorted((len(one.visits), len(two.visits))) == [1, 4]
        for _, writer in clients:
            writer.close()

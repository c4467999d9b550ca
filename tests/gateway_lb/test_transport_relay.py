"""A relay over transports: who is slow stops the other, who ends ends the other."""

import asyncio

import pytest

from gateway_lb import transport_relay
from gateway_lb.pool import Member
from gateway_lb.pump import Pump
from gateway_lb.transport_relay import TransportRelay
from nacos_boot.registry.instance import Instance
from tests.waiting import eventually


class FakeTransport(asyncio.Transport):
    """Keeps what is done with it; ends when it is told to."""

    def __init__(self, *, half_close: bool) -> None:
        super().__init__()
        self._half_close = half_close
        self.written = b""
        self.reading = True
        self.stream_ended = False
        self.ending = False
        self.high: int | None = None
        self.protocol: asyncio.Protocol

    def write(self, data: object) -> None:
        self.written += bytes(data)  # type: ignore[call-overload]  # always bytes here

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:  # noqa: ARG002 - asyncio's signature
        self.high = high

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        assert isinstance(protocol, asyncio.Protocol)
        self.protocol = protocol

    def can_write_eof(self) -> bool:
        return self._half_close

    def write_eof(self) -> None:
        self.stream_ended = True

    def close(self) -> None:
        if not self.ending:
            self.ending = True
            asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)

    def abort(self) -> None:
        self.close()


class FakeOwner:
    """Counts the relays that have ended."""

    half_close_timeout = 0.05

    def __init__(self) -> None:
        self.pump = Pump()
        self.ends = 0

    def ended(self, relay: object) -> None:  # noqa: ARG002 - it is the only one
        self.ends += 1


class Joined:
    """A client by TLS and a node by plain TCP, joined."""

    def __init__(self, *, node_half_closes: bool = True) -> None:
        self.owner = FakeOwner()
        self.client = FakeTransport(half_close=False)
        self.node = FakeTransport(half_close=node_half_closes)
        instance = Instance(service="s", ip="127.0.0.1", port=1)
        self.relay = TransportRelay(
            self.owner,
            Member(instance),
            client=self.client,
            node=self.node,
            buffer_high_water=1000,
        )
        self.relay.start(b"101", b"early")

    async def ended(self) -> None:
        await eventually(lambda: self.owner.ends)
        assert self.owner.ends == 1
        assert self.client.ending
        assert self.node.ending


async def test_bytes_flow_both_ways_behind_what_came_before() -> None:
    joined = Joined()
    joined.client.protocol.data_received(b"up")
    joined.node.protocol.data_received(b"down")
    assert joined.node.written == b"earlyup"
    assert joined.client.written == b"101down"


async def test_a_slow_side_stops_the_reading_from_the_other() -> None:
    joined = Joined()
    assert joined.client.high == joined.node.high == 1000
    joined.client.protocol.pause_writing()
    assert not joined.node.reading
    assert joined.client.reading
    joined.client.protocol.resume_writing()
    assert joined.node.reading


async def test_a_client_that_is_lost_takes_the_node_side_along() -> None:
    joined = Joined()
    joined.client.ending = True
    joined.client.protocol.connection_lost(None)
    await joined.ended()


async def test_a_node_that_ends_ends_the_client() -> None:
    joined = Joined()
    joined.node.protocol.eof_received()
    await joined.ended()


async def test_a_client_that_ends_leaves_the_node_a_while_to_answer() -> None:
    joined = Joined()
    joined.client.protocol.eof_received()
    assert joined.node.stream_ended
    assert not joined.node.ending
    joined.node.protocol.data_received(b"bye")
    assert joined.client.written.endswith(b"bye")
    await joined.ended()


async def test_a_relay_that_leaves_lets_the_node_say_why() -> None:
    joined = Joined()
    joined.relay.leave()
    assert joined.node.stream_ended
    assert not joined.client.reading
    joined.node.protocol.data_received(b"close frame")
    joined.node.protocol.eof_received()
    await joined.ended()
    assert joined.client.written.endswith(b"close frame")


async def test_a_node_that_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport_relay, "CLOSE_TIMEOUT", 0.05)
    joined = Joined()
    joined.relay.leave()
    await joined.ended()


async def test_a_relay_to_a_node_by_tls_just_ends() -> None:
    joined = Joined(node_half_closes=False)
    joined.relay.leave()
    await joined.ended()

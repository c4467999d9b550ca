"""Poison on the exchanges: counted, set aside with the reason, and nobody waits because of it."""

import gzip
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aio_pika
import pytest

from service.broker.amqp import DIRECT, FANOUT
from service.broker.amqp_consumer import MAX_ASIDE
from tests.cluster import ClusterUnderTest, Program
from tests.e2e.test_death import node_id_of
from tests.e2e.test_push import amqp, take_dead

GOOD = {"content": "good", "targetUserList": ["alice"]}


@dataclass(frozen=True)
class Poison:
    """A message, and words of the reason that must stand with it in the dead queue."""

    body: bytes
    words: str
    properties: dict[str, Any] = field(default_factory=dict)


def users(number: int) -> bytes:
    return b",".join(b'"user-%d"' % each for each in range(number))


ODD_HEADERS: dict[str, Any] = {
    "nested": {"a": {"b": [1, {"c": None}]}, "t": datetime(2024, 1, 1, tzinfo=UTC)},
    "bytes": bytearray(b"\xff\x00"),
    "long": "x" * 50_000,
    "x-websocket-node": {"no": "text"},
    "x-websocket-number": "no number",
    "": "",
}

ON_BOTH = [
    Poison(b"", "no "),
    Poison(b"no json", "no "),
    Poison(b"\xff\xfe\x00", "no "),
    Poison(b"[]", "no "),
    Poison(b"null", "no "),
    Poison(b'"text"', "no "),
    Poison(b"[" * 200_000, "no "),
    Poison(b'{"x":' + b'{"x":' * 100_000, "nested too deeply"),
    Poison(gzip.compress(json.dumps(GOOD).encode()), "no ", {"content_encoding": "gzip"}),
    Poison(b"odd", "no ", {"headers": ODD_HEADERS, "content_type": "x" * 255}),
    Poison(b"ids", "no ", {"message_id": "é" * 100, "reply_to": "x", "expiration": 60}),
]
FOR_FANOUT = [
    Poison(b"{}", "neither allUser: true nor a target"),
    Poison(b'{"content":1,"allUser":"true"}', "allUser"),
    Poison(b'{"content":1,"targetUserList":{"a":1}}', "targetUserList"),
    Poison(b'{"content":1,"targetUserList":[1.5,null,{}]}', "neither allUser"),
    Poison(b'{"content":"\xff","allUser":true}', "content"),
    Poison(b'{"content":"\\ud800","allUser":true}', "no MsgDTO"),
    Poison(b'{"content":1,"targetUserList":[' + users(1_000_000) + b"]}", "200000 targets at most"),
]
FOR_DIRECT = [
    Poison(b'{"parts":[{"id":"x","users":["alice"]}]}', "content"),
    Poison(b'{"parts":[{"id":1,"users":["alice"],"content":1}]}', "id"),
    Poison(b'{"parts":[{"id":"x","users":"alice","content":1}]}', "users"),
    Poison(b'{"parts":[{"id":"x","users":["alice"],"content":"\xff"}]}', "content"),
    Poison(b'{"parts":[{"id":"x","users":["alice"],"content":{"a":"\\ud800"}}]}', "no envelope"),
    Poison(b'{"disconnect":{"alice":1}}', "disconnect"),
    Poison(
        b'{"parts":[{"id":"x","content":1,"users":[' + users(1_000_000) + b"]}]}",
        "more than 400000 users",
    ),
]


@pytest.mark.parametrize(
    ("exchange", "poison"), [(FANOUT, ON_BOTH + FOR_FANOUT), (DIRECT, ON_BOTH + FOR_DIRECT)]
)
async def test_it_is_set_aside_with_the_reason_and_what_is_behind_it_arrives(
    cluster: ClusterUnderTest, exchange: str, poison: list[Poison]
) -> None:
    node = cluster.nodes[0]
    before = await node.metric("websocket_messages_poisoned_total", exchange=exchange)
    async with await node.connect("alice") as alice:
        for item in poison:
            await publish(cluster, exchange, node, item.body, **item.properties)
        # Its place in the queue is behind all of them; the loop is free for others meanwhile.
        await publish(cluster, exchange, node, good_for(exchange))
        await alice.send("ping")
        assert {await alice.recv(), await alice.recv()} == {"good", "pong"}
        after = await node.metric("websocket_messages_poisoned_total", exchange=exchange)
        assert after - before == len(poison)
    copies = len(cluster.nodes) if exchange == FANOUT else 1
    dead = await take_dead(cluster, len(poison) * copies)
    reasons = {message.body: str(message.headers["x-reason"]) for message in dead}
    assert {message.headers["x-exchange"] for message in dead} == {exchange}
    assert reasons.keys() == {item.body[:MAX_ASIDE] for item in poison}
    for item in poison:
        reason = reasons[item.body[:MAX_ASIDE]]
        assert item.words in reason
        assert ("are kept" in reason) == (len(item.body) > MAX_ASIDE)


@pytest.mark.parametrize("exchange", [FANOUT, DIRECT])
async def test_a_message_of_100_mb_costs_neither_memory_nor_those_behind_it(
    cluster: ClusterUnderTest, exchange: str
) -> None:
    node = cluster.nodes[0]
    async with await node.connect("alice") as alice:
        # RabbitMQ's own limit is 128 MiB.
        body = b'{"allUser":true,"content":"' + b"x" * 100_000_000 + b'"}'
        before = resident(node, "VmRSS")
        forget_peak(node)
        await publish(cluster, exchange, node, body)
        await publish(cluster, exchange, node, good_for(exchange))
        assert await alice.recv() == "good"
        assert resident(node, "VmHWM") - before < 64_000_000
    (dead, *_) = await take_dead(cluster, len(cluster.nodes) if exchange == FANOUT else 1)
    # The first frame of it.
    assert body.startswith(dead.body)
    assert 100_000 < len(dead.body) <= MAX_ASIDE
    assert f"{len(body)} bytes; expected 33554432 at most" in str(dead.headers["x-reason"])


async def test_what_is_odd_but_readable_is_delivered(cluster: ClusterUnderTest) -> None:
    node = cluster.nodes[0]
    async with await node.connect("alice") as alice:
        for properties in (
            {"content_encoding": "gzip", "content_type": "text/html; charset=utf-16"},
            {"headers": ODD_HEADERS},
            {"headers": {"x-websocket-node": "not-there", "x-websocket-number": -1}},
            {"priority": 9, "correlation_id": "é", "app_id": "x", "message_id": "é" * 120},
        ):
            await publish(cluster, FANOUT, node, json.dumps(GOOD).encode(), **properties)
            assert await alice.recv() == "good"


def good_for(exchange: str) -> bytes:
    if exchange == FANOUT:
        return json.dumps(GOOD).encode()
    part = {"id": "x", "users": ["alice"], "content": "good"}
    return json.dumps({"parts": [part]}).encode()


async def publish(
    cluster: ClusterUnderTest, exchange: str, node: Program, body: bytes, **properties: Any
) -> None:
    """Publish to everybody, or to one node, as any AMQP client may."""
    key = await node_id_of(cluster, node) if exchange == DIRECT else ""
    async with await amqp(cluster) as connection:
        channel = await connection.channel()
        way = await channel.get_exchange(exchange)
        await way.publish(aio_pika.Message(body, **properties), routing_key=key)


def forget_peak(node: Program) -> None:
    """Have VmHWM begin anew (proc(5), clear_refs)."""
    Path(f"/proc/{node.child.pid}/clear_refs").write_text("5")


def resident(node: Program, what: str) -> int:
    """Give memory of a process in bytes: now (VmRSS), or at its peak (VmHWM)."""
    for line in Path(f"/proc/{node.child.pid}/status").read_text().splitlines():
        if line.startswith(f"{what}:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(what)

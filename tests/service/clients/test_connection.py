"""A Connection: its handshake, its frames, its place in the Hub."""

import asyncio
import json
import tracemalloc
from typing import Any

import pytest
from websockets.frames import Frame, Opcode

from service import metrics
from service.clients.frames import Message
from tests.service.fake_sockets import FakeTransport
from tests.service.raw_clients import House

TEXT, BINARY, CONT = Opcode.TEXT, Opcode.BINARY, Opcode.CONT
PING, PONG, CLOSE = Opcode.PING, Opcode.PONG, Opcode.CLOSE


@pytest.fixture
async def house() -> House:
    return House(asyncio.get_running_loop())


def refused(code: int) -> float:
    return float(metrics.HANDSHAKES_REFUSED.labels(str(code))._value.get())


# The handshake.


@pytest.mark.parametrize("written", [True, False])
async def test_a_client_is_taken_in_and_starts_when_the_directory_knows_it(
    house: House, written: bool
) -> None:
    client = house.client(
        "/websocket/a%40b?device=phone&token=secret",
        headers={"X-Forwarded-For": "203.0.113.9"},
        written=written,
    )
    assert client.frames() == []
    assert client.response is not None
    assert client.response.status_code == 101
    connection = client.connection
    assert (connection.user, connection.attributes) == ("a@b", {"device": "phone"})
    assert connection.address == "203.0.113.9"
    assert connection.opened_at > 1_600_000_000
    assert house.hub.of_user("a@b") == (connection,)
    # Pushed before it starts: kept, and sent behind `pong`.
    house.hub.deliver(Message("id", b'"early"'), ["a@b"])
    house.hub.deliver(Message("id", b'"to all"'), None)
    await asyncio.sleep(0)
    assert client.frames() == []
    house.writes.done()
    assert client.texts() == [b"pong"]
    await asyncio.sleep(0)
    assert client.texts() == [b"early", b"to all"]


async def test_starting_twice_says_pong_once(house: House) -> None:
    client = house.started()
    client.connection.start()
    assert client.frames() == []


@pytest.mark.parametrize("written", [True, False])
@pytest.mark.parametrize(
    ("offered", "chosen", "cluster_form"),
    [
        (None, None, False),
        (["cluster.v1"], "cluster.v1", True),
        (["x", "cluster.v1"], "cluster.v1", True),
        (["x", "y"], "x", False),
        (["bearer.secret", "x"], "x", False),
        (["bearer.secret"], None, False),
    ],
)
async def test_the_subprotocol_decides_the_form(
    house: House, offered: list[str] | None, chosen: str | None, cluster_form: bool, written: bool
) -> None:
    client = house.started(subprotocols=offered, written=written)
    assert client.response is not None
    assert client.response.headers.get("Sec-WebSocket-Protocol") == chosen
    assert b"secret" not in client.transport.sent
    house.hub.deliver(Message("an-id", b'{"a":1}'), ["alice"])
    await asyncio.sleep(0)
    [text] = client.texts()
    wrapped = {"type": "message", "id": "an-id", "token": None, "content": {"a": 1}}
    assert json.loads(text) == (wrapped if cluster_form else {"a": 1})


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-WebSocket-Key": []}, 400),
        ({"Sec-WebSocket-Key": "short"}, 400),
        ({"Sec-WebSocket-Key": ["AAAAAAAAAAAAAAAAAAAAAA==", "BAAAAAAAAAAAAAAAAAAAAA=="]}, 400),
        ({"Sec-WebSocket-Version": []}, 400),
        ({"Sec-WebSocket-Version": "8"}, 400),
        ({"Upgrade": "h2c"}, 426),
        ({"Connection": "close"}, 426),
        ({"X": "y" * 20_000}, 431),
        ({f"X-{number}": "y" for number in range(300)}, 431),
    ],
)
async def test_a_broken_handshake_gets_the_http_error(
    house: House, headers: dict[str, Any], status: int
) -> None:
    client = house.client(headers=headers)
    assert client.transport.sent.startswith(b"HTTP/1.1 %d " % status)
    assert client.transport.is_closing()
    assert len(house.hub) == 0
    assert house.writes.waiting == []


async def test_what_is_no_handshake_at_all_is_ended(house: House) -> None:
    connection = house.make(None, None, None)
    transport = FakeTransport(connection)
    connection.data_received(b"\x16\x03\x01\x02\x00\r\n\r\n")
    assert transport.is_closing()
    assert transport.sent == b""


async def test_another_path_is_not_found(house: House) -> None:
    before = refused(404)
    client = house.client("/elsewhere")
    head, _, body = client.transport.sent.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 404 Not Found")
    assert head.lower().count(b"content-type:") == 1
    assert b"content-type: application/problem+json" in head.lower()
    assert json.loads(body)["status"] == 404
    assert client.transport.is_closing()
    assert refused(404) == before + 1


@pytest.mark.parametrize("user", ["", "a%20b", "%ff", "x" * 129])
async def test_a_bad_user_id_is_accepted_and_closed_with_the_reason(
    house: House, user: str
) -> None:
    before = refused(4403)
    client = house.client(f"/websocket/{user}", subprotocols=["cluster.v1"])
    close = client.closed()
    assert close is not None
    assert (close.code, close.reason[:8]) == (4403, "user id:")
    # A browser fails with 1006 when nothing of its offer is echoed.
    assert client.response is not None
    assert client.response.headers["Sec-WebSocket-Protocol"] == "cluster.v1"
    assert len(house.hub) == 0
    assert refused(4403) == before + 1


async def test_a_full_node_refuses_and_sends_the_gateway_elsewhere(house: House) -> None:
    house.limit(max_connections=1)
    house.started()
    close = house.client("/websocket/bob").closed()
    assert close is not None
    assert close.code == 4429
    for values in ("1", ["1", "2"]):
        client = house.client("/websocket/bob", headers={"X-Gateway-Attempt": values})
        assert client.transport.sent.startswith(b"HTTP/1.1 503 Service Unavailable")
        assert client.transport.is_closing()
    assert len(house.hub) == 1
    house.limit(max_connections=2)
    house.started("/websocket/bob")


async def test_a_draining_node_refuses_and_sends_the_gateway_elsewhere(house: House) -> None:
    stayer = house.started()
    house.door.draining = True
    close = house.client().closed()
    assert close is not None
    assert close.code == 4001
    client = house.client(headers={"X-Gateway-Attempt": "1"})
    assert client.transport.sent.startswith(b"HTTP/1.1 503 ")
    # A bad user id is bad on every node.
    close = house.client("/websocket/a%20b", headers={"X-Gateway-Attempt": "1"}).closed()
    assert close is not None
    assert close.code == 4403
    assert stayer.connection.open


# What clients send.


async def test_ping_and_control_frames_are_answered(house: House) -> None:
    client = house.started()
    client.text(b"ping")
    assert client.texts() == [b"pong"]
    client.frame(PING, b"x" * 125)
    assert client.frames() == [Frame(PONG, b"x" * 125)]
    client.frame(PONG, b"unasked")
    client.text(b"nonsense")
    client.frame(BINARY, b"\xff")
    assert client.frames() == []
    assert not client.transport.is_closing()


async def test_bytes_may_come_one_at_a_time(house: House) -> None:
    client = house.started()
    for byte in Frame(TEXT, b"ping").serialize(mask=True):
        client.send(bytes([byte]))
    assert client.texts() == [b"pong"]


async def test_many_frames_may_come_at_once(house: House) -> None:
    client = house.started()
    client.send(Frame(TEXT, b"ping").serialize(mask=True) * 3 + b"\x89\x80abcd")
    assert [frame.opcode for frame in client.frames()].count(PONG) == 1
    client.text(b"ping")
    assert client.texts() == [b"pong"]


async def test_fragments_with_control_frames_between(house: House) -> None:
    client = house.started()
    client.frame(TEXT, b"pi", fin=False)
    client.frame(PING, b"now")
    client.frame(CONT, b"n", fin=False)
    client.frame(PONG)
    assert client.frames() == [Frame(PONG, b"now")]
    client.frame(CONT, b"g")
    assert client.texts() == [b"pong"]


async def test_a_character_split_across_fragments(house: House) -> None:
    client = house.started(subprotocols=["cluster.v1"])
    text = '{"type":"resume","token":"ü"}'.encode()
    place = text.index(b"\xc3") + 1
    client.frame(TEXT, text[:place], fin=False)
    client.frame(CONT, text[place:])
    assert client.texts() == [b'{"type":"reset"}']


def masked(head: bytes, payload: bytes = b"") -> bytes:
    return head + b"\0\0\0\0" + payload


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        # Not UTF-8: in one frame, in the second of two, at the end of the message.
        ([Frame(TEXT, b"\xff").serialize(mask=True)], 1007),
        ([masked(b"\x01\x81", b"a"), masked(b"\x80\x81", b"\xff")], 1007),
        ([masked(b"\x01\x81", b"\xc3"), masked(b"\x80\x80")], 1007),
        # Too large: by its head alone, and in sum.
        ([masked(b"\x81\xff" + (65_537).to_bytes(8, "big"))], 1009),
        ([masked(b"\x01\xfe\xff\xff", bytes(65_535)), masked(b"\x80\x82", b"xx")], 1009),
        ([masked(b"\x82\xff" + (2**62).to_bytes(8, "big"))], 1009),
        # Against the protocol (RFC 6455, section 5).
        ([b"\x81\x04ping"], 1002),
        ([masked(b"\xc1\x80")], 1002),
        ([masked(b"\xa1\x80")], 1002),
        ([masked(b"\x83\x80")], 1002),
        ([masked(b"\x8b\x80")], 1002),
        ([masked(b"\x80\x80")], 1002),
        ([masked(b"\x01\x80"), masked(b"\x81\x80")], 1002),
        ([masked(b"\x09\x80")], 1002),
        ([masked(b"\x89\xfe\x00\x7e", bytes(126))], 1002),
        ([masked(b"\x88\x81", b"x")], 1002),
        ([masked(b"\x88\x82", (1005).to_bytes(2, "big"))], 1002),
        ([masked(b"\x88\x82", (999).to_bytes(2, "big"))], 1002),
        ([masked(b"\x88\x83", (1000).to_bytes(2, "big") + b"\xff")], 1007),
    ],
)
async def test_frames_that_break_the_rules_end_the_connection(
    house: House, sent: list[bytes], code: int
) -> None:
    client = house.started()
    for data in sent:
        client.send(data)
    close = client.closed()
    assert close is not None
    assert close.code == code
    assert client.transport.is_closing()
    assert len(house.hub) == 0
    assert house.changes == ["alice", "alice"]


async def test_a_message_of_the_greatest_length_is_taken(house: House) -> None:
    client = house.started()
    client.text(b"x" * 65_536)
    client.frame(TEXT, b"x" * 65_535, fin=False)
    client.frame(CONT, b"x")
    client.text(b"ping")
    assert client.texts() == [b"pong"]


async def test_the_greatest_length_is_a_setting_for_new_connections(house: House) -> None:
    older = house.started()
    house.limit(max_message=125)
    newer = house.started("/websocket/bob")
    for client in (older, newer):
        client.text(b"x" * 126)
    assert older.closed() is None
    close = newer.closed()
    assert close is not None
    assert close.code == 1009


async def test_a_json_text_nested_too_deeply_is_ignored(house: House) -> None:
    client = house.started(subprotocols=["cluster.v1"])
    client.text(b'{"a":' + b"[" * 65_000)
    client.text(b"ping")
    assert client.texts() == [b"pong"]


async def test_what_a_client_asks_before_it_is_started_is_answered_behind_pong(
    house: House,
) -> None:
    client = house.client(subprotocols=["cluster.v1"])
    client.text(b'{"type":"resume","token":"t"}')
    client.text(b"ping")
    house.hub.deliver(Message("id", b"1"), None)
    await asyncio.sleep(0)
    assert client.frames() == []
    house.writes.done()
    await asyncio.sleep(0)
    texts = client.texts()
    assert texts[:3] == [b"pong", b'{"type":"reset"}', b"pong"]
    assert json.loads(texts[3])["content"] == 1


async def test_anything_that_comes_is_a_sign_of_life(house: House) -> None:
    loop = asyncio.get_running_loop()
    client = house.started()
    for opcode, data in ((PONG, b""), (PING, b""), (TEXT, b"x"), (BINARY, b"")):
        client.connection.alive_at = 0.0
        client.connection.ping(loop.time())
        assert client.frames() == [Frame(PING, b"")]
        assert client.connection.ping_sent_at > 0
        client.frame(opcode, data)
        assert client.connection.ping_sent_at == 0.0
        assert loop.time() - client.connection.alive_at < 1
        client.frames()


# One process, many connections.


async def test_an_idle_connection_has_no_task_no_timer_and_no_dict(house: House) -> None:
    loop: Any = asyncio.get_running_loop()
    tasks, timers = asyncio.all_tasks(), len(loop._scheduled)
    clients = [house.started(f"/websocket/user-{number}") for number in range(100)]
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == tasks
    assert len(loop._scheduled) == timers
    for client in clients:
        connection = client.connection
        assert not hasattr(connection, "__dict__")
        # What only some clients need is made when they need it.
        assert connection._reader is None
        assert connection.queue is None
    with pytest.raises(AttributeError):
        clients[0].connection.other = 1  # type: ignore[attr-defined]
    clients[0].text(b"ping")
    assert clients[0].texts() == [b"pong"]


class _Silent(asyncio.Transport):
    """A transport that takes no room to speak of."""

    __slots__ = ()

    def write(self, data: Any) -> None:
        pass

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("10.0.0.7", 1) if name == "peername" else default


@pytest.mark.parametrize("written", [True, False])
async def test_an_idle_connection_takes_little_memory(house: House, written: bool) -> None:
    # Of 2.3 KB in all; most of that is the transport, which the event loop keeps.
    request = house.client().protocol.connect()
    head = [(name.lower().encode(), value.encode()) for name, value in request.headers.raw_items()]
    count = 0

    def idle() -> None:
        nonlocal count
        count += 1
        target = b"/websocket/user-%d" % count
        connection = house.make(None, None, None)
        connection.connection_made(_Silent())
        if written:
            request.path = target.decode()
            connection.data_received(request.serialize())
        else:
            assert connection.head_received(b"GET", target, head)
        house.writes.done()

    idle()
    tracemalloc.start()
    try:
        for _ in range(200):
            idle()
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(house.hub) == 202
    assert taken / 200 < 1536

"""Heads of handshakes, at the node and at the gateway: what goes on is one valid head."""

import httptools
from hypothesis import example, given
from hypothesis import strategies as st
from websockets.datastructures import Headers
from websockets.http11 import Request
from websockets.server import ServerProtocol

from gateway_lb.answer import BadAnswerError, answer_body, answer_to_client, parse_answer
from gateway_lb.head import NoHandshakeError, parse_handshake, request_to_node
from service.clients.handshake import choose_subprotocol, parse_target, read_ordinary
from tests.gateway_lb.fakes import KEY

HEAD: list[tuple[bytes, bytes]] = [
    (b"host", b"node"),
    (b"upgrade", b"websocket"),
    (b"connection", b"Upgrade"),
    (b"sec-websocket-key", KEY.encode()),
    (b"sec-websocket-version", b"13"),
]
names = st.sampled_from(
    [name for name, _ in HEAD]
    + [b"sec-websocket-protocol", b"sec-websocket-extensions", b"content-length", b"cookie"]
    + [b"transfer-encoding", b"x-forwarded-for", b"x-gateway-attempt", b"authorization", b"te"]
)
values = st.sampled_from(
    [
        b"13",
        b"8",
        b"websocket",
        b"h2c",
        b"Upgrade",
        b"keep-alive, Upgrade",
        b"close",
        b"0",
        b"5",
        b"chunked",
        KEY.encode(),
        b"bearer.x, cluster.v1",
        b"a,b",
        b"",
        b" ",
        b"x\ty",
        b"\xff",
        b",",
    ]
) | st.binary(max_size=12).filter(lambda value: not set(value) & {0, 10, 13})
targets = st.sampled_from(
    [
        b"/websocket/alice",
        b"/websocket/a%40b?x=1",
        b"/websocket/%",
        b"/websocket/\xc3\xbc",
        b"/x",
        b"http://h/websocket/a",
        b"//websocket/a",
        b"/websocket/a#b",
        b"*",
        b"/websocket/a?\xff",
    ]
) | st.binary(max_size=30).map(lambda end: b"/websocket/" + end)
changes = st.lists(st.tuples(st.sampled_from(["set", "add", "drop"]), names, values), max_size=4)


def changed(edits: list[tuple[str, bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    head = list(HEAD)
    for what, name, value in edits:
        if what != "add":
            head = [item for item in head if item[0] != name]
        if what != "drop":
            head.append((name, value))
    return head


@given(
    # Host is the HTTP side's affair.
    changes.map(lambda edits: [edit for edit in edits if edit[1] != b"host"]),
    targets,
    st.sampled_from([b"GET", b"GET", b"GET", b"POST", b"get"]),
)
def test_the_node_takes_in_only_what_the_library_would(
    edits: list[tuple[str, bytes, bytes]], target: bytes, method: bytes
) -> None:
    head = changed(edits)
    found = read_ordinary(method, target, head)
    if found is None:
        return
    assert method == b"GET"
    assert found.client == parse_target(target.decode())
    judge = ServerProtocol(select_subprotocol=lambda _, offered: choose_subprotocol(offered))  # type: ignore[arg-type,return-value]  # plain strings will do
    text = Headers([(name.decode(), value.decode("latin-1").strip(" \t")) for name, value in head])
    answer = judge.accept(Request(target.decode(), text))
    assert answer.status_code == 101
    assert found.subprotocol == judge.subprotocol
    assert f"Accept: {answer.headers['Sec-WebSocket-Accept']}\r\n".encode() in found.answer
    assert found.answer.count(b"\r\n\r\n") == 1


class Read:
    """What an HTTP parser makes of bytes."""

    def __init__(self, data: bytes) -> None:
        self.begun = 0
        self.names: list[bytes] = []
        self.target = b""
        parser = httptools.HttpRequestParser(self)
        self.end = len(data)
        try:
            parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self.end = upgrade.args[0]

    def on_message_begin(self) -> None:
        self.begun += 1

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_header(self, name: bytes, _: bytes) -> None:
        self.names.append(name.lower())

    def on_body(self, _: bytes) -> None:
        raise AssertionError("an upgrade has no body")


raw_names = names | st.binary(max_size=8)
raw_lines = st.builds(
    lambda name, colon, value: name + colon + value,
    raw_names,
    st.sampled_from([b": ", b":", b" : ", b"\t:", b"", b"\r\n ", b":\n"]),
    values | st.binary(max_size=12),
)
line_ends = st.sampled_from([b"\r\n", b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"\0"])


@given(
    targets | st.binary(max_size=20),
    st.lists(st.tuples(raw_lines, line_ends), max_size=4),
    changes,
    st.sampled_from([b"HTTP/1.1"] * 4 + [b"HTTP/1.0", b"HTTP/1.1 ", b"HTTP/2"]),
)
@example(b"/websocket/a", [(b"x: y\r\n\r\nGET / HTTP/1.1", b"\r\n")], [], b"HTTP/1.1")
@example(b"/websocket/a", [], [("add", b"host", b"other")], b"HTTP/1.1")
def test_what_goes_to_a_node_is_one_head(
    target: bytes,
    lines: list[tuple[bytes, bytes]],
    edits: list[tuple[str, bytes, bytes]],
    version: bytes,
) -> None:
    data = b"GET " + target + b" " + version + b"\r\n"
    data += b"".join(line + end for line, end in lines)
    data += b"".join(name + b": " + value + b"\r\n" for name, value in changed(edits)) + b"\r\n"
    try:
        handshake = parse_handshake(data)
    except NoHandshakeError:
        return
    sent = request_to_node(handshake, "192.0.2.1", "http", 1)
    read = Read(sent)
    assert (read.begun, read.end) == (1, len(sent))
    assert read.target.startswith(b"/websocket/")
    for once in (b"connection", b"upgrade", b"sec-websocket-key", b"x-forwarded-for", b"host"):
        assert read.names.count(once) == 1, once
    assert not {b"content-length", b"transfer-encoding", b"te", b"forwarded"} & set(read.names)
    assert handshake.user is not None


@given(
    st.sampled_from([b"HTTP/1.1 101 X\r\n", b"HTTP/1.1 503 Y\r\n", b"HTTP/1.1 100 C\r\n\r\n", b""]),
    st.lists(st.tuples(raw_lines, line_ends), max_size=4),
    st.binary(max_size=30) | st.sampled_from([b"5\r\nhello\r\n0\r\n\r\n", b"ffffffff\r\n"]),
)
def test_any_answer_of_a_node_is_read_or_refused(
    status: bytes, lines: list[tuple[bytes, bytes]], body: bytes
) -> None:
    data = status + b"".join(line + end for line, end in lines) + b"\r\n" + body
    for ended in (False, True):
        try:
            answer = parse_answer(data)
            whole = None if answer is None else answer_body(answer, data, ended=ended)
        except BadAnswerError:
            continue
        if answer is not None and whole is not None:
            told = answer_to_client(answer, whole)
            assert told.partition(b"\r\n\r\n")[2] == whole

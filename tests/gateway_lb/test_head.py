import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.uri import parse_uri

from gateway_lb.head import (
    Handshake,
    NoHandshakeError,
    accept_and_close,
    parse_handshake,
    request_to_node,
)
from tests.gateway_lb.fakes import KEY, handshake

_token = st.from_regex(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,20}", fullmatch=True)
_value = st.from_regex(
    rb"([\x21-\x7e\x80-\xff]([\t\x20-\x7e\x80-\xff]{0,20}[\x21-\x7e\x80-\xff])?)?", fullmatch=True
)
_RESERVED = (b"connection", b"upgrade", b"forwarded", b"x-real-ip", b"x-gateway-attempt", b"host")
_DROPPED = (b"keep-alive", b"te", b"trailer", b"transfer-encoding", b"content-length")


def own(name: bytes) -> bool:
    name = name.lower()
    return not (
        name in _RESERVED + _DROPPED
        or name.startswith((b"x-forwarded-", b"sec-websocket-", b"proxy-"))
    )


_headers = st.lists(st.tuples(_token.filter(own), _value), max_size=8)


def raw(headers: list[tuple[bytes, bytes]], target: bytes = b"/websocket/alice") -> bytes:
    lines = [b"GET " + target + b" HTTP/1.1", b"host: h"]
    lines += [name + b": " + value for name, value in headers]
    lines += [b"sec-websocket-key: " + KEY.encode(), b"sec-websocket-version: 13"]
    return b"\r\n".join(lines) + b"\r\n\r\n"


@given(_headers)
def test_a_clients_own_headers_reach_the_node_as_they_were(
    headers: list[tuple[bytes, bytes]],
) -> None:
    sent = request_to_node(parse_handshake(raw(headers)), "10.0.0.9", "http", 1)
    expected = [(name.lower(), value) for name, value in headers]
    assert [item for item in parse_handshake(sent).headers if own(item[0])] == expected


@given(st.lists(st.tuples(st.binary(max_size=30), st.binary(max_size=30)), max_size=4), st.binary())
def test_nothing_a_client_sends_becomes_another_line_or_a_body(
    headers: list[tuple[bytes, bytes]], target: bytes
) -> None:
    try:
        parsed = parse_handshake(raw(headers, b"/websocket/" + target))
    except NoHandshakeError:
        return
    sent = request_to_node(parsed, "10.0.0.9", "http", 1)
    head, end, rest = sent.partition(b"\r\n\r\n")
    assert (end, rest) == (b"\r\n\r\n", b"")
    for line in head.split(b"\r\n"):
        assert not set(line) & {0, 10, 13}
    assert head.count(b"\r\n") == len(parse_handshake(sent).headers)
    names = [name for name, _ in parse_handshake(sent).headers]
    assert b"content-length" not in names
    assert b"transfer-encoding" not in names
    assert names.count(b"x-forwarded-for") == names.count(b"x-gateway-attempt") == 1


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with pytest.raises(NoHandshakeError):
        parse_handshake(data + b"\r\n\r\n")


@pytest.mark.parametrize(
    ("target", "user"),
    [
        ("/websocket/alice", "alice"),
        ("/websocket/alice?x=/y", "alice"),
        ("/websocket/a%40b", "a@b"),
        ("/websocket/%ff", "\N{REPLACEMENT CHARACTER}"),
        ("/websocket/", ""),
        ("http://other.example/websocket/bob", "bob"),
    ],
)
def test_the_user_is_read_from_the_path(target: str, user: str) -> None:
    assert parse_handshake(handshake(target)).user == user


@pytest.mark.parametrize(
    "target", ["", "*", "/websocket/a b", "/websocket/a#b", "/websocket/\x7f", "websocket/a"]
)
def test_a_strange_target_is_refused(target: str) -> None:
    with pytest.raises(NoHandshakeError):
        parse_handshake(handshake(target))


def test_an_absolute_target_goes_on_as_a_path() -> None:
    sent = request_to_node(
        parse_handshake(handshake("http://evil.example/websocket/a?b=c")), "10.0.0.9", "http", 1
    )
    assert sent.startswith(b"GET /websocket/a?b=c HTTP/1.1\r\n")
    assert b"host: gateway.test\r\n" in sent


def test_an_empty_body_is_not_announced_to_the_node() -> None:
    parsed = parse_handshake(handshake("/websocket/a", "Content-Length: 0"))
    assert b"content-length" not in request_to_node(parsed, "10.0.0.9", "http", 1)


def test_a_handshake_does_not_show_its_headers() -> None:
    shown = repr(parse_handshake(handshake("/websocket/a", "Authorization: Bearer secret")))
    assert "secret" not in shown


@pytest.mark.parametrize("reason", ["", "short", "é" * 100])
def test_a_real_client_reads_code_and_reason_of_a_refusal(reason: str) -> None:
    client = ClientProtocol(parse_uri("ws://gateway.test/websocket/alice"))
    client.send_request(client.connect())
    parsed: Handshake = parse_handshake(b"".join(client.data_to_send()))
    client.receive_data(accept_and_close(parsed, 4503, reason))
    client.receive_eof()
    assert client.handshake_exc is None
    assert client.close_code == 4503
    assert client.close_reason is not None
    assert reason.startswith(client.close_reason)
    assert len(client.close_reason.encode()) > min(len(reason.encode()), 123) - 2

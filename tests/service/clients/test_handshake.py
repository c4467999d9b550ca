"""What a client's handshake says."""

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from websockets.datastructures import Headers
from websockets.http11 import Request
from websockets.server import ServerProtocol

from service.clients.handshake import (
    Client,
    NoSuchPathError,
    UserRefusedError,
    choose_subprotocol,
    parse_target,
    read_ordinary,
)

TARGET = b"/websocket/alice"
# The example of RFC 6455, section 1.3.
HEAD = {
    b"host": b"node",
    b"upgrade": b"websocket",
    b"connection": b"Upgrade",
    b"sec-websocket-key": b"dGhlIHNhbXBsZSBub25jZQ==",
    b"sec-websocket-version": b"13",
}
ACCEPT = b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"


@pytest.mark.parametrize(
    ("target", "user"),
    [
        ("/websocket/alice", "alice"),
        ("/websocket/a%40b.c%2B1", "a@b.c+1"),
        ("/websocket/a@b:c+1~2", "a@b:c+1~2"),
        ("/websocket/" + "x" * 128, "x" * 128),
        ("/websocket/%61", "a"),
        ("/websocket/alice?", "alice"),
        # The absolute form that a proxy may send (RFC 9112, section 3.2.2).
        ("http://host:8081/websocket/alice", "alice"),
    ],
)
def test_the_user_is_in_the_path(target: str, user: str) -> None:
    assert parse_target(target) == Client(user, {})


@pytest.mark.parametrize(
    "target",
    ["/", "", "*", "/websocket", "/websockets/alice", "/x/websocket/alice", "//websocket/a"],
)
def test_other_paths_are_none_of_the_clients(target: str) -> None:
    with pytest.raises(NoSuchPathError):
        parse_target(target)


@pytest.mark.parametrize(
    "user",
    [
        "",
        "a/b",
        "a%2Fb",
        "a%20b",
        "a b",
        "%00",
        "%0d%0a",
        "%C3%BC",
        "ü",
        "%",
        "%2",
        "x" * 129,
        "%25%36%31",
        "a;b",
        "a,b",
        "a'b",
        '"',
        "{a}",
        "a*",
    ],
)
def test_an_id_that_is_not_allowed_is_refused(user: str) -> None:
    with pytest.raises(UserRefusedError):
        parse_target(f"/websocket/{user}")


@pytest.mark.parametrize(
    "target", ["/websocket/%ff", "/websocket/%ED%A0%80", "http://[/websocket/a"]
)
def test_what_cannot_be_decoded_is_a_value_error(target: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_target(target)


@pytest.mark.parametrize(
    ("query", "attributes"),
    [
        ("device=phone", {"device": "phone"}),
        ("a=1&b=2&a=3", {"a": "3", "b": "2"}),
        ("a=%C3%BC+x%00", {"a": "ü x\x00"}),
        ("a=%ff", {"a": "\ufffd"}),
        ("empty=&flag&=x", {"": "x"}),
        ("access_token=s&Token=s&api_key=s&APIKEY=s&password=s&Authorization=s&x=1", {"x": "1"}),
        ("access%5Ftoken=s", {}),
        (f"{'n' * 300}={'v' * 300}", {"n" * 256: "v" * 256}),
        ("&".join(f"a{number}=1" for number in range(20)), {f"a{n}": "1" for n in range(16)}),
        ("x=1#fragment", {"x": "1"}),
    ],
)
def test_the_query_becomes_attributes_without_credentials(
    query: str, attributes: dict[str, str]
) -> None:
    assert parse_target(f"/websocket/alice?{query}") == Client("alice", attributes)


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        ([], None),
        (["cluster.v1"], "cluster.v1"),
        (["x", "y", "cluster.v1"], "cluster.v1"),
        (["x", "y"], "x"),
        (["bearer.secret"], None),
        (["Bearer.secret", "x"], "x"),
        (["bearer.secret", "cluster.v1"], "cluster.v1"),
        (["bearer"], "bearer"),
    ],
)
def test_a_subprotocol_is_chosen_and_never_a_credential(
    offered: list[str], chosen: str | None
) -> None:
    assert choose_subprotocol(offered) == chosen


@pytest.mark.parametrize(
    "more",
    [
        {},
        {b"upgrade": b"WebSocket"},
        {b"connection": b"keep-alive, Upgrade"},
        {b"sec-websocket-extensions": b"permessage-deflate; client_max_window_bits"},
        {b"origin": b"https://example.org", b"cookie": b"a=\xff"},
    ],
)
def test_an_ordinary_handshake_is_accepted_as_the_rfc_says(more: dict[bytes, bytes]) -> None:
    found = read_ordinary(b"GET", TARGET, list({**HEAD, **more}.items()))
    assert found is not None
    assert (found.client, found.subprotocol) == (Client("alice", {}), None)
    assert found.answer.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
    assert ACCEPT in found.answer
    assert found.answer.endswith(b"\r\n\r\n")
    assert b"Extensions" not in found.answer


def test_an_ordinary_handshake_says_who_comes_from_where_and_in_which_form() -> None:
    more = {
        b"x-forwarded-for": b"192.0.2.1, 192.0.2.2",
        b"sec-websocket-protocol": b"bearer.x , cluster.v1",
    }
    found = read_ordinary(b"GET", TARGET + b"?device=phone", list({**HEAD, **more}.items()))
    assert found is not None
    assert found.client == Client("alice", {"device": "phone"})
    assert found.forwarded_for == ("192.0.2.1, 192.0.2.2",)
    assert found.subprotocol == "cluster.v1"
    assert b"\r\nSec-WebSocket-Protocol: cluster.v1\r\n\r\n" in found.answer
    assert b"bearer" not in found.answer


@pytest.mark.parametrize(
    "change",
    [
        *({name: None} for name in HEAD if name != b"host"),
        {b"upgrade": b"h2c"},
        {b"upgrade": b"websocket, h2c"},
        {b"connection": b"close"},
        {b"connection": b"Upgrade, close"},
        {b"sec-websocket-version": b"8"},
        {b"sec-websocket-version": b"13, 8"},
        {b"sec-websocket-key": b"short"},
        {b"sec-websocket-key": b"dGhlIHNhbXBsZSBub25jZQ="},
        {b"sec-websocket-key": b"dGhlIHNhbXBsZSBub25jZTE="},
        {b"sec-websocket-key": b"dGhlIHNhbXBsZSBub25jZ\xff=="},
        {b"sec-websocket-protocol": b""},
        {b"sec-websocket-protocol": b"a b"},
        {b"sec-websocket-protocol": b"a,,b"},
        {b"sec-websocket-protocol": b"a\xff"},
        {b"content-length": b"0"},
        {b"transfer-encoding": b"chunked"},
        {b"x": b"y" * 9000},
        {b"x" * 9000: b"y"},
        {b"x-%d" % number: b"y" for number in range(200)},
    ],
)
def test_what_is_not_ordinary_is_left_to_others(change: dict[bytes, bytes | None]) -> None:
    head = [(name, value) for name, value in {**HEAD, **change}.items() if value is not None]
    assert read_ordinary(b"GET", TARGET, head) is None


@pytest.mark.parametrize("name", [*HEAD, b"x"])
def test_a_header_that_comes_twice_is_left_to_others(name: bytes) -> None:
    head = [*HEAD.items(), (b"x", b"1"), (name, HEAD.get(name, b"2"))]
    assert read_ordinary(b"GET", TARGET, head) is None


@pytest.mark.parametrize(
    ("method", "target"),
    [
        (b"POST", TARGET),
        (b"GET", b"/elsewhere"),
        (b"GET", b"/websocket/a%20b"),
        (b"GET", b"/websocket/\xc3\xbc"),
        (b"GET", TARGET + b"?" + b"x" * 9000),
    ],
)
def test_another_method_or_target_is_left_to_others(method: bytes, target: bytes) -> None:
    assert read_ordinary(method, target, [*HEAD.items()]) is None


ODD = st.text('aZ09+/=, \t;"-_.wbsocketupgradek', max_size=26)


@given(
    changes=st.dictionaries(
        st.sampled_from([*HEAD, b"sec-websocket-protocol", b"origin"]),
        st.one_of(
            st.none(),
            ODD,
            st.sampled_from(
                ["upgrade", "Upgrade,x", "websocket", "13", "cluster.v1", "a,b", "a/b"]
            ),
        ),
        max_size=3,
    )
)
@example(changes={b"sec-websocket-protocol": "a,\tcluster.v1 ,b"})
def test_nothing_is_accepted_that_the_library_would_refuse(changes: dict[bytes, Any]) -> None:
    whole = {**{name: value.decode() for name, value in HEAD.items()}, **changes}
    head = {name: value.strip() for name, value in whole.items() if value is not None}
    found = read_ordinary(b"GET", TARGET, [(name, value.encode()) for name, value in head.items()])
    if found is None:
        return
    judge = ServerProtocol(select_subprotocol=lambda _, offered: choose_subprotocol(offered))  # type: ignore[arg-type,return-value]  # plain strings will do
    request = Request(
        TARGET.decode(), Headers([(name.decode(), value) for name, value in head.items()])
    )
    answer = judge.accept(request)
    assert answer.status_code == 101
    assert found.subprotocol == judge.subprotocol
    assert f"Accept: {answer.headers['Sec-WebSocket-Accept']}\r\n".encode() in found.answer


def test_a_token_to_resume_with_is_no_attribute() -> None:
    client = parse_target("/websocket/alice?a=1&resume=00ff&Resume=x")
    assert client.resume == "00ff"
    assert client.attributes == {"a": "1", "Resume": "x"}
    assert parse_target("/websocket/alice?a=1").resume is None
    assert parse_target("/websocket/alice").resume is None

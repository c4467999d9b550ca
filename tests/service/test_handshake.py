"""What a client's handshake says."""

import pytest

from service.handshake import (
    Client,
    NoSuchPathError,
    UserRefusedError,
    choose_subprotocol,
    client_address,
    parse_target,
)


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
    ("peer", "forwarded", "address"),
    [
        ("203.0.113.9", [], "203.0.113.9"),
        ("127.0.0.1", [], "127.0.0.1"),
        # Only a proxy nearby is believed, and only for its own peer: the last one.
        ("127.0.0.1", ["203.0.113.9"], "203.0.113.9"),
        ("10.1.2.3", ["203.0.113.9"], "203.0.113.9"),
        ("::1", ["2001:db8::1"], "2001:db8::1"),
        ("127.0.0.1", ["192.0.2.66, 203.0.113.9"], "203.0.113.9"),
        ("127.0.0.1", ["192.0.2.66", "203.0.113.9"], "203.0.113.9"),
        ("127.0.0.1", ["2001:DB8::0001"], "2001:db8::1"),
        ("8.8.8.8", ["203.0.113.9"], "8.8.8.8"),
        # As a socket for both versions of IP shows an IPv4 peer.
        ("::ffff:8.8.8.8", ["203.0.113.9"], "::ffff:8.8.8.8"),
        ("::ffff:127.0.0.1", ["203.0.113.9"], "203.0.113.9"),
        ("127.0.0.1", ["nonsense"], "127.0.0.1"),
        ("127.0.0.1", ["203.0.113.9, "], "127.0.0.1"),
        ("127.0.0.1", ["203.0.113.9\r\nx"], "127.0.0.1"),
        ("", ["203.0.113.9"], ""),
    ],
)
def test_where_a_client_comes_from(peer: str, forwarded: list[str], address: str) -> None:
    assert client_address(peer, forwarded) == address

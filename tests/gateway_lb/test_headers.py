import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway_lb.headers import caller_of, end_to_end, origin_of, to_node
from nacos_boot.http.proxies import NEARBY, TrustedProxies


@pytest.mark.parametrize(
    ("headers", "kept"),
    [
        ([(b"Accept", b"*/*")], [(b"accept", b"*/*")]),
        ([(b"connection", b"close")], []),
        ([(b"Connection", b"X-One, x-TWO"), (b"x-one", b"1"), (b"X-Two", b"2")], []),
        ([(b"connection", b"host"), (b"host", b"h")], [(b"host", b"h")]),
        ([(b"connection", b"a"), (b"connection", b"b"), (b"a", b""), (b"b", b"")], []),
        ([(b"te", b"trailers"), (b"trailer", b"x"), (b"keep-alive", b"5")], []),
        ([(b"transfer-encoding", b"chunked"), (b"upgrade", b"h2c")], []),
        ([(b"proxy-authorization", b"secret"), (b"proxy-connection", b"keep-alive")], []),
        (
            [(b"set-cookie", b"a"), (b"set-cookie", b"b")],
            [(b"set-cookie", b"a"), (b"set-cookie", b"b")],
        ),
    ],
)
def test_what_concerns_one_connection_only_is_dropped(
    headers: list[tuple[bytes, bytes]], kept: list[tuple[bytes, bytes]]
) -> None:
    assert end_to_end(headers) == kept


@pytest.mark.parametrize(
    ("host", "scheme", "port"),
    [
        (b"example.org", "http", b"80"),
        (b"example.org", "https", b"443"),
        (b"example.org:8000", "http", b"8000"),
        (b"[::1]", "http", b"80"),
        (b"[::1]:9000", "http", b"9000"),
        (b"", "http", b"80"),
        (b"example.org:", "http", b"80"),
    ],
)
def test_the_forwarded_port_is_the_one_the_client_asked_for(
    host: bytes, scheme: str, port: bytes
) -> None:
    assert dict(to_node([(b"host", host)], "10.0.0.9", scheme))[b"x-forwarded-port"] == port


@pytest.mark.parametrize(
    ("trusted", "peer", "said", "client", "caller"),
    [
        (NEARBY, "203.0.113.9", [b"10.0.0.7"], "203.0.113.9", "203.0.113.9"),
        (NEARBY, "10.0.0.1", [], "10.0.0.1", "10.0.0.1"),
        (NEARBY, "10.0.0.1", [b"203.0.113.9"], "203.0.113.9", "203.0.113.9"),
        (NEARBY, "10.0.0.1", [b"10.0.0.7"], "10.0.0.7", "10.0.0.7"),
        # What a node hears of a caller must not be the address of a proxy before it.
        (NEARBY, "10.0.0.1", [b"unknown"], "10.0.0.1", "unknown"),
        (("10.0.0.5",), "10.0.0.1", [b"203.0.113.9"], "10.0.0.1", "unknown"),
        (("10.0.0.5",), "10.0.0.1", [], "10.0.0.1", "10.0.0.1"),
        ((), "::1", [b"203.0.113.9"], "::1", "unknown"),
    ],
)
def test_who_calls_is_not_the_proxy_that_hides_it(
    trusted: tuple[str, ...], peer: str, said: list[bytes], client: str, caller: str
) -> None:
    headers = [(b"x-forwarded-for", value) for value in said]
    proxies = TrustedProxies(trusted)
    assert origin_of(headers, peer, "http", proxies) == (client, "http")
    assert caller_of(headers, peer, "http", proxies) == (caller, "http")


_FORGED = st.sampled_from(
    [b"X-Forwarded-For", b"x-forwarded-host", b"X-FORWARDED-PREFIX", b"Forwarded", b"X-Real-IP",
     b"X-Gateway-Attempt", b"Connection", b"Accept"]
)  # fmt: skip


@given(st.lists(st.tuples(_FORGED, st.binary(max_size=20))))
def test_a_node_hears_of_the_client_from_the_gateway_only(
    headers: list[tuple[bytes, bytes]],
) -> None:
    sent = to_node([*headers, (b"Host", b"h")], "10.0.0.9", "http")
    told = [item for item in sent if item[0].startswith((b"x-f", b"forw", b"x-r", b"x-g"))]
    assert told == [
        (b"x-forwarded-for", b"10.0.0.9"),
        (b"x-forwarded-proto", b"http"),
        (b"x-forwarded-host", b"h"),
        (b"x-forwarded-port", b"80"),
    ]

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from nacos_boot.config.live import LiveSettings
from nacos_boot.http.proxies import NEARBY, Cidr, Networks, TrustedProxies, nearby
from nacos_boot.settings import Section, setting

EDGE, INNER, CLIENT, LIAR = "10.0.0.1", "10.0.0.2", "203.0.113.9", "192.0.2.66"


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        # Nobody in between.
        (CLIENT, [], CLIENT),
        ("127.0.0.1", [], "127.0.0.1"),
        ("", [], ""),
        # One proxy, of any of the kinds that are trusted by default.
        ("127.0.0.1", [CLIENT], CLIENT),
        ("10.1.2.3", [CLIENT], CLIENT),
        ("172.31.255.255", [CLIENT], CLIENT),
        ("192.168.0.1", [CLIENT], CLIENT),
        ("169.254.1.1", [CLIENT], CLIENT),
        ("::1", ["2001:db8::1"], "2001:db8::1"),
        ("fd00::1", [CLIENT], CLIENT),
        ("fe80::1%eth0", [CLIENT], CLIENT),
        ("::ffff:127.0.0.1", [CLIENT], CLIENT),
        # A stranger may say what it likes.
        (CLIENT, [LIAR], CLIENT),
        ("172.32.0.1", [LIAR], "172.32.0.1"),
        ("100.64.0.1", [LIAR], "100.64.0.1"),
        ("::ffff:8.8.8.8", [LIAR], "::ffff:8.8.8.8"),
        ("", [LIAR], ""),
        # What a client wrote itself stands to the left of what a proxy wrote of it.
        (EDGE, [f"{LIAR}, {CLIENT}"], CLIENT),
        (EDGE, [LIAR, CLIENT], CLIENT),
        (EDGE, [f"10.9.9.9, {CLIENT}"], CLIENT),
        (EDGE, [f"{LIAR}, 127.0.0.1, {CLIENT}, {INNER}"], CLIENT),
        # A chain of proxies: those that are trusted are passed over from the right.
        (EDGE, [f"{CLIENT}, {INNER}, 192.168.1.1"], CLIENT),
        (EDGE, [f"{LIAR}, {CLIENT}, {INNER}"], CLIENT),
        # All of them are inside: the first is who began.
        (EDGE, [f"10.0.0.7, {INNER}"], "10.0.0.7"),
        # Spellings.
        (EDGE, ["2001:DB8::0001"], "2001:db8::1"),
        (EDGE, [f"{CLIENT}:4711"], CLIENT),
        (EDGE, ["[2001:db8::1]:4711"], "2001:db8::1"),
        (EDGE, ["::ffff:203.0.113.9"], CLIENT),
        (EDGE, [f" ,, {CLIENT} , "], CLIENT),
        # What is no address ends the walk at the proxy that wrote it.
        (EDGE, ["unknown"], EDGE),
        (EDGE, [f"{CLIENT}\r\nx"], EDGE),
        (EDGE, [f"{LIAR}, _hidden, {INNER}"], INNER),
        (EDGE, ["", " , "], EDGE),
        (EDGE, ["010.0.0.9"], EDGE),
        (EDGE, ["fe80::1%anything at all"], EDGE),
    ],
)
def test_where_a_client_comes_from(peer: str, forwarded: list[str], address: str) -> None:
    assert TrustedProxies().client(peer, forwarded) == address


@pytest.mark.parametrize(
    ("peer", "forwarded", "known"),
    [
        (CLIENT, [], True),
        (EDGE, [], True),
        (EDGE, [CLIENT], True),
        (EDGE, ["10.0.0.7"], True),
        (EDGE, [EDGE], True),
        (EDGE, ["unknown"], False),
        (EDGE, [f"{CLIENT}, _hidden, {INNER}"], False),
        (EDGE, ["", " , "], False),
        # Whose word is not taken.
        ("100.64.0.1", [CLIENT], False),
    ],
)
def test_whether_it_is_known_who_began(peer: str, forwarded: list[str], known: bool) -> None:
    proxies = TrustedProxies()
    for _ in range(2):
        assert proxies.knows(peer, forwarded) is known


def test_long_texts_of_clients_are_not_remembered() -> None:
    proxies = TrustedProxies()
    assert proxies.client(EDGE, [CLIENT]) == CLIENT
    tracemalloc.start()
    try:
        for number in range(100):
            assert proxies.client(EDGE, [f"{number}{'x' * 20_000}, {CLIENT}"]) == CLIENT
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 200_000


_anything = st.one_of(st.text(max_size=20), st.ip_addresses().map(str))


@given(st.ip_addresses().map(str), st.lists(_anything, max_size=4))
def test_whatever_is_said_the_answer_is_an_address_and_a_strangers_own(
    peer: str, said: list[str]
) -> None:
    address = TrustedProxies().client(peer, said)
    TypeAdapter(Cidr).validate_python(address.partition("%")[0])
    if peer not in nearby:
        assert address == peer


@pytest.mark.parametrize(
    ("peer", "own", "said", "scheme"),
    [
        (EDGE, "http", [], "http"),
        (EDGE, "http", ["https"], "https"),
        (EDGE, "http", ["HTTPS"], "https"),
        (EDGE, "http", ["wss"], "https"),
        (EDGE, "https", ["http"], "http"),
        # The nearest proxy's word stands last.
        (EDGE, "http", ["http, https"], "https"),
        (EDGE, "http", ["https", "http"], "http"),
        (EDGE, "http", ["gopher"], "http"),
        (CLIENT, "http", ["https"], "http"),
    ],
)
def test_how_the_client_spoke(peer: str, own: str, said: list[str], scheme: str) -> None:
    assert TrustedProxies().scheme(peer, own, said) == scheme


class _Settings(Section):
    proxies: tuple[Cidr, ...] = setting(NEARBY, "Proxies.")


def test_an_edit_counts_for_peers_that_were_judged_before() -> None:
    live = LiveSettings(_Settings())
    proxies = TrustedProxies.of(live, lambda settings: settings.proxies)
    assert proxies.client(EDGE, [CLIENT]) == CLIENT
    live.swap(_Settings(proxies=("198.51.100.0/24",)))
    assert proxies.client(EDGE, [CLIENT]) == EDGE
    assert proxies.client("198.51.100.7", [CLIENT]) == CLIENT
    live.swap(_Settings(proxies=()))
    assert proxies.client("198.51.100.7", [CLIENT]) == "198.51.100.7"


@pytest.mark.parametrize("text", ["10.0.0.1/8", "10.0.0.0/33", "proxy.internal", "", "10.0.0"])
def test_what_is_no_network_is_refused(text: str) -> None:
    with pytest.raises(ValidationError, match=r"no network: expected .* such as 10\.0\.0\.0/8"):
        TypeAdapter(Cidr).validate_python(text)


def test_what_is_remembered_of_addresses_stays_bounded() -> None:
    networks = Networks(["10.0.0.0/8"])
    for number in range(25_000):
        address = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
        assert address in networks
    assert len(networks._known) <= 10_000

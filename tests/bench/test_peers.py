"""Every peer sends what it is told, to all of its clients, byte for byte."""

import dataclasses
from collections.abc import Iterator
from importlib.util import find_spec

import pytest

from bench.contender import Contender, start_peer
from bench.go import BUILT, find_go
from bench.lab import Lab, lab
from bench.load_process import LoadError
from bench.peer import (
    BARE,
    CENTRIFUGE,
    PICOWS,
    QUART_ACCEPTING,
    QUART_ON_HYPERCORN,
    QUART_ON_UVICORN,
    SOCKETIO,
    WEBSOCKETS,
    Peer,
)
from bench.peers.orders import BROADCAST, PAYLOAD, ordered

BROADCASTERS = (
    BARE,
    CENTRIFUGE,
    PICOWS,
    QUART_ON_HYPERCORN,
    QUART_ON_UVICORN,
    SOCKETIO,
    WEBSOCKETS,
)
NEEDS = {PICOWS.name: "picows", SOCKETIO.name: "socketio"}

pytestmark = [
    pytest.mark.skipif(
        find_go() is None, reason="no Go compiler: `./dev bench` installs one into .venv"
    ),
    # Whoever comes first builds the load generator.
    pytest.mark.timeout(300),
]


@pytest.fixture(scope="module")
def a_lab() -> Iterator[Lab]:
    with lab(quick=True) as opened:
        yield opened


@pytest.fixture
def started(a_lab: Lab, request: pytest.FixtureRequest) -> Iterator[Contender]:
    peer: Peer = request.param
    if (needed := NEEDS.get(peer.name)) and find_spec(needed) is None:
        pytest.skip(f"no {needed}: `./dev bench` installs it")
    if not peer.module and not (BUILT / "peers-centrifuge").exists():
        pytest.skip("not built yet: `./dev bench` builds it")
    contender = start_peer(a_lab, peer)
    yield contender
    contender.stop()


@pytest.mark.parametrize("started", BROADCASTERS, indirect=True, ids=lambda peer: peer.name)
def test_a_burst_reaches_every_client_whole(started: Contender) -> None:
    started.connect(3)
    started.connect(2)
    started.play(20, 3)
    assert started.deliveries(1, 10) > 0
    assert started.resident_bytes() > 1_000_000
    started.disconnect()
    started.connect(1)
    started.play(1, 2)


@pytest.mark.parametrize(
    "started",
    [
        dataclasses.replace(BARE, payload=PAYLOAD[::-1]),
        dataclasses.replace(BARE, order="silence %d"),
    ],
    indirect=True,
    ids=["another payload", "none at all"],
)
def test_what_is_wrong_or_missing_is_no_figure(
    started: Contender, monkeypatch: pytest.MonkeyPatch
) -> None:
    started.connect(2)
    monkeypatch.setattr("bench.contender._LIMIT", 0.5)
    with pytest.raises(LoadError, match=r"wrong messages|have not got their frames"):
        started.play(2, 1)


@pytest.mark.parametrize("started", [QUART_ACCEPTING], indirect=True)
def test_the_accepting_peer_greets(started: Contender) -> None:
    opened = started.connect(5, parallel=5)
    assert opened.opened == 5
    assert opened.p99_ms > 0


def test_orders_are_read_as_they_are_written() -> None:
    assert ordered(BROADCAST % 100) == 100
    assert ordered((BROADCAST % 7).encode()) == 7
    assert ordered("anything else") == 0


def test_the_payload_is_128_bytes_and_the_same_for_all() -> None:
    assert len(PAYLOAD.encode()) == 128
    assert all(PAYLOAD in peer.payload for peer in BROADCASTERS)

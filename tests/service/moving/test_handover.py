"""Nodes that move hear one another at every moment, whoever learns of it when."""

import random
from dataclasses import dataclass, field

import pytest

from service.moving.handover import (
    HOLD,
    Close,
    Handover,
    Open,
    Peer,
    Peers,
    Server,
    Standing,
    Use,
    may_begin,
)

A, B, C = (Server(name, name) for name in "abc")
LIMIT = 30.0


def said(text: str, md5: str = "m") -> Peer:
    return Peer(Standing.read(text), md5)


def ready(*servers: Server[str]) -> dict[Server[str], str]:
    return {server: server.name for server in servers}


def moving_to_b() -> Handover[str]:
    handover = Handover(A)
    assert handover.step(0, ready(A), {}, LIMIT) is None
    handover.wanted = B
    assert handover.step(0, ready(A), {}, LIMIT) == Open(B)
    return handover


def test_at_rest_there_is_nothing_to_do() -> None:
    handover = Handover(A)
    assert handover.step(0, ready(A), {"n": said("a")}, LIMIT) is None
    assert not handover.moving
    assert handover.standing == Standing("a", frozenset("a"))


def test_a_server_that_does_not_work_is_never_used() -> None:
    handover = moving_to_b()
    assert handover.step(1000, ready(A), {"n": said("b")}, LIMIT) is None
    assert handover.standing == Standing("a", frozenset("a"))


def test_the_new_server_is_used_when_every_peer_keeps_it() -> None:
    handover = moving_to_b()
    peers = {"n": said("a b"), "m": said("a")}
    assert handover.step(1, ready(A, B), peers, LIMIT) is None
    assert handover.behind(peers) == ["m"]
    assert handover.standing == Standing("a", frozenset("ab"))
    assert handover.step(2, ready(A, B), {**peers, "m": said("a b")}, LIMIT) == Use(B)


@pytest.mark.parametrize("peers", [{"n": said("a")}, {"n": Peer(None, "m")}, None])
def test_peers_that_stay_behind_are_waited_for_up_to_the_limit(peers: Peers | None) -> None:
    handover = moving_to_b()
    assert handover.step(1, ready(A, B), peers, LIMIT) is None
    assert handover.step(30.9, ready(A, B), peers, LIMIT) is None
    assert handover.step(31, ready(A, B), peers, LIMIT) == Use(B)
    # And then once more, to leave the old one.
    assert handover.step(31, ready(A, B), peers, LIMIT) is None
    assert handover.step(61, ready(A, B), peers, LIMIT) is None
    assert handover.standing == Standing("b", frozenset("b"))
    assert handover.step(61 + HOLD, ready(A, B), peers, LIMIT) == Close(A, same=False)


def test_the_old_server_is_held_and_taken_back_when_a_peer_uses_it_again() -> None:
    handover = moving_to_b()
    there = {"n": said("b a")}
    assert handover.step(1, ready(A, B), there, LIMIT) == Use(B)
    assert handover.step(1, ready(A, B), there, LIMIT) is None
    assert handover.standing == Standing("b", frozenset("b"))
    assert handover.step(2, ready(A, B), {"n": said("a b")}, LIMIT) is None
    assert handover.standing == Standing("b", frozenset("ab"))
    assert handover.step(3, ready(A, B), there, LIMIT) is None
    assert handover.step(3 + HOLD - 0.1, ready(A, B), there, LIMIT) is None
    assert handover.step(3 + HOLD, ready(A, B), there, LIMIT) == Close(A, same=False)
    assert not handover.moving


def test_a_server_that_worked_all_along_is_gone_back_to_when_every_peer_keeps_it_again() -> None:
    handover = Handover(A)
    handover.step(0, ready(A), {"n": said("a")}, LIMIT)
    handover.wanted = B
    handover.step(100, ready(A), {"n": said("a")}, LIMIT)
    assert handover.step(101, ready(A, B), {"n": said("b a")}, LIMIT) == Use(B)
    handover.wanted = A
    # The peer has left it already.
    gone = {"n": said("b")}
    assert handover.step(102, ready(A, B), gone, LIMIT) is None
    assert handover.behind(gone) == ["n"]
    assert handover.standing == Standing("b", frozenset("ab"))
    assert handover.step(103, ready(A, B), {"n": said("b a")}, LIMIT) == Use(A)


def test_the_same_server_under_another_name_waits_for_nobody() -> None:
    handover = moving_to_b()
    one = {A: "one", B: "one"}
    assert handover.step(1, one, {"n": said("a")}, LIMIT) == Use(B)
    assert handover.step(1, one, {"n": said("a")}, LIMIT) == Close(A, same=True)


def test_another_account_has_the_same_name() -> None:
    handover = Handover(A)
    handover.step(0, ready(A), {}, LIMIT)
    again = Server("a", "another account")
    handover.wanted = again
    assert handover.step(0, ready(A), {}, LIMIT) == Open(again)
    both = {A: "one", again: "one"}
    assert handover.step(1, both, {"n": said("a")}, LIMIT) == Use(again)
    assert handover.standing == Standing("a", frozenset("a"))
    assert handover.step(1, both, {"n": said("a")}, LIMIT) == Close(A, same=True)
    assert handover.standing == Standing("a", frozenset("a"))


def test_a_wish_taken_back_closes_what_was_opened_for_it() -> None:
    handover = moving_to_b()
    handover.wanted = A
    assert handover.step(1, ready(A), {"n": said("a")}, LIMIT) is None
    assert handover.step(1 + HOLD, ready(A), {"n": said("a")}, LIMIT) == Close(B, same=False)
    assert not handover.moving


def test_a_standing_survives_the_registry() -> None:
    standing = Standing("h:1/v", frozenset(("h:1/v", "i:2/")))
    assert Standing.read(standing.write()) == standing
    assert Standing.read("") is None


@pytest.mark.parametrize(
    ("peers", "begins"),
    [
        ({}, True),
        ({"n": said("b")}, True),
        ({"n": said("b a")}, True),
        # It has not heard of the move, or is about to.
        ({"n": said("a", "old")}, False),
        # It consumes there already, but still publishes elsewhere.
        ({"n": said("a b")}, False),
        # The same settings, at rest: the same server by another name.
        ({"n": said("a")}, True),
        ({"n": Peer(None, "old")}, True),
    ],
)
def test_when_a_node_may_begin(peers: Peers, begins: bool) -> None:
    assert may_begin(Standing("b", frozenset("b")), "m", peers) is begins


@dataclass
class Node:
    """One node of a simulated cluster: what works there, and what it has heard of the others."""

    handover: Handover[str]
    heard: dict[str, Peer]
    opening: dict[Server[str], float] = field(default_factory=lambda: {A: 0.0})
    edits: list[tuple[float, Server[str]]] = field(default_factory=list)

    def works(self, now: float) -> set[Server[str]]:
        return {server for server, at in self.opening.items() if at <= now}


class Simulation:
    """Settings and announcements reach each node late, each at its own moment, but in order."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)  # noqa: S311 - a simulation
        names = [f"n{number}" for number in range(self._chance.randint(2, 5))]
        self.nodes = {
            name: Node(Handover(A), {other: said("a") for other in names if other != name})
            for name in names
        }
        self._post: list[tuple[float, str, str, Peer]] = []

    def publish(self, at: float, server: Server[str]) -> None:
        """Have every node learn of an edit within 3 seconds."""
        for node in self.nodes.values():
            earliest = node.edits[-1][0] if node.edits else at
            node.edits.append((max(earliest, at + self._chance.uniform(0, 3)), server))

    def turn(self, now: float) -> None:
        for item in [item for item in self._post if item[0] <= now]:
            self._post.remove(item)
            _, listener, speaker, peer = item
            self.nodes[listener].heard[speaker] = peer
        for name, node in self.nodes.items():
            while node.edits and node.edits[0][0] <= now:
                node.handover.wanted = node.edits.pop(0)[1]
            before = node.handover.standing
            self._steps(node, now)
            if node.handover.standing != before:
                self._say(name, now)

    def _steps(self, node: Node, now: float) -> None:
        while step := node.handover.step(now, ready(*node.works(now)), node.heard, LIMIT):
            match step:
                case Open(server):
                    node.opening[server] = now + self._chance.uniform(0, 2)
                case Close(server):
                    del node.opening[server]

    def _say(self, speaker: str, now: float) -> None:
        peer = Peer(self.nodes[speaker].handover.standing, "m")
        for listener in self.nodes:
            if listener != speaker:
                before = [item[0] for item in self._post if item[1:3] == (listener, speaker)]
                due = max([now + self._chance.uniform(0, HOLD / 2 - 0.2), *before])
                self._post.append((due, listener, speaker, peer))
        self._post.sort(key=lambda item: item[0])


@pytest.mark.parametrize("seed", range(60))
def test_every_node_hears_every_other_throughout(seed: int) -> None:
    simulation = Simulation(seed)
    chance = random.Random(seed)  # noqa: S311 - a simulation
    last = B
    began = 1 if seed % 4 < 2 else 1 + LIMIT
    simulation.publish(began, last)
    if seed % 2:
        # Another wish while the move is under way.
        last = chance.choice((A, C))
        simulation.publish(began + chance.uniform(0, 20), last)
    for tick in range(1300):
        now = tick / 10
        simulation.turn(now)
        for speaker in simulation.nodes.values():
            for name, listener in simulation.nodes.items():
                assert speaker.handover.uses in listener.works(now), (now, name)
    for node in simulation.nodes.values():
        assert node.handover.uses == last
        assert set(node.opening) == {last}

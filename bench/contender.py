"""A server under test with its clients: one process on the tested core, one load generator."""

import math
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import msgspec

from bench.cpu import confined, cpu_seconds, pinned, resident_bytes
from bench.fanout_publisher import FanoutPublisher
from bench.lab import Lab
from bench.load import Load
from bench.load_process import LoadError
from bench.load_results import Opened
from bench.nodes import servers_aside
from bench.peer import Peer
from bench.peers.orders import PAYLOAD
from devtools.paths import ROOT
from devtools.ports import LOOPBACK, free_port
from devtools.probes import accepts
from devtools.processes import Child
from devtools.waiting import wait_for

READY_LIMIT = 60.0

BROADCAST = msgspec.json.encode({"allUser": True, "content": PAYLOAD})
"""A push to everyone, as it travels in RabbitMQ."""

_LIMIT = 60.0
# The slowest peers take 10 s for 10,000 on a quiet machine.
_CONNECT_LIMIT = 240.0
_TRIED = 5
_WARMING = 0.2
"""Rounds to warm up with, as a part of those that count."""
_STILL = 0.01
_LOOK = 0.25


class Contender:
    """A server; `name` is what rows call it. Every method raises StartError."""

    def __init__(self, name: str, child: Child, address: str, talk: Peer, load: Load) -> None:
        self.name = name
        self._child = child
        self._address = address
        self._talk = talk
        self._load = load
        self._clients = 0

    def connect(self, count: int, *, parallel: int = 64) -> Opened:
        """Let so many more clients come, each with a user id of its own."""
        # Said before they come: they may be pinged while others are still on their way.
        self._load.expect(
            self._talk.payload, newline=self._talk.newline, answers=self._talk.answers
        )
        opened = self._load.connect(
            self._address,
            self._talk.path,
            count,
            first=self._clients,
            parallel=parallel,
            hello=self._talk.hello,
            greeting=self._talk.greeting,
            limit=_CONNECT_LIMIT,
        )
        self._clients += count
        return opened

    def disconnect(self) -> None:
        """Let all clients go, and wait until the server has taken note."""
        self._load.close()
        self._clients = 0
        self.settle()

    def settle(self) -> None:
        """Wait until it does no more than a process that has nothing to do."""
        used = -math.inf

        def still() -> bool:
            nonlocal used
            before, used = used, self.cpu_seconds()
            return used - before < _STILL

        wait_for(still, _LIMIT, interval=_LOOK)

    def play(self, messages: int, rounds: int) -> None:
        """Broadcast `messages` at once and wait until every client has them, `rounds` times."""
        self._load.rounds(rounds, messages, send=self._talk.order % messages, limit=_LIMIT)

    def rounds_for(self, messages: int, window: float) -> int:
        """Tell how many rounds take so many CPU-seconds, after a few to warm up."""
        self.play(messages, 1)
        before = self.cpu_seconds()
        self.play(messages, _TRIED)
        return math.ceil(window * _TRIED / (self.cpu_seconds() - before))

    def deliveries(self, messages: int, rounds: int) -> float:
        """Play, and give messages received per CPU-second of the server.

        The first rounds do not count: the one that was measured before has had the caches.
        """
        self.play(messages, math.ceil(rounds * _WARMING))
        before = self.cpu_seconds()
        self.play(messages, rounds)
        return self._clients * messages * rounds / (self.cpu_seconds() - before)

    def cpu_seconds(self) -> float:
        """Give the CPU time that the server has used up to now."""
        return cpu_seconds([self._child.pid])

    def resident_bytes(self) -> int:
        """Give the memory that the server holds, after what it can give back when asked.

        Raises LoadError when a client has been lost.
        """
        if lost := self._clients - self._load.status().clients:
            raise LoadError(f"{lost} of {self._clients} clients of {self.name} were lost")
        if self._talk.frees_memory() and self._clients:
            self._load.rounds(1, 0, send=self._talk.order % 0)
            self.settle()
        return resident_bytes(self._child.pid)

    def stop(self) -> None:
        """End the clients and the server."""
        self._load.stop()
        self._child.kill()


class NodeContender(Contender):
    """A node with all its defaults, on its RabbitMQ, Redis and Nacos.

    Broadcasts come as in a cluster: a client of RabbitMQ publishes them on the fanout exchange,
    and the node consumes, checks and acknowledges each.
    """

    def __init__(self, lab: Lab, load: Load) -> None:
        node = lab.spawn_node(cores=[lab.cores.tested])
        talk = Peer("node", path="/websocket/u{n}", greeting=1)
        super().__init__("node", node.child, node.address, talk, load)
        node.wait_ready()
        self._publisher = FanoutPublisher(lab.servers.ports.rabbitmq)

    def play(self, messages: int, rounds: int) -> None:
        """Publish the messages back to back, and so on."""
        for _ in range(rounds):
            self._publisher.publish(BROADCAST, messages)
            self._load.round(messages, limit=_LIMIT)

    def stop(self) -> None:
        """End the publisher, too."""
        self._publisher.close()
        super().stop()


def start_peer(lab: Lab, peer: Peer) -> Contender:
    """Start a peer on the tested core. Raises StartError."""
    port = free_port()
    child = lab.child(peer.name.replace(" ", "-").replace("()", ""))
    environment = {**os.environ, "GOMAXPROCS": "1"}
    child.spawn(pinned(peer.argv(port), [lab.cores.tested]), env=environment, cwd=ROOT)
    child.wait_ready(lambda: accepts(port), READY_LIMIT, interval=0.05)
    return Contender(peer.name, child, f"{LOOPBACK}:{port}", peer, Load(lab.cores.others))


def start_node(lab: Lab) -> NodeContender:
    """Start a node on the tested core. Raises StartError, PortError."""
    return NodeContender(lab, Load(lab.cores.others))


def start_all(lab: Lab, peers: Iterable[Peer]) -> Iterator[Contender]:
    """Start a node, then the peers, each when it is asked for. Raises StartError, PortError."""
    yield start_node(lab)
    for peer in peers:
        yield start_peer(lab, peer)


@contextmanager
def others_aside(lab: Lab) -> Iterator[None]:
    """Keep the servers and this process, with what it starts, off the tested core."""
    with servers_aside(lab), confined([os.getpid()], lab.cores.others):
        yield

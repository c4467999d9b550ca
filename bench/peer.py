"""The peers that serve WebSockets: how each is started, and how a client talks to it."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

from bench.go import build
from bench.peers.orders import BROADCAST, PAYLOAD
from devtools.paths import ROOT

CENTRIFUGE_SOURCES = ROOT / "bench" / "peers" / "centrifuge"


@dataclass(frozen=True)
class Peer:
    """A program, by its usual name. `{n}` in the path is a client's number.

    A client says `hello` and gets `greeting` messages; a broadcast reaches it as `payload`, and
    with `newline` a frame may hold several. `answers` are the protocol's own pings and what a
    client sends back. `order` has `%d` messages sent to every client.
    """

    name: str
    module: str = ""
    arguments: tuple[str, ...] = ()
    path: str = "/u{n}"
    hello: tuple[str, ...] = ()
    greeting: int = 0
    payload: str = PAYLOAD
    newline: bool = False
    answers: Mapping[str, str] = field(default_factory=dict)
    order: str = BROADCAST

    def argv(self, port: int) -> list[str]:
        """Give the command that serves on a port. Raises StartError where it cannot be built."""
        if self.module:
            argv = [sys.executable, "-m", f"bench.peers.{self.module}", str(port)]
        else:
            argv = [str(build(CENTRIFUGE_SOURCES)), str(port), PAYLOAD]
        return [*argv, *self.arguments]

    def frees_memory(self) -> bool:
        """Whether an order for no messages has it give unused memory back."""
        return not self.module


BARE = Peer("bare send() loop", "bare")
CENTRIFUGE = Peer(
    "Centrifuge",
    path="/",
    hello=('{"id":1,"connect":{}}',),
    greeting=1,
    payload=f'{{"push":{{"channel":"all","pub":{{"data":"{PAYLOAD}"}}}}}}',
    newline=True,
    order='{"send":{"data":%d}}',
)
PICOWS = Peer("picows", "picows_server")
WEBSOCKETS = Peer("websockets broadcast()", "websockets_broadcast")
QUART_ON_UVICORN = Peer("Quart on uvicorn", "quart_socket", path="/broadcast/u{n}")
QUART_ON_HYPERCORN = Peer(
    "Quart on hypercorn", "quart_socket", ("hypercorn",), path="/broadcast/u{n}"
)
SOCKETIO = Peer(
    "python-socketio",
    "socketio_server",
    path="/socket.io/?EIO=4&transport=websocket",
    hello=("40",),
    greeting=2,
    payload=f'42["message","{PAYLOAD}"]',
    answers={"2": "3"},
    order=f'42["order","{BROADCAST}"]',
)
QUART_ACCEPTING = Peer("Quart on uvicorn", "quart_socket", path="/accept/u{n}", greeting=1)
"""It says `pong` to who comes, and that is all."""

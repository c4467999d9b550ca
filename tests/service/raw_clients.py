"""A client of one Connection without a network: the client protocol of the websockets library."""

from collections.abc import Callable, Mapping
from typing import Any

from websockets.client import ClientProtocol
from websockets.frames import Close, Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import State
from websockets.uri import parse_uri

from nacos_boot.config.live import LiveSettings
from service.clients.connection import Connection, connection_class
from service.clients.door import Door
from service.clients.hub import Hub
from service.settings import NodeSettings
from tests.service.fake_sockets import FakeTransport


class Writes:
    """Stands for the DirectoryWriter: a client may start when the test says so."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[], None]] = []

    def after_next_write(self, done: Callable[[], None]) -> None:
        self.waiting.append(done)

    def done(self) -> None:
        waiting, self.waiting = self.waiting, []
        for done in waiting:
            done()


class House:
    """A Door and a Hub, with settings that a test can change."""

    def __init__(self, loop: Any, **limits: Any) -> None:
        self.live = LiveSettings(NodeSettings())
        self.limit(**limits)
        self.writes = Writes()
        self.changes: list[str] = []
        self.hub = Hub(loop, self.changes.append)
        self.door = Door(self.live, self.hub, self.writes)  # type: ignore[arg-type]  # all it asks
        self.make = connection_class(self.door)

    def limit(self, **limits: Any) -> None:
        """Change limits: `send_buffer=5000`."""
        spelled = {name.replace("_", "-"): value for name, value in limits.items()}
        self.live.swap(NodeSettings.model_validate({"websocket": {"limits": spelled}}))

    def client(self, target: str = "/websocket/alice", **options: Any) -> "Client":
        """Connect, without letting the client start."""
        return Client(self.make, target, **options)

    def started(self, target: str = "/websocket/alice", **options: Any) -> "Client":
        """Connect, start, and take the `pong`."""
        client = self.client(target, **options)
        self.writes.done()
        assert client.texts() == [b"pong"]
        return client


class Client:
    """The client's end; what the server has said is in `response`, `frames()` and `close`.

    Its head comes parsed, as from HTTP's side of the server, and only where that is refused as it
    was written; with `written` only so.
    """

    def __init__(
        self,
        make: type[Connection],
        target: str,
        *,
        headers: Mapping[str, str | list[str]] | None = None,
        subprotocols: list[str] | None = None,
        transport: Mapping[str, Any] | None = None,
        written: bool = False,
    ) -> None:
        self.connection = make(None, None, None)
        self.transport = FakeTransport(self.connection, **(transport or {}))
        self.protocol = ClientProtocol(
            parse_uri(f"ws://node{target}"),
            subprotocols=subprotocols,  # type: ignore[arg-type]  # plain strings will do
            max_size=None,
        )
        self.response: Response | None = None
        self._read = 0
        request = self.protocol.connect()
        for name, values in (headers or {}).items():
            if name in request.headers:
                del request.headers[name]
            for value in [values] if isinstance(values, str) else values:
                request.headers[name] = value
        head = [
            (name.lower().encode(), value.encode()) for name, value in request.headers.raw_items()
        ]
        if written or not self.connection.head_received(b"GET", target.encode(), head):
            self.send(request.serialize())

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.connection.data_received(data)

    def frame(self, opcode: Opcode, data: bytes = b"", *, fin: bool = True) -> None:
        """Send one frame, masked as a client must."""
        self.send(Frame(opcode, data, fin).serialize(mask=True))

    def text(self, data: bytes) -> None:
        self.frame(Opcode.TEXT, data)

    def frames(self) -> list[Frame]:
        """Give the frames that came since the last call."""
        data = self.transport.sent[self._read :]
        self._read += len(data)
        if self.protocol.state is not State.CLOSED:
            self.protocol.receive_data(data)
            # Its own answers to pings and closes are not sent: the test decides.
            self.protocol.data_to_send()
        found = []
        for event in self.protocol.events_received():
            if isinstance(event, Frame):
                found.append(event)
            elif isinstance(event, Response):
                self.response = event
        return found

    def texts(self) -> list[bytes]:
        return [bytes(frame.data) for frame in self.frames() if frame.opcode is Opcode.TEXT]

    def closed(self) -> Close | None:
        """Give the close frame of the server, if it came since the last call."""
        frames = [frame for frame in self.frames() if frame.opcode is Opcode.CLOSE]
        return Close.parse(frames[-1].data) if frames else None

"""Drives the load generator of `bench/load/`: WebSocket and HTTP clients in a compiled program.

A Python client is slower than the servers under test. The generator counts what arrives, byte for
byte; whatever is lost or wrong raises LoadError.
"""

from collections.abc import Mapping, Sequence
from typing import TypeVar

from bench.load_process import Generator, LoadError
from bench.load_results import (
    Await,
    Closed,
    Echo,
    Http,
    LoadStatus,
    Nothing,
    Opened,
    Round,
    Rounds,
    Served,
    Stamps,
)

__all__ = ["Load", "LoadError"]


class Load(Generator):
    """One generator, started at once; its connections end with it, and it with this process.

    Several may run, each with its own connections. Times are in seconds unless a name says else.
    Every method raises LoadError.
    """

    def connect(
        self,
        address: str,
        path: str,
        count: int,
        *,
        first: int = 0,
        parallel: int = 64,
        headers: Mapping[str, str] | None = None,
        hello: Sequence[str] = (),
        greeting: int = 0,
        limit: float = 60.0,
        refusals: bool = False,
    ) -> Opened:
        """Open connections, `parallel` of them at once.

        `{n}` in the path and in headers is `first`, `first` + 1, and so on. When the handshake is
        done a client sends the texts of `hello` and waits for `greeting` messages, which do not
        count later. Raises LoadError when one is not opened, unless `refusals` are wanted.
        """
        opened = self.ask(
            Opened,
            "connect",
            address=address,
            path=path,
            count=count,
            first=first,
            parallel=parallel,
            headers=dict(headers or {}),
            hello=list(hello),
            greeting=greeting,
            limit=limit,
        )
        if opened.failed and not refusals:
            raise LoadError(
                f"{opened.failed} of {count} connections to {address} failed: {opened.reasons}"
            )
        return opened

    def expect(
        self,
        *payloads: str,
        newline: bool = False,
        answers: Mapping[str, str] | None = None,
    ) -> None:
        r"""Say what every connection must get from now on: these payloads, over and over.

        `{n}` in a payload is the connection's number, as in `connect`. With `newline` a frame may
        hold several, parted by "\n". `answers` are payloads that do not count, and what is sent
        back for them ("" for nothing): a protocol's own pings.
        """
        self.ask(
            Nothing,
            "expect",
            payloads=list(payloads),
            newline=newline,
            answers=dict(answers or {}),
        )

    def round(
        self,
        frames: int = 1,
        *,
        send: str | None = None,
        connection: int = 0,
        limit: float = 10.0,
    ) -> Round:
        """Wait until every connection has got `frames` messages since the last round.

        `send` is sent on one connection first.
        """
        message = None if send is None else {"connection": connection, "text": send}
        return _right(self.ask(Round, "round", frames=frames, send=message, limit=limit))

    def rounds(
        self,
        count: int,
        frames: int = 1,
        *,
        send: str | None = None,
        connection: int = 0,
        pause: float = 0.0,
        limit: float = 60.0,
    ) -> Rounds:
        """Play `count` rounds one after the other, with a pause between them."""
        message = None if send is None else {"connection": connection, "text": send}
        return _right(
            self.ask(
                Rounds,
                "rounds",
                count=count,
                frames=frames,
                send=message,
                pause=pause,
                limit=limit,
            )
        )

    def await_frames(self, frames: int, *, limit: float = 10.0) -> Await:
        """Wait until so many messages have come on all connections together."""
        return _right(self.ask(Await, "await", frames=frames, limit=limit))

    def echo(
        self,
        text: str,
        seconds: float,
        *,
        window: int = 1,
        answer: str | None = None,
        limit: float = 10.0,
    ) -> Echo:
        """Send on every connection, and again whenever an answer came, for some seconds.

        Then wait up to `limit` for what is under way. `window` messages are under way at once;
        `answer` is what comes back, the same text if None. Replaces what `expect` said.
        """
        options = {} if answer is None else {"answer": answer}
        return _right(
            self.ask(
                Echo, "echo", text=text, seconds=seconds, window=window, limit=limit, **options
            )
        )

    def serve(self, address: str = "127.0.0.1:0", *, greeting: str = "") -> int:
        """Become a WebSocket backend as well, for a gateway; gives the port.

        Any path is accepted; what is no WebSocket is answered 200. It sends `greeting` at once.
        During `echo` it sends back what it gets.
        """
        return self.ask(Served, "serve", address=address, greeting=greeting).port

    def down(self, count: int, text: str, *, frames: int = 1, limit: float = 60.0) -> Rounds:
        """Let every backend connection send to its client, wait for all, `count` times.

        `frames` are written at once. Replaces what `expect` said, as `up` does.
        """
        return _right(self.ask(Rounds, "down", count=count, text=text, frames=frames, limit=limit))

    def up(self, count: int, text: str, *, frames: int = 1, limit: float = 60.0) -> Rounds:
        """Do the same from the clients to the backend."""
        return _right(self.ask(Rounds, "up", count=count, text=text, frames=frames, limit=limit))

    def http(
        self,
        address: str,
        path: str,
        *,
        method: str = "POST",
        bodies: Sequence[str] = ("",),
        media_type: str = "application/json",
        headers: Mapping[str, str] | None = None,
        connections: int = 1,
        count: int = 0,
        seconds: float = 0.0,
        rate: float = 0.0,
        status: int = 200,
        frames: int = 0,
        limit: float = 60.0,
    ) -> Http:
        """Send requests, `count` of them or for some `seconds`, the bodies in turn.

        On each connection the next one goes when the response has come; with a `rate` (per
        second) when it is due, and latency counts from then. `{t}` in a body is the Unix time in
        nanoseconds. With `frames` it waits, too, until so many messages have come to the clients.
        """
        result = self.ask(
            Http,
            "http",
            address=address,
            path=path,
            method=method,
            bodies=list(bodies),
            type=media_type,
            headers=dict(headers or {}),
            connections=connections,
            count=count,
            seconds=seconds,
            rate=rate,
            status=status,
            limit=limit,
            **{"await": frames},
        )
        if result.wrong:
            raise LoadError(f"{result.wrong} wrong responses from {address}: {result.sample}")
        if result.frames is not None:
            _right(result.frames)
        return result

    def begin_stamps(self, prefix: str = "") -> None:
        """Measure latency: messages hold `"t":<Unix time in ns>` and begin with the prefix.

        Otherwise they may be anything, until `stamps`.
        """
        self.ask(Nothing, "stamps", begin=True, prefix=prefix)

    def stamps(self) -> Stamps:
        """Give the latencies since `begin_stamps`, and end the measurement."""
        return _right(self.ask(Stamps, "stamps"))

    def status(self) -> LoadStatus:
        """Tell what is open and what waits to be counted."""
        return self.ask(LoadStatus, "status")

    def close(self) -> int:
        """Close all connections, and the backend's port; gives how many there were."""
        return self.ask(Closed, "close").closed


_Measured = TypeVar("_Measured", Round, Rounds, Await, Echo, Stamps)


def _right(result: _Measured) -> _Measured:
    if result.wrong:
        raise LoadError(f"{result.wrong} wrong messages; {result.sample}")
    return result

"""uvicorn's HTTP/1.1 protocol with the checks and limits that it leaves to a proxy in front.

Use: `uvicorn.Config(app, http=HttpProtocol)`. The limits are class attributes; `http_protocol()`
gives a class with its own, and setting an attribute of that class later takes effect at once.
"""

import asyncio
import re
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any, ClassVar

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from nacos_boot.http.head_watch import HeadWatch
from nacos_boot.http.problem import PROBLEM_TYPE, problem_json

_LINGER = 2.0  # seconds in which a refused client may read its answer before the socket goes
_FRAMING = frozenset((b"host", b"transfer-encoding", b"content-length", b"expect"))
_HOST = re.compile(
    rb"[A-Za-z0-9._~!$&'()*+,;=:\[\]%-]*[ \t]*"
)  # RFC 3986 3.2.2, without a user part


class _Refused(Exception):  # noqa: N818 - it carries an answer through the parser, not an error
    """Thrown from a parser callback: answer with this status and close."""

    def __init__(self, status: int, detail: str) -> None:
        self.status = status
        self.detail = detail


def problem_response(status: int, detail: str, headers: Iterable[tuple[str, str]] = ()) -> bytes:
    """Build a whole HTTP/1.1 answer that closes the connection, for protocols below ASGI.

    The body is a problem document (RFC 9457) of the type `about:blank`, so that its title is the
    status phrase. `headers` must hold no line breaks: they are the caller's own constants.
    """
    title = HTTPStatus(status).phrase
    body = problem_json(status, title, detail)
    lines = [
        f"HTTP/1.1 {status} {title}",
        f"content-type: {PROBLEM_TYPE}",
        f"content-length: {len(body)}",
        "connection: close",
        *(f"{name}: {value}" for name, value in headers),
    ]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def say_last(transport: asyncio.Transport, data: bytes) -> None:
    """Write an answer and close, so that the other side can read it before the socket goes.

    Closing at once with unread bytes would reset the connection, and the answer would be lost.
    """
    transport.write(data)
    if transport.can_write_eof():
        transport.write_eof()
        asyncio.get_running_loop().call_later(_LINGER, transport.abort)
    else:
        transport.close()


class HttpProtocol(HttpToolsProtocol):
    """One HTTP connection: RFC 9112 framing enforced, the head limited in size and in time.

    Beyond the parser's own checks it refuses a missing, doubled or malformed Host, transfer codings
    other than `chunked`, CONNECT, and an upgrade that carries a body. Bytes behind the head of an
    upgrade go to the class that takes the connection over (uvicorn drops them). Where that has a
    method `head_received(method, target, headers)`, it is called with the parsed head, all bytes,
    names in small letters; only where it gives False, or is not there, is the head written out for
    `data_received`, as uvicorn does. An upgrade that
    nobody takes is answered as the ordinary request it is as well (RFC 9110 7.8). Trailers are
    dropped, since uvicorn would add them to the headers of a request that is already running.
    """

    head_limit: ClassVar[int] = 64 * 1024
    """Longest request head in bytes; a longer one is answered with 431."""
    head_timeout: ClassVar[float] = 10.0
    """Seconds from the connection, or from a request's first byte, to the end of its head; 408."""

    on_refused: ClassVar[Callable[[int], object]] = int
    """Called with the status of each refusal; to begin with it does nothing."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._in_head = False
        self._chunk = 0  # size of the piece being parsed
        self._unfinished = 0  # bytes since the last head, piece of body or message was complete
        self._framing: list[tuple[bytes, bytes]] = []
        self._taken_over = False  # by the upgrade class, once the whole head is parsed
        self._passed_upgrade = False
        self._refused = False
        self._watch = HeadWatch.of(self.server_state, self.loop)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as in uvicorn
        """Start the clock: a client that connects must say what it wants."""
        super().connection_made(transport)
        self._watch.start(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock with the connection."""
        self._watch.stop(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Feed the parser, then hand over, refuse, or watch what is still unfinished."""
        if self._refused:
            return
        self._unset_keepalive_if_required()
        self._chunk = len(data)
        self._unfinished += self._chunk
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            cause = error.__context__
            if isinstance(cause, _Refused):
                self._refuse(cause.status, cause.detail)
            else:
                self._refuse(400, f"The request is not valid HTTP/1.1: {cause or error}.")
        if self._unfinished:
            self._limit_unfinished()

    def on_message_begin(self) -> None:
        """Count from here: the new head is no longer than what has just been received."""
        self._in_head = True
        self._unfinished = self._chunk
        self._framing.clear()
        self._taken_over = self._passed_upgrade = False
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; note those that decide about framing and routing."""
        if self._in_head:
            name = name.lower()
            if name in _FRAMING:
                self._framing.append((name, value))
                if name == b"expect":
                    self.expect_100_continue = value.lower() == b"100-continue"
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Check the head before anything acts on it."""
        if self._unfinished > self.head_limit and self._head_size() > self.head_limit:
            raise self._too_long()
        self._in_head = False
        self._unfinished = 0
        self._watch.stop(self)
        has_body = self._check_framing()
        if self.parser.should_upgrade():
            if self.parser.get_method() == b"CONNECT":
                raise _Refused(501, "CONNECT is not served: this server is no forward proxy.")
            self._taken_over = self._should_upgrade()
            self._passed_upgrade = not self._taken_over
            if self._passed_upgrade:
                return
            if has_body:
                raise _Refused(400, "An upgrade request must not carry a body.")
            if not self._idle():
                raise _Refused(400, "An upgrade must not be sent before earlier answers arrived.")
            return
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Pass a piece of the body on."""
        self._unfinished = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End the request's body."""
        self._unfinished = 0
        if not (self._passed_upgrade or self._taken_over):
            super().on_message_complete()

    def shutdown(self) -> None:
        """Close at the server's end, at once when there is nothing to answer."""
        self._watch.stop(self)
        super().shutdown()

    def _should_upgrade(self) -> bool:
        # RFC 9110 7.8: Upgrade in HTTP/1.0 must be ignored.
        return self.parser.get_http_version() == "1.1" and super()._should_upgrade()

    def _check_framing(self) -> bool:
        """Check Host and what frames the body; tell whether the request has one."""
        hosts, has_body = 0, False
        for name, value in self._framing:
            if name == b"host":
                hosts += 1
                if not _HOST.fullmatch(value):
                    raise _Refused(400, "The Host header is not a host name and port.")
            elif name == b"content-length":
                has_body = value.strip().strip(b"0") != b""
            elif name == b"transfer-encoding":
                has_body = True
                if self.parser.get_http_version() != "1.1":
                    raise _Refused(400, "HTTP/1.0 has no Transfer-Encoding.")
                if value.strip().lower() != b"chunked":
                    raise _Refused(501, "The only Transfer-Encoding served is chunked.")
        # RFC 9112, section 3.2.
        if hosts != 1 and (hosts or self.parser.get_http_version() == "1.1"):
            raise _Refused(400, f"Exactly one Host header is required, not {hosts}.")
        return has_body

    def _upgrade(self, rest: bytes) -> None:
        if self._taken_over:
            transport = self.transport
            self._hand_over()
            # The parser and this object refer to each other: without this the memory of both
            # would stay until the garbage collector looks, for each connection handed over.
            self.parser = None
            if rest and not transport.is_closing():
                transport.get_protocol().data_received(rest)  # type: ignore[attr-defined]
            return
        # The parser skips the body of every upgrade, so the request is read again without one.
        head = self._written(item for item in self.headers if item[0] != b"upgrade")
        # A new parser: behind `Connection: close` the old one would pass over all that follows.
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does
        self.data_received(head + rest)

    def _hand_over(self) -> None:
        """Do as uvicorn's `handle_websocket_upgrade`, and spare who can do without a second parse.

        Measured: a third of what a connection costs until it is handed over.
        """
        self.connections.discard(self)
        # uvicorn types it as any protocol, and as None for a server without.
        make: Any = self.ws_protocol_class
        upgraded = make(self.config, self.server_state, self.app_state)
        upgraded.connection_made(self.transport)
        take = getattr(upgraded, "head_received", None)
        if take is None or not take(self.parser.get_method(), self.url, self.headers):
            upgraded.data_received(self._written(self.headers))
        self.transport.set_protocol(upgraded)

    def _written(self, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
        """Write the request's head with these headers."""
        version = self.parser.get_http_version().encode()
        head = [self.parser.get_method(), b" ", self.url, b" HTTP/", version, b"\r\n"]
        for name, value in headers:
            head += (name, b": ", value, b"\r\n")
        head.append(b"\r\n")
        return b"".join(head)

    def _limit_unfinished(self) -> None:
        if self._unfinished > self.head_limit:
            too_long = self._too_long()
            self._refuse(too_long.status, too_long.detail)
        elif self._in_head or self._idle():
            self._watch.start(self)

    def _idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def head_overdue(self) -> None:
        """End a connection whose request head did not come in time."""
        if self._in_head:
            self._refuse(408, f"The request's head was not complete in {self.head_timeout:g} s.")
        elif self._idle():
            self.transport.close()

    def _refuse(self, status: int, detail: str) -> None:
        """Answer what was wrong, unless an earlier answer is still being written; then close."""
        self._refused = True
        type(self).on_refused(status)
        self._unfinished = 0
        self._watch.stop(self)
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:
            if not cycle.more_body:
                cycle.keep_alive = False  # a later request is at fault: close behind this answer
                return
            cycle.disconnected = True
            cycle.message_event.set()
            if cycle.response_started or self.pipeline:
                self.transport.close()
                return
        if self.transport.is_closing():
            return
        date = [(n.decode(), v.decode()) for n, v in self.server_state.default_headers]
        say_last(self.transport, problem_response(status, detail, date))

    def _too_long(self) -> _Refused:
        return _Refused(431, f"The request's head is longer than {self.head_limit} bytes.")

    def _head_size(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)


def http_protocol(head_limit: int = 64 * 1024, head_timeout: float = 10.0) -> type[HttpProtocol]:
    """Give a protocol class with limits of its own: bytes, seconds. Both attributes are live."""
    limits = {"head_limit": head_limit, "head_timeout": head_timeout}
    return type("LimitedHttpProtocol", (HttpProtocol,), limits)

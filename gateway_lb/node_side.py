"""A connection to a node, until the node has answered the handshake."""

import asyncio
import ssl
from typing import cast

from gateway_lb.answer import Answer, answer_body, parse_answer
from nacos_boot.registry.instance import Instance


class NodeClosedError(ConnectionError):
    """The node ended the connection before it had answered."""

    def __init__(self) -> None:
        super().__init__("closed the connection without an answer")


class NodeSide(asyncio.Protocol):
    """Collects what a node sends; a reader waits for the head, or the whole, of its answer."""

    __slots__ = ("_waiter", "ended", "lost", "received", "transport")

    def __init__(self) -> None:
        self.transport: asyncio.Transport
        self.received = bytearray()
        self.ended = False
        self.lost = False
        self._waiter: asyncio.Future[None] | None = None

    @classmethod
    async def connect(cls, instance: Instance, tls: ssl.SSLContext | None = None) -> "NodeSide":
        """Open a connection to an instance. Raises OSError."""
        loop = asyncio.get_running_loop()
        _, node = await loop.create_connection(cls, instance.ip, instance.port, ssl=tls)
        return node

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        # uvloop's transports have its methods without being its subclass.
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Keep what comes, and wake the reader."""
        self.received += data
        self._wake()

    def eof_received(self) -> bool:
        """Note the end; what is already here may yet be passed on."""
        self.ended = True
        self._wake()
        return self.transport.can_write_eof()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Note the end of both directions."""
        self.ended = self.lost = True
        self._wake()

    async def answer(self) -> Answer:
        """Wait for the head of the answer. Raises NodeClosedError, BadAnswerError."""
        while (answer := parse_answer(self.received)) is None:
            await self._more()
        return answer

    async def body(self, answer: Answer) -> bytes:
        """Wait for the whole body of an answer. Raises NodeClosedError, BadAnswerError."""
        while (body := answer_body(answer, self.received, ended=self.ended)) is None:
            await self._more()
        return body

    async def _more(self) -> None:
        if self.ended:
            raise NodeClosedError
        self._waiter = asyncio.get_running_loop().create_future()
        await self._waiter

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

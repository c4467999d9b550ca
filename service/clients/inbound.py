"""Inbound: what an accepted client sends, read and answered."""

import asyncio

from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import State

from service import metrics
from service.clients import close_codes
from service.clients.client_messages import NotTextError, answer_to
from service.clients.frames import NO_TAIL, pong_frame
from service.clients.reader import Reader
from service.clients.small_frames import read_small_frames
from service.clients.wire import Wire
from service.history.held import Held


class Inbound(Wire):
    """Reads from one client. `alive_at` is when it last sent anything, on the loop's clock.

    `held` is there while the history finds out what the client has missed.
    """

    __slots__ = ("_tokens", "alive_at", "held", "ping_sent_at", "queue", "tail", "user")

    def __init__(self) -> None:
        super().__init__()
        self._tokens = 0.0
        self.alive_at = 0.0
        self.ping_sent_at = 0.0
        self.queue: list[bytes] | None = None
        self.user = ""
        self.tail = NO_TAIL
        self.held: Held | None = None

    def _read(self, data: bytes) -> None:
        if self._reader is None:
            frames = read_small_frames(data)
            if frames is not None:
                self._take_small(frames)
                return
        reader = self._reading()
        for event in reader.read(data):
            if isinstance(event, Frame):
                self._take(reader, event)
        self._flush(reader.protocol)
        if reader.protocol.state is not State.OPEN:
            self._leave()
        elif reader.between_messages:
            self._reader = None

    def _take(self, reader: Reader, frame: Frame) -> None:
        if not self._heard(1):
            return
        if (message := reader.take(frame)) is not None:
            self._take_message(*message)

    def _take_small(self, frames: list[tuple[int, bytes]]) -> None:
        if not self._heard(len(frames)):
            return
        for opcode, payload in frames:
            if opcode == Opcode.PING:
                self._answer_control(pong_frame(payload))
            elif opcode != Opcode.PONG:
                self._take_message(opcode, payload)
            if not self._entered:
                return

    def _heard(self, frames: int) -> bool:
        """Note that so many frames came; False where the client is closed since it sends more."""
        self.alive_at = now = asyncio.get_running_loop().time()
        self.ping_sent_at = 0.0
        meter = self.door.meter
        if meter.pace is None:
            return True
        tokens = meter.take(self._tokens, now, frames)
        if tokens is None:
            self._too_fast()
            return False
        self._tokens = tokens
        return True

    def _too_fast(self) -> None:
        if self._entered:
            metrics.LIMITED.labels("messages-per-second").inc()
            self.close(close_codes.TOO_MANY, "this client sends too many messages")

    def _take_message(self, opcode: int, message: bytes) -> None:
        if opcode != Opcode.TEXT:
            metrics.CLIENT_MESSAGES_IGNORED.inc()
            return
        try:
            history = self if self.door.history is not None else None
            answer = answer_to(message, cluster_form=self.cluster_form, history=history)
        except NotTextError as error:
            self._fail(CloseCode.INVALID_DATA, str(error))
            return
        if self.held is not None:
            self.held.spoke()
        if answer is None:
            return
        if self._entered and not self.open:
            # The Hub sends it behind the first `pong`.
            if self.queue is None:
                self.queue = []
            self.queue.append(answer)
        else:
            self.write(answer)

    def let_in(self, first: bytes) -> None:
        """Let pushes through, behind these frames."""
        raise NotImplementedError

    def too_full(self) -> bool:
        """Close the client where too much waits behind what it has missed; True if so."""
        full = sum(map(len, self.queue or ())) > self.door.limits.send_buffer
        if full:
            self._too_slow()
        return full

    def resume(self, token: str | None) -> None:
        """Ask the history for what this client has missed."""
        if self.door.history is not None:
            self.door.history.resume(self, token)

    def acknowledge(self, push_id: str) -> None:
        """Tell the history that this client has a push."""
        if self.door.history is not None:
            self.door.history.kept.acknowledged(self.user, push_id)

    def _fail(self, code: CloseCode, reason: str) -> None:
        protocol = self._reading().protocol
        protocol.fail(code, reason)
        self._flush(protocol)
        self._leave()

"""Inbound: what an accepted client sends, read and answered."""

import asyncio

from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import State

from service import metrics
from service.client_messages import NotTextError, answer_to
from service.frames import pong_frame
from service.reader import Reader
from service.small_frames import read_small_frames
from service.wire import Wire


class Inbound(Wire):
    """Reads from one client. `alive_at` is when it last sent anything, on the loop's clock."""

    __slots__ = ("alive_at", "cluster_form", "ping_sent_at", "queue")

    def __init__(self) -> None:
        super().__init__()
        self.cluster_form = False
        self.alive_at = 0.0
        self.ping_sent_at = 0.0
        self.queue: list[bytes] | None = None

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
        self._heard()
        if (message := reader.take(frame)) is not None:
            self._take_message(*message)

    def _take_small(self, frames: list[tuple[int, bytes]]) -> None:
        self._heard()
        for opcode, payload in frames:
            if opcode == Opcode.PING:
                self._answer_control(pong_frame(payload))
            elif opcode != Opcode.PONG:
                self._take_message(opcode, payload)
            if not self._entered:
                return

    def _heard(self) -> None:
        self.alive_at = asyncio.get_running_loop().time()
        self.ping_sent_at = 0.0

    def _take_message(self, opcode: int, message: bytes) -> None:
        if opcode != Opcode.TEXT:
            metrics.CLIENT_MESSAGES_IGNORED.inc()
            return
        try:
            answer = answer_to(message, cluster_form=self.cluster_form)
        except NotTextError as error:
            self._fail(CloseCode.INVALID_DATA, str(error))
            return
        if answer is None:
            return
        if self._entered and not self.open:
            # The Hub sends it behind the first `pong`.
            if self.queue is None:
                self.queue = []
            self.queue.append(answer)
        else:
            self.write(answer)

    def _fail(self, code: CloseCode, reason: str) -> None:
        protocol = self._reading().protocol
        protocol.fail(code, reason)
        self._flush(protocol)
        self._leave()

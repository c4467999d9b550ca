"""A Line: one channel on which publications go out and their confirms come back."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import NamedTuple

from service.broker.amqp_frames import Properties, body_frames, publish_method, read_properties
from service.broker.amqp_tap import Tap
from service.broker.confirms import Batch, Confirms, Outcome

log = logging.getLogger(__name__)


class Outgoing(NamedTuple):
    """One message to publish; the message id is 255 bytes at most, `number` 0 for none."""

    exchange: str
    routing_key: str
    mandatory: bool
    properties: Properties
    message_id: str
    body: bytes
    number: int = 0


class Line:
    """Publishes past the client, which would have a task, two futures and a lock for each message.

    Nothing else may publish on the channel: both sides count what goes over it. Implements Sink.
    """

    def __init__(self, tap: Tap, channel: int, frame_max: int, address: str) -> None:
        self._tap = tap
        self._channel = channel
        self._frame_max = frame_max
        self._address = address
        self._confirms = Confirms()
        self._ended = ""
        self.silent_since: float | None = None
        """Since when the broker answers nothing, on the loop's clock; None while it does."""
        tap.open(channel, self)

    @property
    def blocked(self) -> bool:
        """Whether the broker says that it takes nothing for now."""
        return bool(self._tap.blocked)

    @property
    def fault(self) -> str:
        """Why nothing can be published now; empty while it can be tried."""
        if self._ended:
            return self._ended
        if blocked := self._tap.blocked:
            return f"it blocks publishers ({blocked})"
        return "" if self.silent_since is None else "it does not answer"

    async def send(
        self,
        messages: Sequence[Outgoing],
        limit: float,
        note: Callable[[list[Outcome]], None] | None = None,
    ) -> asyncio.Future[list[Outcome]]:
        """Put messages on the wire in order; the future has their outcomes within `limit` seconds.

        `note` is given them, too, before the future's callbacks. It returns at once, unless the
        broker does not read: then who must not be overtaken by another caller waits for its return.
        Never raises.
        """
        loop = asyncio.get_running_loop()
        sent: asyncio.Future[list[Outcome]] = loop.create_future()
        end = loop.time() + limit
        # Why all are refused for now has been said, when it began.
        fault = said = "" if self._ended else self.fault
        if not fault:
            fault = await self._let_read(end) if self._tap.paused else self._ended
        if not said:
            self._tell(fault, len(messages))
        if fault or not messages:
            failed = [Outcome.FAILED] * len(messages)
            if note is not None:
                note(failed)
            sent.set_result(failed)
            return sent

        def done(outcomes: list[Outcome], fault: str) -> None:
            timer.cancel()
            self._tell(fault, outcomes.count(Outcome.FAILED))
            if note is not None:
                note(outcomes)
            if not sent.done():
                sent.set_result(outcomes)

        # First what might fail: what is counted must go out.
        frames = b"".join([self._frames(message) for message in messages])
        ids = [message.message_id if message.mandatory else "" for message in messages]
        batch = self._confirms.add(ids, done)
        timer = loop.call_at(end, self._give_up, batch)
        self._tap.write(frames)
        return sent

    def _give_up(self, batch: Batch) -> None:
        # All the others fail at once from here on, or each would wait for as long: what has been
        # written is confirmed late if the broker goes on at all.
        self._fall_silent()
        self._confirms.give_up(batch, "no answer in time")

    def _fall_silent(self) -> None:
        if self.silent_since is None:
            self.silent_since = asyncio.get_running_loop().time()

    def end(self, fault: str) -> None:
        """Fail what is not confirmed, and all that is still to come."""
        self._ended = fault
        self._confirms.give_up_all(fault)

    def delivered(self, tag: int, exchange: str, header: bytes, body: bytes) -> None:
        """Take a message, which does not happen: nothing is consumed here."""

    def too_long(self, tag: int, exchange: str, size: int, beginning: bytes) -> None:
        """Take a long message, which does not happen either."""

    def returned(self, header: bytes) -> None:
        """Note a message that came back."""
        self._confirms.returned(read_properties(header)[0])

    def confirmed(self, tag: int, *, multiple: bool, taken: bool) -> None:
        """Note a confirm."""
        if self.silent_since is not None:
            self.silent_since = None
            log.info("RabbitMQ at %s answers again", self._address)
        self._confirms.confirmed(tag, multiple=multiple, taken=taken)

    def _tell(self, fault: str, count: int) -> None:
        if fault:
            log.warning(
                "RabbitMQ at %s did not confirm %d messages: %s", self._address, count, fault
            )

    async def _let_read(self, end: float) -> str:
        """Wait while the broker does not read; gives what is at fault, empty where nothing is."""
        if not self._tap.paused:
            return ""
        try:
            async with asyncio.timeout_at(end):
                await self._tap.writer.drain()
        except TimeoutError:
            self._fall_silent()
            return "it reads nothing"
        except OSError as error:
            return str(error) or "the connection broke"
        return self.fault

    def _frames(self, message: Outgoing) -> bytes:
        channel = self._channel
        return b"".join(
            (
                publish_method(
                    channel, message.exchange, message.routing_key, mandatory=message.mandatory
                ),
                message.properties.header(
                    channel, message.message_id.encode(), len(message.body), message.number
                ),
                body_frames(channel, message.body, self._frame_max),
            )
        )

"""A Line: one channel on which publications go out and their confirms come back."""

import asyncio
import logging
from collections.abc import Sequence
from typing import NamedTuple

from service.amqp_frames import Properties, body_frames, publish_method, read_properties
from service.amqp_tap import Tap
from service.confirms import Confirms, Outcome

log = logging.getLogger(__name__)


class Outgoing(NamedTuple):
    """One message to publish; the message id is 255 bytes at most."""

    exchange: str
    routing_key: str
    mandatory: bool
    properties: Properties
    message_id: str
    body: bytes


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
        tap.open(channel, self)

    async def send(
        self, messages: Sequence[Outgoing], limit: float
    ) -> asyncio.Future[list[Outcome]]:
        """Put messages on the wire in order; the future has their outcomes within `limit` seconds.

        It returns at once, unless the broker does not read: then who must not be overtaken by
        another caller waits for its return. Never raises.
        """
        loop = asyncio.get_running_loop()
        sent: asyncio.Future[list[Outcome]] = loop.create_future()
        end = loop.time() + limit
        fault = await self._let_read(end) if self._tap.paused else self._ended
        if fault or not messages:
            self._tell(fault, len(messages))
            sent.set_result([Outcome.FAILED] * len(messages))
            return sent

        def done(outcomes: list[Outcome], fault: str) -> None:
            timer.cancel()
            self._tell(fault, outcomes.count(Outcome.FAILED))
            if not sent.done():
                sent.set_result(outcomes)

        # First what might fail: what is counted must go out.
        frames = b"".join([self._frames(message) for message in messages])
        ids = [message.message_id if message.mandatory else "" for message in messages]
        batch = self._confirms.add(ids, done)
        timer = loop.call_at(end, self._confirms.give_up, batch, "no answer in time")
        self._tap.write(frames)
        return sent

    def end(self, fault: str) -> None:
        """Fail what is not confirmed, and all that is still to come."""
        self._ended = fault
        self._confirms.give_up_all(fault)

    def delivered(self, tag: int, exchange: str, header: bytes, body: bytes) -> None:
        """Take a message, which does not happen: nothing is consumed here."""

    def returned(self, header: bytes) -> None:
        """Note a message that came back."""
        self._confirms.returned(read_properties(header)[0])

    def confirmed(self, tag: int, *, multiple: bool, taken: bool) -> None:
        """Note a confirm."""
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
            return "it reads nothing"
        except OSError as error:
            return str(error) or "the connection broke"
        return self._ended

    def _frames(self, message: Outgoing) -> bytes:
        channel = self._channel
        return b"".join(
            (
                publish_method(
                    channel, message.exchange, message.routing_key, mandatory=message.mandatory
                ),
                message.properties.header(channel, message.message_id.encode(), len(message.body)),
                body_frames(channel, message.body, self._frame_max),
            )
        )

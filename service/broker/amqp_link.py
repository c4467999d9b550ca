"""One connection to RabbitMQ that is opened again whenever it breaks."""

import asyncio
import contextlib
import itertools
import logging
from abc import ABC, abstractmethod

from aio_pika.abc import AbstractChannel

from nacos_boot.start.startup import StartError
from service.broker.amqp import AMQP_FAULTS, bounded, open_connection
from service.broker.amqp_tap import TappedConnection
from service.settings_servers import RabbitSection

log = logging.getLogger(__name__)

# They log every step of a failure as an error of its own; the link says it once, with the address.
for _noisy in ("aiormq", "aio_pika"):
    logging.getLogger(_noisy).setLevel(logging.CRITICAL)

CALL_LIMIT = 5.0
"""Seconds that one call to the broker may take."""

PAUSES = (0.1, 0.2, 0.5, 1.0, 2.0)
"""Seconds before each new try; the last one repeats."""


class AmqpLink(ABC):
    """A connection with one channel. `up` says whether it works, `error` why it is not back."""

    def __init__(self, settings: RabbitSection, name: str) -> None:
        self._settings = settings
        self._name = name
        self._connection: TappedConnection | None = None
        self._broken = asyncio.Event()
        self._closing = False
        self.up = False
        self.error: str | None = None

    @property
    def address(self) -> str:
        """Host and port, for messages."""
        return f"{self._settings.host}:{self._settings.port}"

    async def open(self) -> None:
        """Connect and set up. Raises StartError."""
        self._broken.clear()
        connection = await open_connection(self._settings, self._name, CALL_LIMIT)
        self._connection = connection
        try:
            await bounded(self._prepare(connection), CALL_LIMIT)
        except AMQP_FAULTS as error:
            await self.drop()
            raise StartError(
                f"RabbitMQ at {self.address} broke off while {self._name} was set up:"
                f" {str(error) or 'no answer in time'}"
            ) from error
        except StartError:
            await self.drop()
            raise
        self.up = True
        self.error = None
        self._changed()

    async def run(self) -> None:
        """Open it again whenever it breaks; runs until cancelled."""
        while True:
            await self._broken.wait()
            self.up = False
            self._changed()
            if self._closing:
                return
            log.warning("the connection to RabbitMQ at %s is lost (%s)", self.address, self._name)
            await self._drop()
            await self._reopen()
            log.info("connected to RabbitMQ at %s again (%s)", self.address, self._name)

    async def close(self) -> None:
        """Close for good. Never raises."""
        self._closing = True
        self.up = False
        self._changed()
        await self._drop()

    async def _reopen(self) -> None:
        for attempt in itertools.count():
            try:
                await self.open()
            except StartError as error:
                self.error = str(error)
                level = logging.WARNING if attempt == 0 else logging.DEBUG
                log.log(level, "%s; trying again", error)
            else:
                return
            await asyncio.sleep(PAUSES[min(attempt, len(PAUSES) - 1)])

    async def drop(self) -> None:
        """Give the connection up for now; it may be opened again. Never raises."""
        self.up = False
        self._changed()
        await self._drop()

    async def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.tap.close()
            with contextlib.suppress(*AMQP_FAULTS):
                await bounded(connection.close(), CALL_LIMIT)

    async def _prepare(self, connection: TappedConnection) -> None:
        channel = await connection.channel(on_return_raises=True)
        channel.close_callbacks.add(lambda *_: self._broke(connection))
        await self._set_up(channel)

    def _broke(self, connection: TappedConnection | None) -> None:
        # A connection given up earlier may end late: that must not cost the one in use.
        if connection is self._connection:
            self.up = False
            self._changed()
            self._broken.set()

    @property
    def _connected(self) -> TappedConnection:
        if self._connection is None:
            raise ConnectionError("the connection broke")
        return self._connection

    @abstractmethod
    async def _set_up(self, channel: AbstractChannel) -> None:
        """Declare and start what the channel is for. May raise AMQP faults and StartError."""

    def _changed(self) -> None:  # noqa: B027 - a link may have nothing to do then
        """Note that `up` may have changed."""

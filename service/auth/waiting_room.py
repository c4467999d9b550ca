"""Handshakes that wait for the keys of their tokens: for a moment, and with few bytes."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

log = logging.getLogger(__name__)

PATIENCE = 2.5
"""Seconds: below a third of the gateway's handshake-timeout, after which it tries another node."""

_MOST = 1000
_EARLY_LIMIT = 64 * 1024
_SLICE = 20


class Waiting(Protocol):
    """A connection whose handshake can be judged once more."""

    def judge_again(self, head: bytes, early: bytes) -> None:
        """Take the handshake up again; `early` came behind its head meanwhile."""

    def give_up(self) -> None:
        """End without a word."""


@dataclass(slots=True)
class _Held:
    head: bytes = field(repr=False)  # holds a token
    early: bytearray = field(default_factory=bytearray, repr=False)


class WaitingRoom:
    """Holds handshakes until a fetch of keys has ended, PATIENCE at most.

    `releasing` is true while one is judged again: then it may not wait any more.
    """

    def __init__(self) -> None:
        self._held: dict[Waiting, _Held] = {}
        self._task: asyncio.Task[None] | None = None
        self.releasing = False

    def __len__(self) -> int:
        """Give the number of handshakes held."""
        return len(self._held)

    def hold(
        self,
        connection: Waiting,
        head: bytes,
        ask: Callable[[], "asyncio.Task[None] | None"],
    ) -> bool:
        """Hold a handshake while a fetch runs; False where there is none, or no room."""
        if self.releasing or len(self._held) >= _MOST:
            return False
        fetch = ask()
        if fetch is None:
            return False
        self._held[connection] = _Held(head)
        if self._task is None:
            self._task = asyncio.create_task(self._release_after(fetch), name="waiting-room")
        return True

    def keep(self, connection: Waiting, data: bytes) -> bool:
        """Keep what a client sends meanwhile; False where it is not held here."""
        held = self._held.get(connection)
        if held is None:
            return False
        held.early += data
        if len(held.early) > _EARLY_LIMIT:
            del self._held[connection]
            connection.give_up()
        return True

    async def _release_after(self, fetch: "asyncio.Task[None]") -> None:
        await asyncio.wait({fetch}, timeout=PATIENCE)
        self._task = None
        due = list(self._held)
        for number, connection in enumerate(due, 1):
            held = self._held.pop(connection, None)
            if held is not None:
                self._release(connection, held)
            if number % _SLICE == 0:
                await asyncio.sleep(0)

    def _release(self, connection: Waiting, held: _Held) -> None:
        self.releasing = True
        try:
            connection.judge_again(held.head, bytes(held.early))
        except Exception:
            log.exception("a handshake failed by a fault of the node")
            connection.give_up()
        finally:
            self.releasing = False

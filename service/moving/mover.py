"""Carry out a handover: open the new server's side, use it, close the old one's."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Generic, Protocol, TypeVar

from nacos_boot.background import Background
from service.moving.handover import Close, Handover, Open, Peers, Server, Standing, Use

log = logging.getLogger(__name__)

_TICK = 0.1
_REST = 2.0


class Side(Protocol):
    """This node's part at one server.

    `identity` tells the server from others, None while it does not work; `error` says why.
    """

    @property
    def identity(self) -> str | None:
        """The server that works, None where none does."""

    @property
    def error(self) -> str | None:
        """Why it does not work, for people."""

    async def run(self) -> None:
        """Connect, and repair what breaks; runs until cancelled."""

    async def leave(self, *, same: bool) -> None:
        """Close for good; with `same`, another side goes on at the same server. Never raises."""


S = TypeVar("S")
P = TypeVar("P", bound=Side)


class Mover(Generic[S, P]):
    """The sides of one kind of server, and the one in use.

    `make` builds the side of a server; `wanted` gives the server of the settings, `peers` the
    other live nodes (None: not known), `limit` how long to wait for them; `announce` is told
    what this node may say of itself whenever that changes.
    """

    def __init__(
        self,
        kind: str,
        first: Server[S],
        make: Callable[[Server[S]], P],
        *,
        wanted: Callable[[], Server[S]],
        peers: Callable[[], Peers | None],
        limit: Callable[[], timedelta],
    ) -> None:
        self._kind = kind
        self._make = make
        self._wanted = wanted
        self._peers = peers
        self._limit = limit
        self._handover = Handover(first)
        self._sides: dict[Server[S], P] = {first: make(first)}
        self._background = Background()
        self._running: dict[Server[S], asyncio.Task[None]] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self._stirred = asyncio.Event()
        self._announced: Standing | None = None
        self._told_behind: list[str] = []
        self.announce: Callable[[Standing], None] = lambda _: None

    @property
    def side(self) -> P:
        """The side in use."""
        return self._sides[self._handover.uses]

    @property
    def sides(self) -> Mapping[Server[S], P]:
        """Every side that is kept."""
        return self._sides

    @property
    def standing(self) -> Standing:
        """What this node may say of itself now."""
        return self._handover.standing

    def leaves(self, server: Server[S]) -> bool:
        """Tell whether this node no longer says that it keeps a server that it kept."""
        return self._handover.leaves(server)

    @property
    def details(self) -> dict[str, object]:
        """What health shows of a move; empty where there is none."""
        wanted, uses = self._wanted(), self._handover.uses
        if wanted == uses and not self._handover.moving:
            return {}
        details: dict[str, object] = {}
        if wanted != uses:
            details["movingTo"] = wanted.name
            side = self._sides.get(wanted)
            if side is not None and side.error:
                details["error"] = side.error
        else:
            details["leaving"] = sorted(server.name for server in self._sides if server != uses)
        if behind := self._handover.behind(self._peers()):
            details["waitingFor"] = behind
        return details

    def stir(self) -> None:
        """Look again soon: the settings or the peers have changed."""
        self._stirred.set()

    async def run(self) -> None:
        """Move whenever the settings say so; runs until cancelled."""
        for server in self._sides:
            self._start(server)
        failed = False
        while True:
            hurried = self._handover.moving and not failed
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_TICK if hurried else _REST):
                    await self._stirred.wait()
            self._stirred.clear()
            try:
                await self._advance()
                failed = False
            except Exception:
                failed = True
                # A bug must not leave the node between two servers for good.
                log.exception("the move to another %s failed at one step", self._kind)

    async def stop(self) -> None:
        """Repair no side any more, and see those out that are being left. Never raises."""
        await self._background.close()
        await asyncio.gather(*self._leaving, return_exceptions=True)

    async def close(self) -> None:
        """Close every side. Never raises."""
        await self.stop()
        for side in self._sides.values():
            await side.leave(same=False)

    async def _advance(self) -> None:
        handover = self._handover
        wanted = self._wanted()
        if wanted != handover.wanted:
            if wanted.name == handover.uses.name:
                log.info("%s: %s by other settings", self._kind, wanted.name)
            else:
                log.info("%s: moving from %s to %s", self._kind, handover.uses.name, wanted.name)
            handover.wanted = wanted
        now = asyncio.get_running_loop().time
        while True:
            ready = {
                server: side.identity
                for server, side in self._sides.items()
                if side.identity is not None
            }
            match handover.step(now(), ready, self._peers(), self._limit().total_seconds()):
                case Open(server):
                    self._open(server)
                case Use(server):
                    log.info("%s: %s is in use now", self._kind, server.name)
                case Close(server, same):
                    await self._close(server, same=same)
                case None:
                    break
            self._tell()
        self._tell()

    def _open(self, server: Server[S]) -> None:
        try:
            self._sides[server] = self._make(server)
        except Exception:
            self._handover.forget(server)
            raise
        self._start(server)

    def _start(self, server: Server[S]) -> None:
        work = self._sides[server].run()
        self._running[server] = self._background.spawn(f"{self._kind} {server.name}", work)

    async def _close(self, server: Server[S], *, same: bool) -> None:
        side, task = self._sides.pop(server), self._running.pop(server)
        task.cancel()

        async def leave() -> None:
            await asyncio.gather(task, return_exceptions=True)
            await side.leave(same=same)

        leaving = asyncio.create_task(leave())
        self._leaving.add(leaving)
        leaving.add_done_callback(self._leaving.discard)
        # An end of the node amid it must not leave a connection or entries behind.
        await asyncio.shield(leaving)
        log.info("%s: %s is left", self._kind, server.name)

    def _tell(self) -> None:
        standing = self._handover.standing
        if standing != self._announced:
            self.announce(standing)
            self._announced = standing
        behind = self._handover.behind(self._peers()) if self._handover.moving else []
        if behind and behind != self._told_behind:
            log.info("%s: waiting for the nodes %s", self._kind, ", ".join(behind))
        self._told_behind = behind

"""Sets the stage: a fleet under load. It is taken down however the run ends."""

import resource
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from service.settings import WebSocketSection
from tests.e2e.faults.client import Crowd, move_in, move_out
from tests.e2e.faults.fleet import Fleet
from tests.e2e.faults.pusher import Pusher
from tests.e2e.faults.row import Stage
from tests.e2e.faults.watch import Watch

CLIENTS, RATE = 1000, 200.0
QUICK_CLIENTS, QUICK_RATE = 200, 60.0


def history_is_kept() -> bool:
    """Tell whether this version has a history to switch on."""
    return "history" in WebSocketSection.model_fields


@asynccontextmanager
async def set_stage(folder: Path, *, quick: bool) -> AsyncIterator[Stage]:
    """Start everything and connect the clients."""
    _allow_many_files()
    count, rate = (QUICK_CLIENTS, QUICK_RATE) if quick else (CLIENTS, RATE)
    async with Fleet(folder, quick=quick) as fleet:
        crowd = Crowd([gateway.port for gateway in fleet.gateways])
        clients = move_in(crowd, count)
        stage = Stage(
            fleet,
            crowd,
            clients,
            Pusher(fleet.session, fleet.open_nodes, count, rate),
            Watch(fleet, crowd),
            steady=2.0 if quick else 5.0,
        )
        try:
            await stage.calm()
            yield stage
        finally:
            await stage.pusher.stop()
            await move_out(crowd, clients)


async def keep_history(stage: Stage, *, keep: bool) -> None:
    """Switch the history on or off, and have all clients come anew, with it or without."""
    await stage.fleet.publish({"websocket": {"history": {"enabled": keep}}})
    stage.crowd.history = keep
    await stage.spread()


def _allow_many_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

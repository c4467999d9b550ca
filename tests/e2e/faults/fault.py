"""What a fault is: how it begins and ends, and what must hold meanwhile."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from tests.e2e.faults.client import Client, Crowd
from tests.e2e.faults.fleet import NODES, Fleet


class Scene(Protocol):
    """Where a fault happens."""

    fleet: Fleet
    crowd: Crowd
    clients: list[Client]
    notes: list[str]
    """What a fault has to tell in its row."""


Step = Callable[[Scene], Awaitable[None]]


async def nothing(_: Scene) -> None:
    """Do nothing."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One row. `seconds` lie between `begin` and `end`, `quick_seconds` in the short form.

    `since` says from when on pushes must flow again: a death from its beginning, an outage from its
    end. `prepare` and `tidy` belong to no measured time; in between, with
    `spread`, the clients are spread evenly over the nodes.

    The promises: `stay` that no client is disconnected; `unready` which nodes say so; `refuse`
    which nodes answer what they cannot do with 503 and Retry-After: pushes, or look-ups of users;
    `again_limit` seconds in which pushes flow again; `keeps` that Redis keeps its data.
    """

    name: str
    title: str
    begin: Step
    end: Step = nothing
    seconds: float = 10.0
    quick_seconds: float | None = None
    since: Literal["begin", "end"] = "end"
    prepare: Step = nothing
    spread: bool = True
    tidy: Step = nothing
    stay: bool = True
    affected: tuple[str, ...] = NODES
    unready: tuple[str, ...] = ()
    refuse: Literal["pushes", "look-ups"] | None = None
    again_limit: float = 20.0
    keeps: bool = True

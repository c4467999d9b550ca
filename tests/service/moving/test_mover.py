"""The Mover on sides without a server: what is opened, told, used and closed, and when."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from service.moving import handover, mover
from service.moving.handover import Peer, Peers, Server, Standing
from service.moving.mover import Mover
from tests.waiting import eventually

OLD, NEW, ALIAS = (Server(name, name) for name in ("old:1", "new:1", "alias:1"))


class FakeSide:
    """A side that works once the test gives it an identity."""

    def __init__(self, events: list[str], server: Server[str]) -> None:
        self._events = events
        self._name = server.name
        self.identity: str | None = None
        self.error: str | None = None
        self.gate = asyncio.Event()
        self.gate.set()

    async def run(self) -> None:
        self._events.append(f"run {self._name}")
        await asyncio.Event().wait()

    async def leave(self, *, same: bool) -> None:
        await self.gate.wait()
        self._events.append(f"leave {self._name}{' same' if same else ''}")


class House:
    """A Mover, what it was told and what it did."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.wanted = OLD
        self.peers: Peers | None = {}
        self.made: dict[Server[str], FakeSide] = {}
        self.running: asyncio.Task[None]
        self.faults = 0
        self.mover: Mover[str, FakeSide] = Mover(
            "Post",
            OLD,
            self._make,
            wanted=lambda: self.wanted,
            peers=lambda: self.peers,
            limit=lambda: timedelta(seconds=30),
        )
        self.made[OLD].identity = "o"
        self.mover.announce = lambda standing: self.events.append(f"say {standing.write()}")

    def _make(self, server: Server[str]) -> FakeSide:
        if server == ALIAS and self.faults:
            self.faults -= 1
            raise KeyError("a bug")
        side = self.made[server] = FakeSide(self.events, server)
        return side

    def move(self, server: Server[str]) -> None:
        self.wanted = server
        self.mover.stir()

    def peer_says(self, text: str) -> None:
        self.peers = {"n": Peer(Standing.read(text), "md5")}
        self.mover.stir()


@pytest.fixture
async def house(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    monkeypatch.setattr(handover, "HOLD", 0.1)
    house = House()
    running = house.running = asyncio.create_task(house.mover.run())
    house.mover.stir()
    await eventually(lambda: set(house.events) == {"run old:1", "say old:1"})
    house.events.clear()
    yield house
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await house.mover.close()


async def test_a_move_goes_step_by_step_with_the_peers(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    house.peer_says("old:1")
    house.move(NEW)
    await eventually(lambda: house.events == ["run new:1"])
    assert house.mover.details["movingTo"] == "new:1"
    house.made[NEW].identity = "n"
    await eventually(lambda: house.events[1:] == ["say old:1 new:1"])
    await eventually(lambda: "waiting for the nodes n" in caplog.text)
    assert house.mover.details["waitingFor"] == ["n"]
    assert house.mover.side is house.made[OLD]
    house.peer_says("old:1 new:1")
    await eventually(lambda: house.events[2:] == ["say new:1 old:1"])
    assert house.mover.side is house.made[NEW]
    assert house.mover.details == {"leaving": ["old:1"], "waitingFor": ["n"]}
    house.peer_says("new:1 old:1")
    await eventually(lambda: house.events[3:] == ["say new:1", "leave old:1"])
    assert house.mover.details == {}
    assert list(house.mover.sides) == [NEW]


async def test_the_same_server_is_taken_at_once(house: House) -> None:
    house.peer_says("old:1")
    house.move(ALIAS)
    await eventually(lambda: house.events == ["run alias:1"])
    house.made[ALIAS].identity = "o"
    await eventually(lambda: "leave old:1 same" in house.events)
    assert house.mover.standing.write() == "alias:1"


async def test_what_hinders_a_move_is_shown(house: House) -> None:
    house.move(NEW)
    await eventually(lambda: NEW in house.made)
    house.made[NEW].error = "nobody listens"
    assert house.mover.details == {"movingTo": "new:1", "error": "nobody listens"}
    house.move(OLD)
    await eventually(lambda: house.events == ["run new:1", "leave new:1"])
    assert house.mover.details == {}


async def test_a_bug_is_told_and_does_not_end_the_mover(
    house: House, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> Peers | None:
        raise KeyError("another bug")

    with monkeypatch.context() as patch:
        patch.setattr(house.mover, "_peers", broken)
        house.mover.stir()
        await eventually(lambda: "failed at one step" in caplog.text)
    house.move(NEW)
    await eventually(lambda: NEW in house.made)
    house.made[NEW].identity = "n"
    await eventually(lambda: house.mover.side is house.made[NEW])


async def test_a_server_whose_side_could_not_be_made_is_tried_again(
    house: House, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mover, "_REST", 0.02)
    house.faults = 2
    house.move(ALIAS)
    await eventually(lambda: house.events == ["run alias:1"])
    assert caplog.text.count("failed at one step") == 2


async def test_what_could_not_be_announced_is_announced_again(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    announce, said = house.mover.announce, list[str]()

    def broken(standing: Standing) -> None:
        said.append(standing.write())
        if len(said) == 1:
            raise KeyError("a bug")
        announce(standing)

    monkeypatch.setattr(mover, "_REST", 0.02)
    house.mover.announce = broken
    house.peer_says("old:1")
    house.move(NEW)
    await eventually(lambda: NEW in house.made)
    house.made[NEW].identity = "n"
    await eventually(lambda: "say old:1 new:1" in house.events)


async def test_an_end_amid_a_move_waits_for_the_side_that_is_being_left(house: House) -> None:
    house.move(NEW)
    await eventually(lambda: NEW in house.made)
    house.made[OLD].gate.clear()
    house.made[NEW].identity = "n"
    await eventually(lambda: list(house.mover.sides) == [NEW])
    house.running.cancel()
    closing = asyncio.create_task(house.mover.close())
    await asyncio.wait({house.running})
    house.made[OLD].gate.set()
    await closing
    assert set(house.events[-2:]) == {"leave old:1", "leave new:1"}

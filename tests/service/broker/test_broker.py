"""The Broker between two servers: what is published when one follows the other."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from types import SimpleNamespace

import pytest

from service.broker import broker as module
from service.broker.amqp_queue import NodeQueues
from service.broker.broker import Broker
from service.broker.broker_side import BrokerSide
from service.broker.confirms import Outcome
from service.broker.publication import Publication
from service.settings_servers import RabbitSection
from tests.rabbit import local_rabbit


class Server:
    """A side whose publisher notes what it is given, and confirms when the gate is open."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.got: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.side = BrokerSide(local_rabbit(), NodeQueues("n"), lambda *_: None)
        monkeypatch.setattr(self.side._publisher, "send", self._send)

    async def _send(self, items: Sequence[Publication]) -> asyncio.Future[list[Outcome]]:
        self.got += [item.message_id for item in items]
        return asyncio.ensure_future(self._confirm(len(items)))

    async def _confirm(self, number: int) -> list[Outcome]:
        await self.gate.wait()
        return [Outcome.CONFIRMED] * number


class Move:
    """A Broker that uses the server which the test says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.old, self.new = Server(monkeypatch), Server(monkeypatch)
        self.broker = Broker(
            "n",
            lambda *_: None,
            settings=RabbitSection,
            peers=dict,
            limit=lambda: timedelta(seconds=30),
        )
        self.mover = SimpleNamespace(side=self.old.side)
        monkeypatch.setattr(self.broker, "mover", self.mover)
        monkeypatch.setattr(self.broker, "_publishes_at", self.old.side)

    def publish(self, *names: str) -> asyncio.Task[list[Outcome]]:
        items = [Publication("fanout", "", name, b"", (0,)) for name in names]
        return asyncio.create_task(self.broker.publish(items))

    def use_the_new_one(self) -> None:
        self.mover.side = self.new.side


@pytest.fixture
def move(monkeypatch: pytest.MonkeyPatch) -> Move:
    return Move(monkeypatch)


async def turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_publications_wait_until_those_at_the_old_server_are_confirmed_and_consumed(
    move: Move,
) -> None:
    loop = asyncio.get_running_loop()
    move.old.gate.clear()
    first = move.publish("1", "2")
    await turns()
    move.use_the_new_one()
    later = [move.publish("3"), move.publish("4", "5"), move.publish("6")]
    await turns()
    assert (move.old.got, move.new.got) == (["1", "2"], [])
    move.old.gate.set()
    assert await first == [Outcome.CONFIRMED] * 2
    confirmed_at = loop.time()
    assert not move.new.got
    await asyncio.gather(*later)
    assert loop.time() - confirmed_at >= module.SETTLE * 0.9
    assert (move.old.got, move.new.got) == (["1", "2"], ["3", "4", "5", "6"])


async def test_an_idle_node_follows_without_a_wait(move: Move) -> None:
    move.use_the_new_one()
    publishing = move.publish("1")
    await turns()
    assert publishing.done()
    assert move.new.got == ["1"]


async def test_an_old_server_that_never_confirms_holds_nothing_up_for_good(
    move: Move, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.broker.broker_side.CALL_LIMIT", -0.9)
    move.old.gate.clear()
    stuck = move.publish("1")
    await turns()
    move.use_the_new_one()
    assert await asyncio.wait_for(move.publish("2"), 3) == [Outcome.CONFIRMED]
    move.old.gate.set()
    await stuck


async def test_a_side_that_leaves_waits_for_its_confirms(move: Move) -> None:
    side = move.old.side
    side._publisher.up = True
    move.old.gate.clear()
    publishing = move.publish("1")
    await turns()
    leaving = asyncio.create_task(side.leave(same=False))
    await turns()
    assert not leaving.done()
    move.old.gate.set()
    assert await publishing == [Outcome.CONFIRMED]
    await leaving

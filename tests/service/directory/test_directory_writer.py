"""The entries of this node in the Directory follow what the Hub holds."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from service import metrics
from service.clients.hub import Hub
from service.directory import directory_writer
from service.directory.directory import Directory, Keys
from service.directory.directory_writer import DirectoryWriter
from service.directory.node_record import NodeRecord, write_record
from tests.service.fake_servers import FakeStore
from tests.service.fake_sockets import FakeSocket
from tests.waiting import eventually

KEYS = Keys("test:")


class Writing:
    """A Hub with its writer at work, and the store that it writes to."""

    def __init__(self) -> None:
        self.store = FakeStore()
        self.most = 0
        self.writer = DirectoryWriter(lambda: self.most)
        self.hub = Hub(asyncio.get_running_loop(), self.writer.changed)
        self.writer.hub = self.hub
        self.directory = Directory(
            self.store,  # type: ignore[arg-type]  # held to the real one in tests/contract
            KEYS,
            "n1",
            expected=lambda: ["n1"],
            lost=self.writer.everything,
        )
        self.told: list[str] = []
        self.task = asyncio.create_task(self.writer.run(self.directory))

    def join(self, user: str, *, is_open: bool = True) -> FakeSocket:
        """Let a client in as the Door does."""
        socket = FakeSocket(user, is_open=is_open)
        self.hub.add(socket)
        self.writer.after_next_write(lambda: self.told.append(user))
        return socket

    def users(self) -> set[str]:
        """The users whom the store has at this node."""
        return {KEYS.user_of(key) for key in self.store.texts if "n1" in self.store.homes(key)}


@pytest.fixture
async def writing(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Writing]:
    monkeypatch.setattr(directory_writer, "_PAUSE", 0.03)
    writing = Writing()
    yield writing
    assert not writing.task.done()
    writing.task.cancel()
    await asyncio.gather(writing.task, return_exceptions=True)


async def test_a_client_is_written_before_it_is_told_so(writing: Writing) -> None:
    writing.store.gate.clear()
    writing.join("alice")
    await eventually(lambda: "set_homes" in writing.store.commands)
    assert writing.told == []
    writing.store.gate.set()
    await eventually(lambda: writing.told == ["alice"])
    assert writing.users() == {"alice"}
    await writing.writer.drained()


async def test_an_entry_describes_all_connections_of_the_user(writing: Writing) -> None:
    first, second = FakeSocket("alice"), FakeSocket("alice")
    first.opened_at, second.opened_at = 200.0004, 100.1239
    first.address = "192.0.2.9"
    first.attributes, second.attributes = {"a": "1", "b": "1"}, {"b": "2"}
    writing.hub.add(first)
    writing.hub.add(second)
    await writing.writer.drained()
    assert writing.store.homes(KEYS.user("alice")) == {
        "n1": {
            "connections": 2,
            "since": 100.124,
            "addresses": ["192.0.2.1", "192.0.2.9"],
            "attributes": {"a": "1", "b": "2"},
        }
    }
    writing.hub.remove(second)
    await writing.writer.drained()
    assert writing.store.homes(KEYS.user("alice")) == {
        "n1": {
            "connections": 1,
            "since": 200.0,
            "addresses": ["192.0.2.9"],
            "attributes": {"a": "1", "b": "1"},
        }
    }
    writing.hub.remove(first)
    await writing.writer.drained()
    assert writing.store.texts == {}


async def test_a_user_without_attributes_has_none_written(writing: Writing) -> None:
    writing.join("alice")
    await writing.writer.drained()
    assert "attributes" not in writing.store.homes(KEYS.user("alice"))["n1"]


async def test_many_users_go_in_one_round_trip(writing: Writing) -> None:
    for number in range(500):
        writing.join(f"user-{number}")
    await writing.writer.drained()
    assert writing.store.commands == ["set_homes"]
    assert len(writing.users()) == len(writing.told) == 500


async def test_a_crowd_goes_in_some(writing: Writing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(directory_writer, "_BATCH", 100)
    for number in range(450):
        writing.join(f"user-{number}")
    await writing.writer.drained()
    assert writing.store.commands == ["set_homes"] * 5
    assert len(writing.users()) == 450


async def test_it_writes_what_is_not_what_changed(writing: Writing) -> None:
    writing.store.gate.clear()
    writing.join("first")
    await eventually(lambda: writing.store.commands)
    # Meanwhile a user comes and goes and comes again; another comes and goes.
    for user in ("alice", "bob"):
        writing.hub.remove(writing.join(user))
    writing.join("alice")
    writing.store.gate.set()
    await writing.writer.drained()
    assert writing.store.commands == ["set_homes"] * 2
    assert writing.users() == {"first", "alice"}
    assert writing.store.homes(KEYS.user("alice"))["n1"]["connections"] == 1


async def test_a_change_during_a_write_is_written_after_it(writing: Writing) -> None:
    socket = writing.join("alice")
    writing.store.gate.clear()
    await eventually(lambda: writing.store.commands)
    writing.hub.remove(socket)
    writing.store.gate.set()
    await writing.writer.drained()
    assert writing.users() == set()


async def test_a_write_that_failed_is_done_again_when_redis_is_back(writing: Writing) -> None:
    leaver = writing.join("leaver")
    await writing.writer.drained()
    writing.store.away = True
    writing.join("alice")
    writing.hub.remove(leaver)
    await eventually(lambda: writing.store.commands.count("set_homes") >= 3)
    assert not writing.writer.caught_up
    # Whoever was written by others stays; what changed meanwhile is written as it is then.
    writing.join("bob")
    writing.hub.remove(writing.hub.of_user("bob")[0])
    writing.store.away = False
    await writing.writer.drained()
    assert writing.writer.caught_up
    assert writing.users() == {"alice"}


async def test_clients_are_not_held_up_while_redis_is_away(
    writing: Writing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(directory_writer, "_PAUSE", 30.0)
    writing.store.away = True
    for number in range(3):
        writing.join(f"user-{number}")
        await eventually(lambda: f"user-{number}" in writing.told, limit=1)  # noqa: B023 - at once
    # Let in at once by the pause, not by one try each.
    assert writing.store.commands == ["set_homes"]


async def test_a_pause_ends_by_itself(writing: Writing) -> None:
    writing.store.away = True
    writing.join("alice")
    await eventually(lambda: writing.told)
    writing.store.away = False
    await eventually(lambda: writing.users() == {"alice"})


async def test_everything_is_written_again_when_redis_has_lost_it(writing: Writing) -> None:
    for user in ("alice", "bob"):
        writing.join(user)
    await writing.writer.drained()
    writing.store.lose()
    writing.store.gate.clear()
    writing.writer.everything()
    assert not writing.writer.caught_up
    writing.store.gate.set()
    await writing.writer.drained()
    assert writing.writer.caught_up
    assert writing.users() == {"alice", "bob"}


async def test_what_was_lost_during_a_write_is_not_taken_for_written(writing: Writing) -> None:
    writing.store.gate.clear()
    writing.join("alice")
    await eventually(lambda: writing.store.commands)
    # The write is on its way to a server whose data goes right after it.
    writing.writer.everything()
    seen: list[bool] = []
    writing.writer.after_next_write(lambda: seen.append(writing.writer.caught_up))
    writing.told.clear()
    original = writing.store.set_homes

    async def lose_after(*arguments: object) -> None:
        writing.store.set_homes = original  # type: ignore[method-assign]
        seen.append(writing.writer.caught_up)
        await original(*arguments)  # type: ignore[arg-type]

    writing.store.set_homes = lose_after  # type: ignore[method-assign,assignment]
    writing.store.gate.set()
    await writing.writer.drained()
    # Not before the second write, and then it is.
    assert seen == [False, True]
    assert writing.writer.caught_up


async def test_without_users_a_loss_is_made_up_for_at_once(writing: Writing) -> None:
    writing.writer.everything()
    assert writing.writer.caught_up
    await writing.writer.drained()


async def test_one_clients_trouble_keeps_no_other_out(writing: Writing) -> None:
    def trouble() -> None:
        raise RuntimeError("the handler is closed")

    writing.writer.after_next_write(trouble)
    writing.join("alice")
    await eventually(lambda: writing.told == ["alice"])
    writing.store.away = True
    writing.join("bob")
    await eventually(lambda: "bob" in writing.told)
    writing.writer.after_next_write(trouble)
    writing.join("carol")
    await eventually(lambda: "carol" in writing.told)


async def test_what_was_broken_off_is_known_as_unwritten_and_nobody_waits_for_it(
    writing: Writing,
) -> None:
    writing.join("written")
    await writing.writer.drained()
    writing.store.gate.clear()
    writing.join("alice")
    await eventually(lambda: writing.store.commands.count("set_homes") == 2)
    writing.hub.remove(writing.join("bob"))
    writing.task.cancel()
    await asyncio.gather(writing.task, return_exceptions=True)
    assert set(writing.writer.unwritten) == {"alice", "bob"}
    assert writing.told == ["written"]
    writing.writer.release()
    assert writing.told == ["written", "alice", "bob"]
    # Whatever may have come through is taken away.
    writing.store.gate.set()
    writing.store.texts[KEYS.user("bob")] = b'{"n1":1,"n2":1}'
    await writing.writer.erase(writing.directory)
    assert writing.users() == set()
    assert writing.store.homes(KEYS.user("bob")) == {"n2": 1}
    writing.task = asyncio.create_task(writing.writer.run(writing.directory))


async def test_only_who_comes_while_it_is_behind_is_caught_up_with(writing: Writing) -> None:
    writing.join("alice")
    await writing.writer.drained()
    assert writing.writer.following
    # A client that comes now waits for its entry, so that it holds up nothing else.
    writing.store.gate.clear()
    writing.join("bob")
    assert writing.writer.caught_up
    # Nobody is made to wait for a writer that is behind: all of them are caught up with.
    writing.writer.everything()
    writing.join("carol")
    assert not writing.writer.following
    writing.store.lose()
    writing.store.gate.set()
    await eventually(lambda: writing.writer.caught_up)
    assert writing.users() >= {"alice", "carol"}
    assert writing.writer.following


def elsewhere(writing: Writing, user: str, connections: int, node: str = "n2") -> None:
    """Have another node, alive or not, hold connections of a user."""
    home = b'{"%s":{"connections":%d}}' % (node.encode(), connections)
    writing.store.texts[KEYS.user(user)] = home


def alive(writing: Writing, node: str) -> None:
    record = NodeRecord(node, "", "", 0.0, 0.0, 0, 0, "fanout", "", "", "")
    writing.store.texts[KEYS.node(node)] = write_record(record)


async def test_who_is_one_too_many_in_the_cluster_is_closed_before_it_is_let_in(
    writing: Writing,
) -> None:
    alive(writing, "n1")
    alive(writing, "n2")
    elsewhere(writing, "alice", 2)
    writing.most = 3
    before = metrics.LIMITED.labels("max-connections-per-user")._value.get()
    first, second = (writing.join("alice", is_open=False) for _ in range(2))
    other = writing.join("bob", is_open=False)
    await eventually(lambda: len(writing.told) == 3)
    assert second.closed == [(4429, "this user has too many connections")]
    assert first.closed == other.closed == []
    assert metrics.LIMITED.labels("max-connections-per-user")._value.get() == before + 1


async def test_nobody_is_closed_who_was_let_in_nor_for_a_node_that_is_gone(
    writing: Writing,
) -> None:
    alive(writing, "n1")
    alive(writing, "n2")
    writing.most = 1
    elsewhere(writing, "alice", 1)
    elsewhere(writing, "bob", 5, node="dead")
    settled, fresh = writing.join("alice"), writing.join("bob", is_open=False)
    await eventually(lambda: len(writing.told) == 2)
    assert settled.closed == fresh.closed == []
    # Nor where there is no limit.
    writing.most = 0
    newest = writing.join("alice", is_open=False)
    await eventually(lambda: len(writing.told) == 3)
    assert newest.closed == []


async def test_while_redis_is_away_nobody_is_counted(writing: Writing) -> None:
    writing.most = 1
    writing.store.away = True
    sockets = [writing.join("alice", is_open=False) for _ in range(3)]
    await eventually(lambda: len(writing.told) == 3)
    assert all(not socket.closed for socket in sockets)

"""The Hub: who gets what, in which order, in how many writes."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.clients.frames import Message, text_frame
from service.clients.hub import Hub
from service.clients.row import Socket
from tests.service.fake_sockets import FakeSocket


class Turns:
    """An event loop of which the test makes each turn."""

    def __init__(self) -> None:
        self._soon: list[Callable[[], Any]] = []

    def call_soon(self, callback: Callable[[], Any]) -> None:
        self._soon.append(callback)

    def end(self) -> int:
        """End the turn; gives how many callbacks had been asked for."""
        soon, self._soon = self._soon, []
        for callback in soon:
            callback()
        return len(soon)


class HubUnderTest(Hub):
    """A Hub with its turns in the hands of the test."""

    def __init__(self, *, direct: bool = True) -> None:
        self.turns = Turns()
        self.changes: list[str] = []
        self._direct = direct
        super().__init__(self.turns, self.changes.append)  # type: ignore[arg-type]  # all it calls

    def join(self, user: str, *, is_open: bool = True, **how: Any) -> FakeSocket:
        socket = FakeSocket(user, is_open=False, **how)
        self.add(socket)
        if is_open:
            self.let_in(socket)
        return socket

    def let_in(self, socket: FakeSocket) -> None:
        """Open a socket."""
        socket.open, socket.has_direct = True, self._direct
        self.opened(socket)

    def remove(self, socket: Socket) -> None:
        super().remove(socket)
        if isinstance(socket, FakeSocket):
            socket.has_direct = False

    def say(self, text: str, *targets: str) -> int:
        """Deliver a plain string, to everyone when no target is named."""
        message = Message(f"id-{text}", b'"%s"' % text.encode())
        return self.deliver(message, targets or None)


@pytest.fixture(params=[True, False], ids=["direct", "by-transport"])
def hub(request: pytest.FixtureRequest) -> HubUnderTest:
    return HubUnderTest(direct=request.param)


def texts(*words: str) -> bytes:
    return b"".join(text_frame(word.encode()) for word in words)


def test_users_and_sockets_come_and_go(hub: HubUnderTest) -> None:
    first, second, other = hub.join("a"), hub.join("a"), hub.join("b")
    assert len(hub) == 3
    assert set(hub.users) == {"a", "b"}
    assert set(hub.sockets) == {first, second, other}
    assert hub.of_user("a") == (first, second)
    hub.remove(first)
    assert hub.of_user("a") == (second,)
    hub.remove(second)
    hub.remove(second)
    assert hub.of_user("a") == ()
    assert set(hub.users) == {"b"}
    assert hub.changes == ["a", "a", "b", "a", "a"]


def test_nothing_is_written_before_the_turn_ends_and_then_once_per_socket(
    hub: HubUnderTest,
) -> None:
    a, b = hub.join("a"), hub.join("b")
    for number in range(10):
        hub.say(f"m{number}", "a")
    hub.say("x", "b")
    assert (a.writes, b.writes) == ([], [])
    assert hub.turns.end() == 1
    assert a.writes == [texts(*(f"m{number}" for number in range(10)))]
    assert b.writes == [texts("x")]
    # And nothing is left for the next turn.
    assert hub.turns.end() == 0
    hub.say("y", "a")
    hub.turns.end()
    assert a.writes[1:] == [texts("y")]
    assert len(b.writes) == 1


def test_a_single_frame_is_written_as_the_object_that_was_built(hub: HubUnderTest) -> None:
    a, b = hub.join("a"), hub.join("b")
    message = Message("id", b'"x"')
    hub.deliver(message, ["a", "b"])
    hub.turns.end()
    assert a.writes[0] is b.writes[0] is message.raw_frame


def test_a_broadcast_is_joined_once_for_all_sockets_of_a_form(hub: HubUnderTest) -> None:
    raw = [hub.join("a"), hub.join("a"), hub.join("b")]
    cluster = [hub.join("c", cluster_form=True), hub.join("a", cluster_form=True)]
    messages = [Message(f"id-{number}", b"%d" % number) for number in range(3)]
    for message in messages:
        assert hub.deliver(message, None) == 5
    hub.turns.end()
    assert [len(socket.writes) for socket in (*raw, *cluster)] == [1] * 5
    assert raw[0].writes[0] == texts("0", "1", "2")
    assert all(socket.writes[0] is raw[0].writes[0] for socket in raw)
    assert cluster[0].writes[0] == b"".join(message.cluster_frame for message in messages)
    assert cluster[1].writes[0] is cluster[0].writes[0]


def test_every_socket_of_a_target_gets_it_in_its_own_form(hub: HubUnderTest) -> None:
    raw, cluster, other = hub.join("a"), hub.join("a", cluster_form=True), hub.join("b")
    message = Message("id", b'{"x":1}')
    assert hub.deliver(message, ["a", "nobody"]) == 2
    hub.turns.end()
    assert raw.sent == message.raw_frame
    assert cluster.sent == message.cluster_frame
    assert other.writes == []


def test_a_message_for_nobody_here_costs_no_turn(hub: HubUnderTest) -> None:
    hub.join("a")
    assert hub.say("x", "nobody") == 0
    assert hub.turns.end() == 0


@pytest.mark.parametrize("cluster_form", [False, True])
def test_messages_to_all_and_to_one_keep_their_order_within_a_turn(
    hub: HubUnderTest, cluster_form: bool
) -> None:
    a, b = hub.join("a", cluster_form=cluster_form), hub.join("b", cluster_form=cluster_form)
    messages = [Message(f"id-{number}", b"%d" % number) for number in range(7)]
    for number, message in enumerate(messages):
        hub.deliver(message, ["a"] if number in {1, 2, 5} else None)
    hub.turns.end()

    def frames(chosen: list[Message]) -> bytes:
        return b"".join(m.cluster_frame if cluster_form else m.raw_frame for m in chosen)

    assert a.writes == [frames(messages)]
    assert b.writes == [frames([messages[number] for number in (0, 3, 4, 6)])]
    assert (a.seen, b.seen) == (0, 0)


def test_a_socket_gets_nothing_from_before_it_came(hub: HubUnderTest) -> None:
    early = hub.join("a")
    hub.say("before")
    late = hub.join("a")
    hub.say("after")
    hub.say("mine", "a")
    hub.say("last")
    hub.turns.end()
    assert early.sent == texts("before", "after", "mine", "last")
    assert late.sent == texts("after", "mine", "last")
    hub.say("next")
    hub.turns.end()
    assert late.writes[1:] == [texts("next")]


def test_nothing_is_written_to_a_socket_before_it_opens(hub: HubUnderTest) -> None:
    socket = hub.join("a", is_open=False)
    hub.say("one")
    hub.turns.end()
    hub.say("two", "a")
    hub.say("three")
    hub.turns.end()
    assert socket.writes == []
    hub.let_in(socket)
    assert socket.writes == []
    hub.turns.end()
    assert socket.writes == [texts("one", "two", "three")]
    assert socket.queue is None


def test_a_socket_that_opens_in_mid_turn_keeps_the_order(hub: HubUnderTest) -> None:
    socket = hub.join("a", is_open=False)
    hub.say("1", "a")
    hub.say("2")
    hub.let_in(socket)
    hub.say("3", "a")
    hub.say("4")
    hub.turns.end()
    assert socket.writes == [texts("1", "2", "3", "4")]


def test_a_socket_that_opens_with_nothing_waiting_misses_nothing(hub: HubUnderTest) -> None:
    hub.say("before")
    socket = hub.join("a", is_open=False)
    hub.say("1")
    hub.let_in(socket)
    hub.turns.end()
    assert socket.writes == [texts("1")]
    idle = hub.join("b", is_open=False)
    hub.let_in(idle)
    assert hub.turns.end() == 0


def test_a_socket_removed_before_the_turn_ends_gets_nothing_more(hub: HubUnderTest) -> None:
    leaver, stayer = hub.join("a"), hub.join("a")
    hub.say("mine", "a")
    hub.say("all")
    leaver.close(1000, "")
    hub.remove(leaver)
    hub.turns.end()
    assert leaver.writes == []
    assert stayer.writes == [texts("mine", "all")]


class Leaver(FakeSocket):
    """Ends, with whom it is told to, as soon as it is written to."""

    def __init__(self, hub: HubUnderTest, user: str) -> None:
        super().__init__(user, is_open=False)
        self._hub = hub
        self.takes_along: list[FakeSocket] = []
        hub.add(self)
        hub.let_in(self)
        # Not even the first byte is taken.
        self.room = 0

    def write(self, data: bytes) -> None:
        super().write(data)
        self._leave()

    def write_rest(self, data: bytes, sent: int) -> None:
        super().write_rest(data, sent)
        self._leave()

    def _leave(self) -> None:
        for socket in (self, *self.takes_along):
            socket.close(4008, "")
            self._hub.remove(socket)


@pytest.mark.parametrize("targets", [(), ("a", "b", "c")])
def test_a_socket_that_ends_while_it_is_written_to_harms_no_other(
    hub: HubUnderTest, targets: tuple[str, ...]
) -> None:
    before = hub.join("a")
    leaver = Leaver(hub, "b")
    victim, after = hub.join("b"), hub.join("c")
    leaver.takes_along = [victim]
    hub.say("1", *targets)
    hub.say("2", *targets)
    hub.turns.end()
    assert before.writes == after.writes == leaver.writes == [texts("1", "2")]
    # What goes directly has gone before anybody finds out that another cannot be written to.
    assert victim.writes in ([], [texts("1", "2")])
    written = list(victim.writes)
    hub.say("3", *targets)
    hub.turns.end()
    assert before.writes[1:] == after.writes[1:] == [texts("3")]
    assert leaver.writes[1:] == []
    assert victim.writes == written
    assert set(hub.sockets) == {before, after}


async def test_the_turn_is_one_of_the_event_loop() -> None:
    hub = Hub(asyncio.get_running_loop(), lambda _: None)
    socket = FakeSocket("a")
    hub.add(socket)
    hub.deliver(Message("id", b"1"), None)
    hub.deliver(Message("id", b"2"), ["a"])
    assert socket.writes == []
    await asyncio.sleep(0)
    assert socket.writes == [texts("1", "2")]


# The direct way.


@pytest.mark.parametrize("cluster_form", [False, True])
def test_a_message_to_everyone_goes_past_the_transports(cluster_form: bool) -> None:
    hub = HubUnderTest()
    sockets = [hub.join("a", cluster_form=cluster_form) for _ in range(3)]
    hub.say("1")
    hub.say("2")
    hub.turns.end()
    assert [socket.directly for socket in sockets] == [1, 1, 1]


@pytest.mark.parametrize("room", [0, 1, 2])
def test_what_the_system_does_not_take_is_left_to_the_transport_and_nothing_overtakes_it(
    room: int,
) -> None:
    hub = HubUnderTest()
    slow, other = hub.join("a"), hub.join("a")
    slow.room = room
    hub.say("1")
    hub.turns.end()
    assert slow.paused
    slow.room = None
    hub.say("2")
    hub.say("3", "a")
    hub.turns.end()
    hub.say("4")
    hub.turns.end()
    assert slow.directly == 1
    assert slow.writes == other.writes == [texts("1"), texts("2", "3"), texts("4")]
    slow.resume()
    hub.say("5")
    hub.turns.end()
    assert slow.directly == 2
    assert slow.sent == other.sent == texts("1", "2", "3", "4", "5")


def test_a_socket_that_is_slow_as_it_opens_or_leaves_is_like_any_other() -> None:
    hub = HubUnderTest()
    early = hub.join("a", is_open=False)
    early.paused = True
    hub.let_in(early)
    late = hub.join("a")
    late.pause()
    hub.say("1")
    hub.turns.end()
    assert (early.directly, late.directly) == (0, 0)
    assert early.writes == late.writes == [texts("1")]
    hub.remove(late)
    early.resume()
    hub.say("2")
    hub.turns.end()
    assert (early.directly, late.directly) == (1, 0)
    assert early.sent == texts("1", "2")


# Rows.


@pytest.fixture
def small_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.clients.hub.ROW", 3)


@pytest.mark.usefixtures("small_rows")
def test_a_turn_writes_to_some_sockets_and_later_messages_join_what_still_waits(
    hub: HubUnderTest,
) -> None:
    sockets = [hub.join(str(number)) for number in range(9)]
    hub.say("1")
    hub.say("2")
    assert hub.turns.end() == 1
    assert [len(socket.writes) for socket in sockets] == [1] * 3 + [0] * 6
    hub.say("3")
    hub.say("4", "0", "8")
    hub.say("5")
    while hub.turns.end():
        pass
    first, last = texts("1", "2"), texts("3", "5")
    assert sockets[0].writes == [first, texts("3", "4", "5")]
    assert sockets[1].writes == [first, last]
    assert sockets[4].writes == [first + last]
    assert sockets[8].writes == [first + texts("3", "4", "5")]


@pytest.mark.usefixtures("small_rows")
def test_few_messages_to_many_rows_go_in_one_turn(hub: HubUnderTest) -> None:
    sockets = [hub.join(str(number)) for number in range(30)]
    hub.say("1", "0", "15", "29")
    assert hub.turns.end() == 1
    assert [socket.sent for socket in (sockets[0], sockets[15], sockets[29])] == [texts("1")] * 3
    assert hub.turns.end() == 0


@pytest.mark.usefixtures("small_rows")
def test_rows_are_filled_again_and_dropped_when_they_are_empty(hub: HubUnderTest) -> None:
    sockets = [hub.join("a") for _ in range(9)]
    for socket in (*sockets[:3], sockets[4], sockets[8]):
        hub.remove(socket)
    assert len(hub) == len(hub.sockets) == 4
    sockets = [*hub.sockets, hub.join("b"), hub.join("b")]  # type: ignore[list-item]  # our own
    assert hub.say("1") == 6
    assert hub.turns.end() == hub.turns.end() == 1
    assert hub.turns.end() == 0
    assert [socket.sent for socket in sockets] == [texts("1")] * 6


@pytest.mark.usefixtures("small_rows")
def test_a_fault_in_one_turn_leaves_the_others(hub: HubUnderTest) -> None:
    class Faulty(FakeSocket):
        def write(self, _: bytes) -> None:
            raise RuntimeError

    faulty = Faulty("a")
    hub.add(faulty)
    others = [hub.join("b") for _ in range(5)]
    hub.say("1")
    with pytest.raises(RuntimeError):
        hub.turns.end()
    hub.turns.end()
    hub.remove(faulty)
    hub.say("2")
    while hub.turns.end():
        pass
    assert [socket.sent for socket in others[2:]] == [texts("1", "2")] * 3


ACTIONS = st.one_of(
    st.tuples(st.just("say"), st.none() | st.sets(st.sampled_from("abc"), min_size=1)),
    st.tuples(
        st.just("join"),
        st.sampled_from([("a", True, False), ("a", False, True), ("b", False, False)]),
    ),
    st.tuples(st.just("open"), st.integers(0, 9)),
    st.tuples(st.just("leave"), st.integers(0, 9)),
    st.tuples(st.just("narrow"), st.tuples(st.integers(0, 9), st.integers(0, 9))),
    st.tuples(st.just("pause"), st.integers(0, 9)),
    st.tuples(st.just("resume"), st.integers(0, 9)),
    st.tuples(st.just("turn"), st.none()),
)


class Crowd:
    """Does one thing after another at a Hub, and keeps what each socket should have got."""

    def __init__(self) -> None:
        self.hub = HubUnderTest()
        self.expected: dict[FakeSocket, list[bytes]] = {}
        self._count = 0

    def say(self, targets: set[str] | None) -> None:
        self._count += 1
        found = [s for s in self.expected if targets is None or s.user in targets]
        message = Message("id", b'"m%d"' % self._count)
        assert self.hub.deliver(message, targets) == len(found)
        for socket in found:
            frame = message.cluster_frame if socket.cluster_form else message.raw_frame
            self.expected[socket].append(frame)

    def join(self, how: tuple[str, bool, bool]) -> None:
        socket = self.hub.join(how[0], is_open=how[1], cluster_form=how[2])
        self.expected[socket] = []

    def turn(self, _: None = None) -> int:
        before = {socket: len(socket.writes) for socket in self.expected}
        count = self.hub.turns.end()
        assert all(len(socket.writes) <= before[socket] + 1 for socket in before)
        return count

    def open(self, number: int) -> None:
        if (socket := self._at(number)) is not None and not socket.open:
            self.hub.let_in(socket)

    def narrow(self, how: tuple[int, int]) -> None:
        if (socket := self._at(how[0])) is not None:
            socket.room = how[1]

    def pause(self, number: int) -> None:
        if (socket := self._at(number)) is not None:
            socket.pause()

    def resume(self, number: int) -> None:
        if (socket := self._at(number)) is not None:
            socket.room = None
            socket.resume()

    def leave(self, number: int) -> None:
        if (socket := self._at(number)) is not None:
            del self.expected[socket]
            socket.close(1000, "")
            self.hub.remove(socket)

    def _at(self, number: int) -> FakeSocket | None:
        if not self.expected:
            return None
        return list(self.expected)[number % len(self.expected)]


@pytest.mark.parametrize("row", [2, 1000])
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(actions=st.lists(ACTIONS, max_size=40))
def test_every_socket_gets_what_came_while_it_was_here_in_order_in_one_write_a_turn(
    actions: list[tuple[str, Any]], row: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.clients.hub.ROW", row)
    crowd = Crowd()
    for name, what in actions:
        getattr(crowd, name)(what)
    for number in range(len(crowd.expected)):
        crowd.open(number)
    while crowd.turn():
        pass
    assert len(crowd.hub) == len(crowd.hub.sockets) == len(crowd.expected)
    for socket, frames in crowd.expected.items():
        assert socket.sent == b"".join(frames)
        assert (socket.queue, socket.seen) == (None, 0)

"""Pushes are in the history before they go out, or they have failed."""

import pytest

from service.broker.notes import Notes
from service.history.recorder import NOT_KEPT, Recorder, without_history
from service.history.settings import HistorySection
from service.push.answers import Accepted, PushesFailedError, Result, Waiting
from service.push.push import Push, read_push, write_push
from tests.service.fake_history import FakeHistoryStore


class Results:
    """Who waits for results."""

    def __init__(self) -> None:
        self.results: dict[int, Result] = {}

    def take(self, place: int, result: Result) -> None:
        self.results[place] = result


@pytest.fixture
def store() -> FakeHistoryStore:
    return FakeHistoryStore()


async def test_pushes_get_their_positions_and_keep_their_other_notes(
    store: FakeHistoryStore,
) -> None:
    results = Results()
    pushes = [
        Push("p1", b"1", ("alice", "bob"), keep=True),
        Push("p2", b"2", None, notes=Notes(report="a-node")),
        Push("p3", b"3", ("bob",)),
    ]
    batch = [Waiting(push, results, place) for place, push in enumerate(pushes)]
    recorded = await Recorder(store, HistorySection).record(batch)
    assert [(w.push.id, w.place, w.answer) for w in recorded] == [
        (push.id, place, results) for place, push in enumerate(pushes)
    ]
    ends = {stream: [at for at, _ in entries] for stream, entries in store.streams.items()}
    assert [w.push.notes for w in recorded] == [
        Notes({"alice": ends["alice"][0], "bob": ends["bob"][0]}, "", store.data_set, keep=True),
        Notes(ends[None][0], "a-node", store.data_set),
        Notes({"bob": ends["bob"][1]}, "", store.data_set),
    ]
    assert set(store.pointers) == {"alice", "bob"}
    assert not results.results
    # The other nodes read what was written.
    for waiting in recorded:
        assert read_push(write_push(waiting.push), waiting.push.id).notes == waiting.push.notes


async def test_a_push_that_an_earlier_try_has_appended_is_appended_once(
    store: FakeHistoryStore,
) -> None:
    store.tries["request"] = {}
    results = Results()
    tried = Push("p1", b"1", ("alice", "bob"), tries="request")
    to_all = Push("p2", b"2", None, tries="request")
    plain = Push("p3", b"3", ("alice",))
    recorder = Recorder(store, HistorySection)
    first = await recorder.record([Waiting(push, results) for push in (tried, to_all, plain)])
    # Another node, another time: the same request, among others.
    again = await recorder.record([Waiting(push, results) for push in (plain, to_all, tried)])
    assert [w.push.notes for w in again[1:]] == [w.push.notes for w in (first[1], first[0])]
    assert again[0].push.notes != first[2].push.notes
    assert [item.id for _, item in store.streams["alice"]] == ["p1", "p3", "p3"]
    assert [item.id for _, item in store.streams["bob"]] == ["p1"]
    assert [item.id for _, item in store.streams[None]] == ["p2"]


async def test_without_redis_they_fail(store: FakeHistoryStore) -> None:
    results = Results()
    store.away = True
    batch = [Waiting(Push(f"p{n}", b"1", ("alice",)), results, n) for n in range(3)]
    assert await Recorder(store, HistorySection).record(batch) == []
    assert results.results.keys() == {0, 1, 2}
    for result in results.results.values():
        assert isinstance(result, PushesFailedError)
        assert "Redis at fake:6379" in str(result)
        assert not isinstance(result, Accepted)


def test_what_asks_to_be_kept_is_refused_without_a_history() -> None:
    kept, other = Push("a", b"1", ("alice",), keep=True), Push("b", b"1", ("alice",))
    assert without_history([kept, NOT_KEPT, other]) == [NOT_KEPT, NOT_KEPT, other]
    assert NOT_KEPT.field == "keepForOffline"

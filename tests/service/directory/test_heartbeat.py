"""The node record is refreshed by cron, by a watchdog, and at once when something changes."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from nacos_boot.config.live import LiveSettings
from service.directory import heartbeat
from service.directory.directory import Directory, Keys
from service.directory.heartbeat import Heartbeat
from service.directory.node_record import NodeRecord, read_record
from service.directory.redis_store import StoreError
from service.settings import NodeSettings
from tests.service.fake_servers import FakeStore
from tests.waiting import eventually

KEYS = Keys("test:")
NEVER = "0 0 * * * *"
"""Once an hour: what beats in a test is something else."""


def settings(cron: str = NEVER, ttl: str = "2h", mode: str = "fanout") -> NodeSettings:
    return NodeSettings.model_validate(
        {"websocket": {"node": {"heartbeat-cron": cron, "ttl": ttl}, "push": {"mode": mode}}}
    )


class BeatingStore(FakeStore):
    """Notes each beat: its TTL in seconds, and the record."""

    def __init__(self) -> None:
        super().__init__()
        self.beats: list[tuple[float, NodeRecord]] = []

    async def beat(
        self, key: str, record: bytes, ttl: timedelta, index: str, node: str
    ) -> tuple[bool, str]:
        answer = await super().beat(key, record, ttl, index, node)
        found = read_record(record)
        assert found is not None
        self.beats.append((ttl.total_seconds(), found))
        return answer


class Beating:
    """A Heartbeat at work."""

    def __init__(self) -> None:
        self.store = BeatingStore()
        self.live = LiveSettings(settings())
        self.caught_up = True
        self.directory = Directory(
            self.store,  # type: ignore[arg-type]  # held to the real one in tests/contract
            KEYS,
            "n1",
            expected=lambda: ["n1"],
            lost=lambda: None,
        )
        self.heartbeat = Heartbeat(self.live, self.directory, self.record)
        self.live.subscribe(self.heartbeat.settings_changed)
        self.tasks: list[asyncio.Task[None]] = []

    def record(self) -> NodeRecord:
        run_id = self.directory.run_id if self.caught_up else ""
        mode = self.live.current.websocket.push.mode
        return NodeRecord("n1", "", "", 0, 0, 0, 0, mode, "", "", run_id)

    async def start(self) -> None:
        await self.heartbeat.start()
        self.tasks.append(asyncio.create_task(self.heartbeat.watch()))

    @property
    def beats(self) -> int:
        return len(self.store.beats)

    @property
    def written(self) -> NodeRecord | None:
        return read_record(self.store.texts.get(KEYS.node("n1")))


@pytest.fixture
async def beating(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Beating]:
    monkeypatch.setattr(heartbeat, "_LOOK_INTERVAL", 0.01)
    beating = Beating()
    yield beating
    beating.heartbeat.stop()
    for task in beating.tasks:
        assert not task.done()
        task.cancel()
    await asyncio.gather(*beating.tasks, return_exceptions=True)


def looks(beating: Beating) -> int:
    return beating.store.commands.count("members")


async def test_the_first_beat_is_made_by_the_start(beating: Beating) -> None:
    await beating.heartbeat.start()
    assert beating.beats == 1
    ttl, record = beating.store.beats[0]
    assert ttl == 7200
    # It tells already which server holds the entries.
    assert record.run_id == beating.store.run_id
    assert beating.directory.up


async def test_a_start_without_redis_says_so(beating: Beating) -> None:
    beating.store.away = True
    with pytest.raises(StoreError):
        await beating.heartbeat.start()


async def test_cron_beats(beating: Beating) -> None:
    beating.live.swap(settings("* * * * * *", "2s"))
    await beating.heartbeat.start()
    await eventually(lambda: beating.beats >= 2, limit=3)
    assert {ttl for ttl, _ in beating.store.beats} == {2.0}


async def test_a_new_cron_is_in_force_at_once_and_leaves_no_gap(beating: Beating) -> None:
    await beating.start()
    beating.live.swap(settings("* * * * * *", "3s"))
    # The record lives by the new TTL before the new cron has fired.
    await eventually(lambda: beating.beats == 2, limit=0.5)
    assert beating.store.beats[-1][0] == 3.0
    await eventually(lambda: beating.beats >= 3, limit=2)
    beating.live.swap(settings())
    await eventually(lambda: beating.store.beats[-1][0] == 7200)
    [job] = beating.heartbeat._scheduler.get_jobs()
    assert "minute='0', second='0'" in str(job.trigger)


async def test_a_new_ttl_or_mode_is_written_at_once(beating: Beating) -> None:
    await beating.heartbeat.start()
    beating.live.swap(settings(ttl="3h"))
    await eventually(lambda: beating.beats == 2)
    assert beating.store.beats[-1][0] == 10_800
    beating.live.swap(settings(ttl="3h", mode="routed"))
    await eventually(lambda: beating.beats == 3)
    assert beating.store.beats[-1][1].mode == "routed"


async def test_other_settings_cause_no_beat(beating: Beating) -> None:
    await beating.start()
    changed = settings().model_dump(by_alias=True)
    changed["websocket"]["limits"]["max-connections"] = 5
    beating.live.swap(NodeSettings.model_validate(changed))
    before = looks(beating)
    await eventually(lambda: looks(beating) > before + 3)
    assert beating.beats == 1


async def test_settings_that_change_before_the_start_are_started_with(
    beating: Beating, caplog: pytest.LogCaptureFixture
) -> None:
    beating.live.swap(settings(ttl="4h"))
    await beating.heartbeat.start()
    assert [ttl for ttl, _ in beating.store.beats] == [14_400]
    assert caplog.records == []


async def test_an_overdue_beat_is_made_by_the_watchdog(beating: Beating) -> None:
    # As when the wall clock was set back, by which the scheduler waits.
    await beating.start()
    before = looks(beating)
    await eventually(lambda: looks(beating) > before + 3)
    assert beating.beats == 1
    beating.heartbeat._beaten_at -= 7200 * 0.8
    await eventually(lambda: beating.beats == 2)
    before = looks(beating)
    await eventually(lambda: looks(beating) > before + 3)
    assert beating.beats == 2


async def test_an_outage_is_waited_for_and_made_up_for_at_once(
    beating: Beating, caplog: pytest.LogCaptureFixture
) -> None:
    await beating.start()
    beating.store.away = True
    await eventually(lambda: not beating.directory.up)
    # Cron and settings go on, and nothing breaks.
    await beating.heartbeat.beat()
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    beating.store.restart()
    beating.store.away = False
    await eventually(lambda: beating.beats == 2)
    assert beating.written is not None
    assert beating.written.run_id == beating.store.run_id
    await eventually(lambda: beating.directory.up)


async def test_after_a_short_outage_the_record_is_written_at_once(beating: Beating) -> None:
    # It may have expired, and the next beat by cron may be long off.
    await beating.start()
    beating.store.away = True
    await eventually(lambda: not beating.directory.up)
    beating.store.away = False
    await eventually(lambda: beating.beats == 2)
    before = looks(beating)
    await eventually(lambda: looks(beating) > before + 3)
    assert beating.beats == 2


async def test_the_record_says_at_once_when_the_entries_are_written_again(
    beating: Beating,
) -> None:
    await beating.start()
    beating.caught_up = False
    await eventually(lambda: beating.store.beats[-1][1].run_id == "")
    beating.caught_up = True
    await eventually(lambda: beating.store.beats[-1][1].run_id == beating.store.run_id)
    assert beating.beats == 3


async def test_after_the_end_no_record_comes_back(
    beating: Beating, caplog: pytest.LogCaptureFixture
) -> None:
    await beating.start()
    beating.heartbeat.stop()
    await beating.directory.forget()
    # Whatever would have caused a beat.
    beating.heartbeat._beaten_at -= 10_000
    beating.caught_up = False
    beating.live.swap(settings("* * * * * *", "3s", "routed"))
    await beating.heartbeat.beat()
    before = looks(beating)
    await eventually(lambda: looks(beating) > before + 3)
    assert beating.beats == 1
    assert beating.written is None
    assert caplog.records == []
    beating.heartbeat.stop()


async def test_one_record_is_written_however_many_users_there_are(beating: Beating) -> None:
    await beating.heartbeat.start()
    await beating.directory.write_homes({f"u{number}": b"1" for number in range(1000)})
    beating.store.commands.clear()
    await beating.heartbeat.beat()
    await beating.directory.look()
    assert beating.store.commands == ["beat", "members", "get_many"]

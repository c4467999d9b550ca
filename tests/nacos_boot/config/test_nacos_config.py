"""Live configuration against the fake Nacos: what is applied, what is refused, what stays."""

import asyncio
import logging
import random
import re
import shutil
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Self

import pytest
from pydantic import model_validator

from nacos_boot.config import nacos_config as config_module
from nacos_boot.config import reader as config_reader
from nacos_boot.config.nacos_config import ConfigState, NacosConfig
from nacos_boot.nacos.error import NacosForbiddenError
from nacos_boot.start.startup import StartError
from tests.fakes.nacos import FakeNacos, FakeNacosClient
from tests.nacos_boot.samples import BOOTSTRAP, DemoSettings, bootstrap
from tests.waiting import eventually

OFTEN = "--spring.cloud.nacos.config.watchdog-interval=10ms"


@pytest.fixture
def nacos() -> FakeNacos:
    server = FakeNacos()
    server.publish("demo.yml", "demo: {mode: slow}")
    return server


@pytest.fixture
def new(nacos: FakeNacos, tmp_path: Path) -> Callable[..., NacosConfig[DemoSettings]]:
    """Make the configuration of a program; several calls share the folder of the snapshot."""

    def make(*arguments: str, password: str = "nacos", **environ: str) -> NacosConfig[DemoSettings]:
        start = bootstrap(tmp_path, *arguments, environ=environ)
        return NacosConfig(DemoSettings, start, FakeNacosClient(nacos, password))

    return make


New = Callable[..., NacosConfig[DemoSettings]]


@asynccontextmanager
async def watched(config: NacosConfig[DemoSettings]) -> AsyncIterator[NacosConfig[DemoSettings]]:
    await config.load()
    watch = asyncio.create_task(config.watch())
    try:
        yield config
        assert not watch.done()
    finally:
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)


def mode(config: NacosConfig[DemoSettings]) -> str:
    return config.live.current.demo.mode


async def test_the_first_load(nacos: FakeNacos, new: New) -> None:
    config = new()
    live = await config.load()
    assert live.current.demo.mode == "slow"
    assert config.state.md5
    assert config.state.applied_at > 0
    assert (config.state.error, config.state.unreachable, config.state.snapshot_age) == (None,) * 3


async def test_precedence(nacos: FakeNacos, new: New) -> None:
    nacos.publish("demo.yml", "{}")
    rising = ["common.yml", "fixed.yml", "extension.yml", "demo.yml", "demo-eu.yml", "demo-dev.yml"]
    found = []
    for height, data_id in enumerate(rising):
        nacos.publish(data_id, f"server.port: {height}")
        found.append((await new("--spring.profiles.active=eu,dev").load()).current.server.port)
    assert found == list(range(len(rising)))
    environ = {"SPRING_PROFILES_ACTIVE": "eu,dev", "SERVER_PORT": "7"}
    assert (await new(**environ).load()).current.server.port == 7
    assert (await new("--server.port=8", **environ).load()).current.server.port == 8


async def test_the_local_file_is_below_every_document(nacos: FakeNacos, tmp_path: Path) -> None:
    text = f"{BOOTSTRAP}\nserver: {{port: 1, address: local}}"
    nacos.publish("common.yml", "server.port: 2")
    start = bootstrap(tmp_path, text=text)
    settings = (await NacosConfig(DemoSettings, start, FakeNacosClient(nacos)).load()).current
    assert settings.server.port == 2
    assert settings.server.address == "local"


async def test_a_start_without_the_required_document(nacos: FakeNacos, new: New) -> None:
    nacos.remove("demo.yml")
    nacos.publish("common.yml", "demo: {mode: fast}")
    with pytest.raises(StartError) as caught:
        await new().load()
    assert "has no data id 'demo.yml' in group 'DEFAULT_GROUP', namespace 'public'" in str(
        caught.value
    )
    assert "fake:8848" in str(caught.value)
    assert "spring.cloud.nacos.config" in str(caught.value)


async def test_a_start_with_a_document_that_comes_within_the_window(
    nacos: FakeNacos, new: New
) -> None:
    nacos.remove("demo.yml")
    config = new("--spring.cloud.nacos.start-timeout=30s")
    loading = asyncio.create_task(config.load())
    await eventually(lambda: "demo.yml" in nacos.reads)
    nacos.publish("demo.yml", "demo: {mode: fast}")
    assert (await loading).current.demo.mode == "fast"


async def test_a_missing_document_is_not_made_up_for_by_the_snapshot(
    nacos: FakeNacos, new: New
) -> None:
    await new().load()
    nacos.remove("demo.yml")
    with pytest.raises(StartError, match=r"has no data id 'demo\.yml'"):
        await new().load()


async def test_a_start_with_bad_settings_names_them(nacos: FakeNacos, new: New) -> None:
    nacos.publish("demo.yml", "demo: {mode: sideways, interval: 0s}")
    with pytest.raises(StartError) as caught:
        await new().load()
    assert caught.value.final
    assert "the settings in Nacos are not valid" in str(caught.value)
    assert "demo.yml, line 1: demo.mode = 'sideways'" in str(caught.value)
    assert "demo.yml, line 1: demo.interval = '0s'" in str(caught.value)


async def test_a_start_names_every_document_that_cannot_be_read(nacos: FakeNacos, new: New) -> None:
    nacos.publish("demo.yml", "a: 1\na: 2")
    nacos.publish("common.yml", "a:\n\tb: 1")
    with pytest.raises(StartError) as caught:
        await new().load()
    assert "demo.yml, line 2: a = (text): the key 'a' stands twice" in str(caught.value)
    assert "common.yml, line 2: the document = (text): a tab" in str(caught.value)


async def test_a_document_of_another_group_is_named_with_it(
    nacos: FakeNacos, tmp_path: Path
) -> None:
    text = BOOTSTRAP.replace("data-id: common.yml,", "data-id: common.yml, group: TEAM,")
    nacos.publish("common.yml", "demo: {interval: soon}", "TEAM")
    with pytest.raises(StartError, match=r"TEAM/common\.yml, line 1: demo\.interval"):
        await NacosConfig(
            DemoSettings, bootstrap(tmp_path, text=text), FakeNacosClient(nacos)
        ).load()


async def test_a_start_while_nacos_is_away_and_there_is_no_snapshot(
    nacos: FakeNacos, new: New
) -> None:
    nacos.up = False
    with pytest.raises(StartError, match="nobody answers at fake:8848"):
        await new().load()


async def test_a_start_with_a_wrong_password_does_not_take_the_snapshot(
    nacos: FakeNacos, new: New
) -> None:
    await new().load()
    with pytest.raises(StartError, match="username and password"):
        await new(password="wrong").load()


async def test_a_start_that_is_forbidden_does_not_take_the_snapshot(
    nacos: FakeNacos, tmp_path: Path, new: New
) -> None:
    await new().load()

    class Forbidden(FakeNacosClient):
        async def get_config(self, data_id: str, group: str) -> str | None:
            raise NacosForbiddenError(f"forbids the user 'demo' to read {group}/{data_id}")

    with pytest.raises(StartError, match=r"forbids the user .* check the permissions of spring"):
        await NacosConfig(DemoSettings, bootstrap(tmp_path), Forbidden(nacos)).load()


async def test_a_start_from_the_snapshot_and_catching_up(
    nacos: FakeNacos, new: New, caplog: pytest.LogCaptureFixture
) -> None:
    await new().load()
    nacos.publish("demo.yml", "demo: {mode: fast}")
    nacos.up = False
    async with watched(new(OFTEN)) as config:
        assert mode(config) == "slow"
        assert config.state.snapshot_age is not None
        assert 0 <= config.state.snapshot_age < 60
        assert re.search(r"starting from the snapshot .*demo@public\.json, \d+ s old", caplog.text)
        await eventually(lambda: config.state.unreachable)
        nacos.up = True
        await eventually(lambda: mode(config) == "fast")
        assert config.state.snapshot_age is None
        assert config.state.unreachable is None
        # From here on the listener works as after any start.
        nacos.publish("demo.yml", "demo: {mode: slow}")
        await eventually(lambda: mode(config) == "slow")


async def test_after_a_start_from_the_snapshot_every_document_is_read_again(
    nacos: FakeNacos, new: New
) -> None:
    nacos.publish("fixed.yml", "server.port: 1")
    await new().load()
    nacos.publish("fixed.yml", "server.port: 2")
    nacos.up = False
    async with watched(new(OFTEN)) as config:
        assert config.live.current.server.port == 1
        nacos.up = True
        await eventually(lambda: config.state.snapshot_age is None)
        assert config.live.current.server.port == 2
        # From here on it is one that does not refresh.
        nacos.publish("fixed.yml", "server.port: 3")
        nacos.publish("demo.yml", "demo: {mode: fast}")
        await eventually(lambda: mode(config) == "fast")
        assert config.live.current.server.port == 2


async def test_nacos_is_not_asked_where_configuration_from_it_is_switched_off(
    nacos: FakeNacos, new: New, tmp_path: Path
) -> None:
    nacos.up = False
    async with watched(new("--spring.cloud.nacos.config.enabled=false", OFTEN)) as config:
        assert mode(config) == "slow"
        assert await config.refresh() == []
        assert config.state.faults == ()
    assert nacos.reads == []
    assert not (tmp_path / "snapshots").exists()


async def test_no_start_from_the_snapshot_where_it_is_switched_off(
    nacos: FakeNacos, new: New, tmp_path: Path
) -> None:
    off = "--spring.cloud.nacos.config.snapshot=false"
    await new(off).load()
    assert not (tmp_path / "snapshots").exists()
    await new().load()
    nacos.up = False
    with pytest.raises(StartError, match="nobody answers"):
        await new(off).load()


async def test_a_snapshot_that_does_not_fit_the_settings_is_named(
    nacos: FakeNacos, new: New
) -> None:
    await new().load()
    nacos.up = False
    with pytest.raises(
        StartError, match=r"settings in .*demo@public\.json are not valid: .*server"
    ):
        await new(SERVER_PORT="many").load()


async def test_a_change_is_applied_as_it_is_published(
    nacos: FakeNacos, new: New, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with watched(new()) as config:
        before = config.state
        told: list[tuple[str, str]] = []
        states: list[ConfigState] = []
        config.live.subscribe(lambda old, new: told.append((old.demo.mode, new.demo.mode)))
        taken_over: list[float] = []
        config.live.subscribe(lambda _old, _new: taken_over.append(time.time()))
        config.observe(states.append)
        nacos.publish("demo.yml", "demo: {mode: fast, password: hunter2}")
        await eventually(lambda: mode(config) == "fast")
        assert told == [("slow", "fast")]
        assert states == [config.state]
        assert config.state.md5 != before.md5
        # Not before every component has taken it over.
        assert config.state.applied_at >= taken_over[0]
        assert (
            "settings changed: demo.mode: 'slow' -> 'fast' (demo.yml),"
            " demo.password: (unset) -> ****** (demo.yml)"
        ) in caplog.text
        assert "hunter2" not in caplog.text


async def test_the_md5_is_that_of_the_documents_in_force(nacos: FakeNacos, new: New) -> None:
    async with watched(new()) as config:
        first, documents = config.state.md5, dict(config.document_md5s)
        nacos.publish("demo.yml", "demo: {mode: fast}")
        await eventually(lambda: config.state.md5 != first)
        nacos.publish("demo.yml", "demo: {mode: slow}")
        await eventually(lambda: config.state.md5 == first)
        assert dict(config.document_md5s) == documents
    other = new()
    await other.load()
    assert other.state.md5 == first


async def test_documents_that_appear_are_applied(nacos: FakeNacos, new: New) -> None:
    async with watched(new()) as config:
        nacos.publish("common.yml", "server.port: 1")
        await eventually(lambda: config.live.current.server.port == 1)
        nacos.publish("extension.yml", "server.port: 2")
        await eventually(lambda: config.live.current.server.port == 2)


async def test_a_shared_document_without_refresh_is_not_applied_again(
    nacos: FakeNacos, new: New
) -> None:
    nacos.publish("fixed.yml", "server.port: 1")
    async with watched(new()) as config:
        nacos.publish("fixed.yml", "server.port: 2")
        nacos.publish("demo.yml", "demo: {mode: fast}")
        await eventually(lambda: mode(config) == "fast")
        assert config.live.current.server.port == 1
        nacos.remove("fixed.yml")
        nacos.publish("demo.yml", "demo: {mode: slow}")
        await eventually(lambda: mode(config) == "slow")
        assert config.live.current.server.port == 1


BAD = {
    "wrong value": ("demo: {mode: sideways}", "demo.yml, line 1: demo.mode = 'sideways'"),
    "unknown key": (
        "demo: {mod: fast}",
        "demo.yml, line 1: demo.mod = 'fast': this key is not known",
    ),
    "a rule": ("demo: {limits: {warn-at: 100}}", "warn-at 100 must be below max-connections"),
    "no YAML": ("demo: {mode: fast", "demo.yml, line 2: the document = (text): while parsing"),
    "twice": (
        "server.port: 1\nserver.port: 2",
        "line 2: server.port = (text): the key 'server.port' stands twice",
    ),
    "too large": ("#" * 5_000_000, "larger than 1000000 bytes"),
    "placeholder": ("demo: {mode: '${demo.mode}'}", "refers to itself"),
    "comments only": ("# demo: {mode: fast}", "demo.yml: the document = (empty)"),
    "blank": (" \n", "demo.yml: the document = (empty)"),
}


@pytest.mark.parametrize(("content", "words"), BAD.values(), ids=BAD.keys())
async def test_a_bad_document_is_refused_told_once_and_healed(
    nacos: FakeNacos, new: New, caplog: pytest.LogCaptureFixture, content: str, words: str
) -> None:
    async with watched(new(OFTEN)) as config:
        before, md5 = config.live.current, config.state.md5
        told: list[object] = []
        config.live.subscribe(lambda *both: told.append(both))
        nacos.publish("demo.yml", content)
        await eventually(lambda: config.state.error)
        assert words in str(config.state.error)
        reads = len(nacos.reads)
        await eventually(lambda: len(nacos.reads) > reads + 9)
        assert caplog.text.count("is refused, the last good settings stay") == 1
        assert config.live.current is before
        assert config.state.md5 == md5
        assert told == []

        nacos.publish("demo.yml", "demo: {mode: fast}")
        await eventually(lambda: mode(config) == "fast")
        assert config.state.error is None


async def test_a_bad_document_taken_back_is_no_change(nacos: FakeNacos, new: New) -> None:
    async with watched(new()) as config:
        told: list[object] = []
        config.live.subscribe(lambda *both: told.append(both))
        nacos.publish("demo.yml", "demo: {mode: sideways}")
        await eventually(lambda: config.state.error)
        nacos.publish("demo.yml", "demo: {mode: slow}")
        await eventually(lambda: config.state.error is None)
        assert told == []


async def test_a_section_may_be_emptied_in_a_document_that_keeps_its_key(
    nacos: FakeNacos, new: New
) -> None:
    nacos.publish("demo.yml", "demo: {mode: fast}")
    async with watched(new()) as config:
        nacos.publish("demo.yml", "demo:\n  # mode: fast\n")
        await eventually(lambda: mode(config) == "slow")


@pytest.mark.parametrize("data_id", ["demo.yml", "common.yml", "extension.yml"])
async def test_a_deleted_document_never_blanks_a_running_program(
    nacos: FakeNacos, new: New, data_id: str
) -> None:
    nacos.publish(data_id, "demo: {mode: fast}")
    if data_id != "demo.yml":
        nacos.publish("demo.yml", "server: {port: 1}")
    async with watched(new()) as config:
        nacos.remove(data_id)
        await eventually(lambda: config.state.error)
        assert f"{data_id}: the document = (deleted)" in str(config.state.error)
        assert mode(config) == "fast"
        nacos.publish(data_id, "demo: {mode: fast}")
        await eventually(lambda: config.state.error is None)
        assert mode(config) == "fast"


async def test_the_watchdog_finds_a_change_that_nobody_told(nacos: FakeNacos, new: New) -> None:
    nacos.deaf = True
    async with watched(new(OFTEN)) as config:
        nacos.publish("demo.yml", "demo: {mode: fast}")
        await eventually(lambda: mode(config) == "fast")


async def test_what_a_listener_loses_right_after_a_push_is_found_soon(
    nacos: FakeNacos, new: New, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config_module, "SETTLED", 0.1)
    monkeypatch.setattr(config_reader, "SETTLED", 0.1)
    async with watched(new()) as config:
        nacos.publish("demo.yml", "server: {port: 1}")
        nacos.deaf = True
        nacos.publish("demo.yml", "server: {port: 2}")
        await eventually(lambda: config.live.current.server.port == 1)
        await eventually(lambda: config.live.current.server.port == 2, limit=2)


async def test_a_burst_ends_in_the_last_one(nacos: FakeNacos, new: New) -> None:
    async with watched(new()) as config:
        for port in range(1, 201):
            nacos.publish("demo.yml", f"server: {{port: {port}}}")
            if port % 3 == 0:
                await asyncio.sleep(0)
        await eventually(lambda: config.live.current.server.port == 200)


async def test_two_refreshes_at_once_do_not_end_in_the_older_document(
    nacos: FakeNacos, tmp_path: Path
) -> None:
    release = asyncio.Event()

    class Slow(FakeNacosClient):
        async def get_config(self, data_id: str, group: str) -> str | None:
            content = await super().get_config(data_id, group)
            if content == "demo: {mode: fast}":
                await release.wait()
            return content

    config = NacosConfig(DemoSettings, bootstrap(tmp_path), Slow(nacos))
    await config.load()
    nacos.publish("demo.yml", "demo: {mode: fast}")
    nacos.reads.clear()
    first = asyncio.create_task(config.refresh())
    await eventually(lambda: "demo.yml" in nacos.reads)
    nacos.publish("demo.yml", "server: {port: 1}")
    second = asyncio.create_task(config.refresh())
    for _ in range(20):
        await asyncio.sleep(0)
    release.set()
    await asyncio.gather(first, second)
    assert config.live.current.server.port == 1
    assert mode(config) == "slow"


async def test_a_storm_of_edits_pushes_and_late_reads_ends_in_the_last_edit(
    nacos: FakeNacos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config_module, "SETTLED", 0.1)
    monkeypatch.setattr(config_reader, "SETTLED", 0.1)
    chance = random.Random(7)  # noqa: S311 - the same storm every time

    class Late(FakeNacosClient):
        async def get_config(self, data_id: str, group: str) -> str | None:
            content = await super().get_config(data_id, group)
            await asyncio.sleep(chance.choice([0, 0, 0.001, 0.02]))
            return content

    async with watched(
        NacosConfig(DemoSettings, bootstrap(tmp_path, OFTEN), Late(nacos))
    ) as config:
        seen = [0]
        config.live.subscribe(lambda _, new: seen.append(new.server.port))
        refreshes = []
        for port in range(1, 301):
            nacos.deaf = chance.random() < 0.2
            nacos.publish("demo.yml", f"server: {{port: {port}}}")
            if chance.random() < 0.1:
                refreshes.append(asyncio.create_task(config.refresh()))
            await asyncio.sleep(chance.choice([0, 0, 0.002]))
        await eventually(lambda: config.live.current.server.port == 300, limit=3)
        await asyncio.gather(*refreshes)
        await asyncio.sleep(0.3)
        assert config.live.current.server.port == 300
        assert seen == sorted(seen)


async def test_the_watch_ends_at_once_while_nacos_hangs(nacos: FakeNacos, tmp_path: Path) -> None:
    class Hanging(FakeNacosClient):
        hangs = False

        async def get_config(self, data_id: str, group: str) -> str | None:
            content = await super().get_config(data_id, group)
            if self.hangs:
                await asyncio.Event().wait()
            return content

    client = Hanging(nacos)
    config = NacosConfig(DemoSettings, bootstrap(tmp_path, OFTEN), client)
    await config.load()
    tasks = asyncio.all_tasks()
    client.hangs = True
    watch = asyncio.create_task(config.watch())
    reads = len(nacos.reads)
    await eventually(lambda: len(nacos.reads) >= reads + 3)
    watch.cancel()
    async with asyncio.timeout(1):
        await asyncio.gather(watch, return_exceptions=True)
    assert asyncio.all_tasks() <= tasks


class Considered:
    """Settings of which one kind is considered for as long as a test wants."""

    def __init__(self) -> None:
        self.begun, self.end = threading.Event(), threading.Event()
        considered = self

        class Settings(DemoSettings):
            @model_validator(mode="after")
            def _considered(self) -> Self:
                if self.server.port == 1:
                    considered.begun.set()
                    assert considered.end.wait(5), "the event loop was held up"
                return self

        self.model = Settings


LARGE = f"# {'x' * 200_000}\nserver.port: 1"


async def test_a_large_document_does_not_hold_up_the_program(
    nacos: FakeNacos, tmp_path: Path
) -> None:
    considered = Considered()
    async with watched(
        NacosConfig(considered.model, bootstrap(tmp_path), FakeNacosClient(nacos))
    ) as config:
        nacos.publish("demo.yml", LARGE)
        await eventually(considered.begun.is_set)
        assert config.live.current.server.port == 8080
        considered.end.set()
        await eventually(lambda: config.live.current.server.port == 1)
        assert config.state.error is None
        nacos.publish("demo.yml", f"{LARGE}\nserver.port: 2")
        await eventually(lambda: "stands twice" in str(config.state.error))
        assert config.live.current.server.port == 1


@pytest.mark.parametrize("rest", ["", f"\n# {'y' * 200_000}"], ids=["small", "large"])
async def test_what_is_published_while_a_large_document_is_considered_counts(
    nacos: FakeNacos, tmp_path: Path, rest: str
) -> None:
    considered = Considered()
    async with watched(
        NacosConfig(considered.model, bootstrap(tmp_path), FakeNacosClient(nacos))
    ) as config:
        ports: list[int] = []
        config.live.subscribe(lambda _, new: ports.append(new.server.port))
        nacos.publish("demo.yml", LARGE)
        await eventually(considered.begun.is_set)
        nacos.publish("demo.yml", f"server.port: 2{rest}")
        for _ in range(10):
            await asyncio.sleep(0)
        considered.end.set()
        await eventually(lambda: config.live.current.server.port == 2)
        await config.refresh()
        assert ports == [2]


async def test_nacos_away_leaves_the_settings_in_force(
    nacos: FakeNacos, new: New, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with watched(new(OFTEN)) as config:
        nacos.up = False
        await eventually(lambda: config.state.unreachable)
        assert "fake:8848" in str(config.state.unreachable)
        assert mode(config) == "slow"
        nacos.publish("demo.yml", "demo: {mode: fast}")
        nacos.up = True
        await eventually(lambda: mode(config) == "fast")
        assert config.state.unreachable is None
        assert caplog.text.count("the settings in force stay") == 1
        assert "Nacos at fake:8848 answers again" in caplog.text


async def test_an_error_stays_told_while_nacos_is_away(nacos: FakeNacos, new: New) -> None:
    async with watched(new(OFTEN)) as config:
        nacos.publish("demo.yml", "demo: {mode: sideways}")
        await eventually(lambda: config.state.error)
        nacos.up = False
        await eventually(lambda: config.state.unreachable)
        assert config.state.error
        nacos.up = True
        await eventually(lambda: config.state.unreachable is None)
        assert config.state.error


async def test_components_that_raise_do_not_stop_the_others_nor_the_watch(
    nacos: FakeNacos, new: New
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("broken component")

    async with watched(new()) as config:
        told: list[str] = []
        states: list[ConfigState] = []
        config.live.subscribe(broken)
        config.live.subscribe(lambda _old, new: told.append(new.demo.mode))
        config.observe(broken)
        config.observe(states.append)
        nacos.publish("demo.yml", "demo: {mode: fast}")
        await eventually(lambda: told == ["fast"])
        nacos.publish("demo.yml", "demo: {mode: slow}")
        await eventually(lambda: told == ["fast", "slow"])
        await eventually(lambda: len(states) == 2)


async def test_a_check_with_a_bug_refuses_the_change(
    nacos: FakeNacos, new: New, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with watched(new()) as config:

        def broken(*_: object) -> None:
            raise TypeError("a bug in a validator")

        with monkeypatch.context() as patch:
            patch.setattr(DemoSettings, "model_validate", broken)
            nacos.publish("demo.yml", "demo: {mode: fast}")
            await eventually(lambda: config.state.error)
        assert "a bug in a validator" in str(config.state.error)
        assert mode(config) == "slow"
        nacos.publish("demo.yml", "demo: {mode: fast, limits: {}}")
        await eventually(lambda: mode(config) == "fast")


async def test_a_client_with_a_bug_does_not_end_the_watch(
    nacos: FakeNacos, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(FakeNacosClient):
        broken = False

        async def get_config(self, data_id: str, group: str) -> str | None:
            if self.broken:
                raise RuntimeError("a bug in the client")
            return await super().get_config(data_id, group)

    client = Broken(nacos)
    async with watched(NacosConfig(DemoSettings, bootstrap(tmp_path, OFTEN), client)) as config:
        client.broken = True
        await eventually(lambda: "a bug in the client" in caplog.text)
        client.broken = False
        nacos.publish("demo.yml", "demo: {mode: fast}")
        await eventually(lambda: mode(config) == "fast")


async def test_an_edit_of_a_pinned_key_is_reported(
    nacos: FakeNacos, new: New, caplog: pytest.LogCaptureFixture
) -> None:
    async with watched(new(DEMO_MODE="slow")) as config:
        md5 = config.state.md5
        nacos.publish("demo.yml", "demo: {mode: fast}")
        await eventually(lambda: config.state.md5 != md5)
        assert mode(config) == "slow"
        assert "the edit of demo.mode has no effect: the environment pins this key" in caplog.text


async def test_the_snapshot_holds_the_last_good_documents(
    nacos: FakeNacos, new: New, tmp_path: Path
) -> None:
    path = tmp_path / "snapshots" / "demo@public.json"
    async with watched(new()) as config:
        assert path.stat().st_mode & 0o777 == 0o600
        nacos.publish("demo.yml", "demo: {mode: fast}")
        await eventually(lambda: "fast" in path.read_text())
        nacos.publish("demo.yml", "demo: {mode: sideways}")
        await eventually(lambda: config.state.error)
        assert "sideways" not in path.read_text()


async def test_a_snapshot_that_cannot_be_written_is_a_warning_only(
    nacos: FakeNacos, new: New, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with watched(new()) as config:
        shutil.rmtree(tmp_path / "snapshots")
        (tmp_path / "snapshots").write_text("a file where the folder should be")
        nacos.publish("demo.yml", "demo: {mode: fast}")
        await eventually(lambda: mode(config) == "fast")
        assert "demo@public.json cannot be written" in caplog.text
        assert config.state.error is None

"""What a person sees of live configuration: faults, pending restarts, the history of edits."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY

from nacos_boot.config import reader as config_reader
from nacos_boot.config.nacos_config import NacosConfig
from nacos_boot.config.report import config_health, describe_config
from nacos_boot.config.state import FaultKind
from nacos_boot.start.startup import StartError
from tests.fakes.nacos import FakeNacos, FakeNacosClient
from tests.nacos_boot.samples import DemoSettings, bootstrap
from tests.waiting import eventually

OFTEN = "--spring.cloud.nacos.config.watchdog-interval=10ms"

Config = NacosConfig[DemoSettings]
Running = Callable[..., Any]


@pytest.fixture
def nacos() -> FakeNacos:
    server = FakeNacos()
    server.publish("demo.yml", "demo: {mode: slow}")
    return server


@pytest.fixture
def running(nacos: FakeNacos, tmp_path: Path) -> Running:
    """Run a program's configuration; several share the folder of the snapshot."""

    @asynccontextmanager
    async def run(*arguments: str, **environ: str) -> AsyncIterator[Config]:
        start = bootstrap(tmp_path, OFTEN, *arguments, environ=environ)
        config = NacosConfig(DemoSettings, start, FakeNacosClient(nacos))
        await config.load()
        watch = asyncio.create_task(config.watch())
        try:
            yield config
            assert not watch.done()
        finally:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)

    return run


def report(config: Config) -> dict[str, Any]:
    """Give the report as the actuator sends it."""
    return dict(json.loads(json.dumps(describe_config(config))))


def metric(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


async def rounds(nacos: FakeNacos, number: int = 5) -> None:
    """Let the watchdog read some more times."""
    before = len(nacos.reads)
    await eventually(lambda: len(nacos.reads) > before + 3 * number)


FAULTS = {
    "invalid": (lambda nacos: nacos.publish("demo.yml", "demo: {mode: x}"), "demo.mode = 'x'"),
    "empty": (lambda nacos: nacos.publish("demo.yml", "# nothing"), "demo.yml"),
    "deleted": (lambda nacos: nacos.remove("demo.yml"), "demo.yml"),
    "forbidden": (lambda nacos: nacos.forbidden.add("demo.yml"), "forbids the user 'a'"),
    "unreachable": (lambda nacos: setattr(nacos, "up", False), "did not answer"),
}


@pytest.mark.parametrize(("kind", "fault"), FAULTS.items(), ids=FAULTS.keys())
async def test_each_fault_is_told_apart_and_blanks_nothing(
    nacos: FakeNacos,
    running: Running,
    kind: str,
    fault: tuple[Callable[[FakeNacos], None], str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    cause, words = fault
    async with running() as config:
        in_force, md5 = config.live.current, config.state.md5
        assert metric("nacos_config_fault", kind=kind) == 0
        refused = metric("nacos_config_refused_total", kind=kind)
        caplog.clear()
        cause(nacos)
        found = await eventually(lambda: config.state.fault)
        await eventually(lambda: nacos.up is False or len(nacos.reads))
        assert found.kind == kind
        assert words in found.message
        body = report(config)
        assert body["fault"]["kind"] == kind
        assert body["fault"]["message"] == found.message
        assert words in (body["unreachable" if kind == "unreachable" else "error"] or "")
        health = config_health(config)
        assert health.status == "UNKNOWN"
        assert health.details["fault"] == kind
        assert metric("nacos_config_fault", kind=kind) == 1
        assert sum(metric("nacos_config_fault", kind=each) for each in FaultKind) == 1
        counted = kind not in {"forbidden", "unreachable"}
        assert metric("nacos_config_refused_total", kind=kind) - refused == counted
        assert config.live.current is in_force
        assert config.state.md5 == md5
        await asyncio.sleep(0.1)
        assert config.state.fault == found
        assert len([record for record in caplog.records if words in record.getMessage()]) == 1

        nacos.up = True
        nacos.forbidden.clear()
        nacos.publish("demo.yml", "demo: {mode: fast}")
        await eventually(lambda: config.live.current.demo.mode == "fast")
        await eventually(lambda: config.state.fault is None)
        assert report(config)["fault"] is None
        assert config_health(config).status == "UP"
        assert metric("nacos_config_fault", kind=kind) == 0


async def test_a_document_that_is_missing_when_nacos_is_back(
    nacos: FakeNacos, running: Running
) -> None:
    async with running():
        pass
    nacos.up = False
    async with running() as config:
        assert report(config)["snapshot"]["startedFrom"] is True
        assert metric("nacos_config_snapshot_age_seconds") > 0
        nacos.remove("demo.yml")
        nacos.up = True
        await eventually(
            lambda: config.state.fault and config.state.fault.kind is FaultKind.MISSING
        )
        assert "has no data id 'demo.yml'" in str(config.state.error)
        assert config.live.current.demo.mode == "slow"
        nacos.publish("demo.yml", "demo: {mode: slow}")
        await eventually(lambda: config.state.fault is None)
        assert config.state.snapshot_age is None
        await eventually(lambda: report(config)["snapshot"]["ageSeconds"] is not None)
        assert metric("nacos_config_snapshot_age_seconds") == 0


async def test_where_and_what_is_wrong(nacos: FakeNacos, running: Running) -> None:
    async with running() as config:
        nacos.publish("demo.yml", "demo:\n  mode: sideways\n  password: [hunter2]\n")
        await eventually(lambda: config.state.fault)
        first, second = report(config)["fault"]["problems"]
        assert first["dataId"] == "demo.yml"
        assert (first["line"], first["key"], first["value"]) == (2, "demo.mode", "'sideways'")
        assert "'slow' or 'fast'" in first["expected"]
        assert second["key"] == "demo.password"
        assert second["value"] == "******"


async def test_a_setting_that_needs_a_restart_is_pending_until_it_is_edited_back(
    nacos: FakeNacos, running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    nacos.publish("demo.yml", "server: {port: 1}")
    async with running() as config:
        assert config.state.pending == ()
        nacos.publish("demo.yml", "server: {port: 2}\ndemo: {mode: fast}")
        await eventually(lambda: config.live.current.demo.mode == "fast")
        waiting = {"inUse": "'1'", "waiting": "'2'", "source": "demo.yml"}
        assert report(config)["pendingRestart"] == {"server.port": waiting}
        assert config_health(config).details["pendingRestart"] == {"server.port": waiting}
        assert config_health(config).status == "UP"
        assert metric("nacos_config_pending_restart") == 1
        told = "a restart is needed for server.port: '1' -> '2' (demo.yml)"
        assert told in caplog.text

        # What is in use stays what it was at the start, and other edits tell nothing again.
        nacos.publish("demo.yml", "server: {port: 2}\ndemo: {mode: slow}")
        await eventually(lambda: config.live.current.demo.mode == "slow")
        assert caplog.text.count("a restart is needed") == 1
        nacos.publish("demo.yml", "demo: {mode: fast}")
        await eventually(lambda: config.live.current.demo.mode == "fast")
        assert report(config)["pendingRestart"]["server.port"] == {
            "inUse": "'1'",
            "waiting": "'8080'",
            "source": "the defaults",
        }

        nacos.publish("demo.yml", "server: {port: 1}")
        await eventually(lambda: not config.state.pending)
        assert "no restart is needed for server.port" in caplog.text
        assert report(config)["pendingRestart"] == {}
        assert metric("nacos_config_pending_restart") == 0


async def test_a_setting_of_the_framework_may_be_pending_too(
    nacos: FakeNacos, running: Running
) -> None:
    async with running() as config:
        text = "spring: {cloud: {nacos: {discovery: {cluster-name: EAST, weight: 2}}}}"
        nacos.publish("demo.yml", f"{text}\ndemo: {{mode: slow}}")
        await eventually(lambda: config.state.pending)
        assert [one.key for one in config.state.pending] == [
            "spring.cloud.nacos.discovery.cluster-name"
        ]
        assert config.framework.current.discovery.weight == 2


async def test_the_history_of_edits(nacos: FakeNacos, running: Running) -> None:
    async with running() as config:
        first = config.state.md5
        assert report(config)["history"] == []
        nacos.publish("demo.yml", "demo: {mode: fast, password: hunter2}")
        await eventually(lambda: config.live.current.demo.mode == "fast")
        nacos.publish("common.yml", "server: {port: many}")
        await eventually(lambda: config.state.error)
        refused, applied = report(config)["history"]
        assert applied["outcome"] == "applied"
        assert applied["reason"] is None
        assert applied["md5"] == config.state.md5 != first
        assert applied["at"] == config.state.applied_at
        assert [item["dataId"] for item in applied["documents"]] == ["demo.yml"]
        assert applied["changes"] == [
            {"key": "demo.mode", "old": "'slow'", "new": "'fast'", "source": "demo.yml"},
            {"key": "demo.password", "old": "(unset)", "new": "******", "source": "demo.yml"},
        ]
        assert refused["outcome"] == "refused"
        assert "common.yml, line 1: server.port = 'many'" in refused["reason"]
        assert [item["dataId"] for item in refused["documents"]] == ["common.yml"]
        assert refused["changes"] == []
        assert "hunter2" not in json.dumps(report(config))
        before = len(report(config)["history"])
        await rounds(nacos)
        assert len(report(config)["history"]) == before


async def test_the_history_keeps_the_last_fifty(nacos: FakeNacos, running: Running) -> None:
    async with running() as config:
        for port in range(60):
            nacos.publish("demo.yml", f"server: {{port: {port}}}")
            await eventually(lambda port=port: config.live.current.server.port == port)
        changes = [item["changes"] for item in report(config)["history"]]
        assert len(changes) == 50
        assert changes[0][0]["new"] == "'59'"


async def test_springs_own_fields(nacos: FakeNacos, running: Running) -> None:
    account = [f"--spring.cloud.nacos.{key}" for key in ("username=nacos", "password=nacos-secret")]
    async with running(*account) as config:
        nacos.publish("demo.yml", "demo: {mode: fast}")
        await eventually(lambda: config.live.current.demo.mode == "fast")
        body = report(config)
        assert body["NacosConfigProperties"]["serverAddr"] == "fake:8848"
        assert body["NacosConfigProperties"]["username"] == "nacos"
        assert body["NacosConfigProperties"]["sharedConfigs"][0] == {
            "dataId": "common.yml",
            "group": "DEFAULT_GROUP",
            "refresh": True,
        }
        [refresh] = body["RefreshHistory"]
        assert refresh["dataId"] == "demo.yml"
        assert refresh["md5"] == config.document_md5s["DEFAULT_GROUP/demo.yml"]
        [source] = body["Sources"]
        assert source == {"dataId": "demo.yml", "lastSynced": refresh["timestamp"]}
        assert "nacos-secret" not in json.dumps(body)


async def test_what_is_not_there_and_what_has_no_effect(nacos: FakeNacos, running: Running) -> None:
    async with running(DEMO_MODE="fast") as config:
        body = report(config)
        assert [item["dataId"] for item in body["missing"]] == [
            "common.yml",
            "fixed.yml",
            "extension.yml",
        ]
        assert body["withoutEffect"] == [{"key": "demo.mode", "pinnedBy": "the environment"}]


async def test_a_refresh_gives_the_keys_that_changed(
    nacos: FakeNacos, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config_reader, "SETTLED", 0.0)
    async with running("--spring.cloud.nacos.config.watchdog-interval=1h") as config:
        assert await config.refresh() == []
        nacos.deaf = True
        nacos.publish("demo.yml", "demo: {mode: fast}\nserver: {port: 1}")
        found = metric("nacos_config_applied_total")
        assert await config.refresh() == ["demo.mode", "server.port"]
        assert metric("nacos_config_applied_total") == found + 1
        assert metric("nacos_config_applied_timestamp_seconds") == config.state.applied_at
        nacos.publish("demo.yml", "demo: {mode: sideways}")
        assert await config.refresh() == []
        nacos.up = False
        assert await config.refresh() == []


async def test_what_only_the_watchdog_found_is_counted(nacos: FakeNacos, running: Running) -> None:
    async with running() as config:
        before = metric("nacos_config_found_by_watchdog_total")
        nacos.publish("demo.yml", "demo: {mode: fast}")
        await eventually(lambda: config.live.current.demo.mode == "fast")
        nacos.remove("demo.yml")
        await eventually(lambda: config.state.error)
        nacos.publish("demo.yml", "demo: {mode: fast}")
        await eventually(lambda: not config.state.error)
        await rounds(nacos)
        assert metric("nacos_config_found_by_watchdog_total") == before
        nacos.deaf = True
        nacos.publish("demo.yml", "demo: {mode: slow}")
        await eventually(lambda: config.live.current.demo.mode == "slow")
        assert metric("nacos_config_found_by_watchdog_total") == before + 1


SNAPSHOTS = {
    "damaged": ("{", "cannot be used: it is damaged"),
    "other documents": (None, "cannot be used: it has no data id 'other.yml'"),
}


@pytest.mark.parametrize(("text", "words"), SNAPSHOTS.values(), ids=SNAPSHOTS.keys())
async def test_a_snapshot_that_cannot_be_used_is_told(
    nacos: FakeNacos, running: Running, tmp_path: Path, text: str | None, words: str
) -> None:
    async with running():
        pass
    if text is not None:
        (tmp_path / "snapshots" / "demo@public.json").write_text(text)
    nacos.up = False
    prefix = "demo" if text else "other"
    with pytest.raises(StartError) as caught:
        async with running(f"--spring.cloud.nacos.config.prefix={prefix}"):
            pass
    assert words in str(caught.value)
    assert "nobody answers at fake:8848" in str(caught.value)
    assert "demo@public.json" in str(caught.value)


async def test_a_snapshot_that_could_not_be_written_is_written_later(
    nacos: FakeNacos, running: Running, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "snapshots"
    async with running() as config:
        (folder / "demo@public.json").unlink()
        folder.rmdir()
        folder.write_text("a file where the folder should be")
        nacos.publish("demo.yml", "demo: {mode: fast}")
        await eventually(lambda: "cannot be written" in caplog.text)
        assert config.live.current.demo.mode == "fast"
        await rounds(nacos)
        assert caplog.text.count("cannot be written") == 1
        folder.unlink()
        file = folder / "demo@public.json"
        await eventually(lambda: file.exists() and "fast" in file.read_text())

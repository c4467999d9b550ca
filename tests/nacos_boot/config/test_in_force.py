"""What may be a slip is told once, not at each change."""

import logging
from pathlib import Path

import pytest

from nacos_boot.config.in_force import SettingsInForce
from nacos_boot.config.state import ConfigState
from tests.nacos_boot.samples import DemoSettings, bootstrap

OWN = "DEFAULT_GROUP/demo.yml"


def test_a_profile_without_documents(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    start = bootstrap(tmp_path, "--spring.profiles.active=eu")
    settings = SettingsInForce(DemoSettings, start, {OWN: "server.port: 1"}, 0)
    settings.take({OWN: "server.port: 2"}, ConfigState(), lambda: 1.0)
    assert caplog.text.count("no document is for the profile 'eu': there is no demo-eu.yml") == 1
    gone = {OWN: "server.port: 2", "DEFAULT_GROUP/demo-eu.yml": "server.port: 3"}
    settings.take(gone, ConfigState(), lambda: 2.0)
    assert settings.live.current.server.port == 3
    assert settings.configuration.missing == ("common.yml", "fixed.yml", "extension.yml")


def test_an_import_in_a_document_from_nacos(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    text = "demo:\n  mode: %s\nspring:\n  config:\n    import: nacos:more.yml\n"
    settings = SettingsInForce(DemoSettings, bootstrap(tmp_path), {OWN: text % "slow"}, 0)
    settings.take({OWN: text % "fast"}, ConfigState(), lambda: 1.0)
    assert settings.live.current.demo.mode == "fast"
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 1
    assert told[0].startswith("demo.yml, line 5: spring.config.import has no effect there")

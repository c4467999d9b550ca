"""An edit is in force as a whole or not at all, and told within limits."""

import logging
from pathlib import Path

import pytest

from nacos_boot.config import decision
from nacos_boot.config.decision import MAX_CHANGES
from nacos_boot.config.in_force import SettingsInForce
from nacos_boot.config.state import ConfigState
from tests.nacos_boot.samples import DemoSettings, bootstrap

OWN = "DEFAULT_GROUP/demo.yml"


@pytest.fixture
def settings(tmp_path: Path) -> SettingsInForce[DemoSettings]:
    return SettingsInForce(DemoSettings, bootstrap(tmp_path), {OWN: "demo: {mode: slow}"}, 0)


def test_an_edit_that_cannot_be_told_is_not_applied_by_half(
    settings: SettingsInForce[DemoSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ValueError("a value that cannot be shown")

    edited = {OWN: "demo: {mode: fast}"}
    with monkeypatch.context() as patch:
        patch.setattr(decision, "changes", broken)
        state = settings.take(edited, ConfigState(), lambda: 1.0)
    assert "a value that cannot be shown" in str(state.error)
    assert settings.live.current.demo.mode == "slow"
    assert settings.configuration.bound.settings is settings.live.current


def test_of_an_edit_of_very_many_keys_the_first_are_told(
    settings: SettingsInForce[DemoSettings], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    labels = "".join(f"    name{number:04}: x\n" for number in range(3 * MAX_CHANGES))
    state = settings.take({OWN: f"demo:\n  labels:\n{labels}"}, ConfigState(), lambda: 1.0)
    assert state.error is None
    assert len(settings.live.current.demo.labels) == 3 * MAX_CHANGES
    [edit] = settings.history
    # The mode, which is gone, is one more.
    assert (len(edit.changes), edit.more) == (MAX_CHANGES, 2 * MAX_CHANGES + 1)
    assert f"and {2 * MAX_CHANGES + 1} more" in caplog.text
    assert "demo.labels.name0001: (unset) -> 'x' (demo.yml)" in caplog.text

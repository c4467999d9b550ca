import logging

import pytest

from nacos_boot.config.live import LiveSettings
from tests.nacos_boot.samples import DemoSettings

OLD = DemoSettings()
NEW = DemoSettings.model_validate({"demo": {"mode": "fast"}})


def test_a_swap_is_seen_by_all_who_look_and_told_to_all_who_asked() -> None:
    live = LiveSettings(OLD)
    told: list[tuple[DemoSettings, DemoSettings, DemoSettings]] = []
    live.subscribe(lambda old, new: told.append((old, new, live.current)))
    live.subscribe(lambda old, new: told.append((old, new, live.current)))
    live.swap(NEW)
    assert live.current is NEW
    assert told == [(OLD, NEW, NEW)] * 2


def test_a_subscriber_that_raises_does_not_stop_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    live = LiveSettings(OLD)
    told: list[DemoSettings] = []

    def broken(_old: DemoSettings, _new: DemoSettings) -> None:
        raise RuntimeError("broken component")

    live.subscribe(broken)
    live.subscribe(lambda _old, new: told.append(new))
    with caplog.at_level(logging.ERROR):
        live.swap(NEW)
    assert told == [NEW]
    assert "broken component" in caplog.text

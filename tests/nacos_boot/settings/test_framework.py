"""Settings of the framework itself in documents, beside those of the program."""

from datetime import timedelta
from pathlib import Path

import pytest

from nacos_boot.settings.bind import SettingsError
from nacos_boot.settings.configuration import assemble
from nacos_boot.settings.framework import FrameworkSettings, read_too_late
from nacos_boot.settings.sources import PropertySource
from tests.nacos_boot.samples import DemoSettings, bootstrap

COMMON, OWN = "DEFAULT_GROUP/common.yml", "DEFAULT_GROUP/demo.yml"
WEIGHT = "spring: {cloud: {nacos: {discovery: {weight: %s}}}}"


def test_they_are_bound_from_the_same_documents(tmp_path: Path) -> None:
    found = assemble(
        DemoSettings,
        bootstrap(tmp_path, environ={"SPRING_CLOUD_NACOS_DISCOVERY_CLUSTERNAME": "EAST"}),
        {
            COMMON: WEIGHT % "2",
            OWN: "logging.level.demo: DEBUG\nspring.cloud.nacos.discovery.holdAfterOutage: 5s",
        },
    ).framework.settings
    assert found.discovery.weight == 2
    assert found.discovery.cluster_name == "EAST"
    assert found.discovery.hold_after_outage == timedelta(seconds=5)
    assert found.logging.level == {"demo": "DEBUG"}


def test_the_bootstrap_file_counts_less_than_a_document(tmp_path: Path) -> None:
    text = f"spring.application.name: d\n{WEIGHT % 2}"
    start = bootstrap(tmp_path, text=text)
    assert start.nacos.discovery.weight == 2
    assert assemble(DemoSettings, start, {}).framework.settings.discovery.weight == 2
    contents = {"DEFAULT_GROUP/d.yml": WEIGHT % "3"}
    assert assemble(DemoSettings, start, contents).framework.settings.discovery.weight == 3


def test_an_error_in_either_refuses_both_and_is_told_once(tmp_path: Path) -> None:
    text = f"{WEIGHT % -1}\ndemo: {{mode: sideways}}\nlogging: {{level: {{demo: loud}}}}"
    with pytest.raises(SettingsError) as caught:
        assemble(DemoSettings, bootstrap(tmp_path), {OWN: text})
    problems = [problem.key for problem in caught.value.problems]
    assert sorted(problems) == [
        "demo.mode",
        "logging.level",
        "spring.cloud.nacos.discovery.weight",
    ]


def test_a_placeholder_without_a_value_is_told_once(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        assemble(DemoSettings, bootstrap(tmp_path), {OWN: "demo: {mode: '${NOWHERE}'}"})
    assert len(caught.value.problems) == 1


def test_keys_that_are_needed_before_nacos_is_asked() -> None:
    document = PropertySource(
        "demo.yml",
        {
            "spring": {
                "application": {"name": "x"},
                "profiles": {"active": "prod"},
                "cloud": {
                    "nacos": {
                        "server-addr": "a:1",
                        "config": {"group": "G"},
                        "discovery": {"weight": 2, "metadata": {}},
                    }
                },
                "rabbitmq": {"host": "h"},
            }
        },
    )
    assert list(read_too_late({"k": document})) == [
        ("demo.yml", "spring.application.name"),
        ("demo.yml", "spring.profiles.active"),
        ("demo.yml", "spring.cloud.nacos.server-addr"),
        ("demo.yml", "spring.cloud.nacos.config.group"),
    ]


def test_without_any_document_all_is_at_its_default() -> None:
    settings = FrameworkSettings()
    assert settings.discovery.weight == 1.0
    assert settings.discovery.hold_after_outage == timedelta(seconds=20)
    assert settings.logging.level == {}

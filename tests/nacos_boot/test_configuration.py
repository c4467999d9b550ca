from pathlib import Path

import pytest

from nacos_boot.bootstrap import Bootstrap
from nacos_boot.configuration import Configuration, assemble
from nacos_boot.settings import SettingsError
from tests.nacos_boot.samples import DemoSettings, bootstrap

COMMON, OWN = "DEFAULT_GROUP/common.yml", "DEFAULT_GROUP/demo.yml"


@pytest.fixture
def start(tmp_path: Path) -> Bootstrap:
    return bootstrap(tmp_path)


@pytest.fixture
def in_force(start: Bootstrap) -> Configuration[DemoSettings]:
    return assemble(DemoSettings, start, {COMMON: "demo: {mode: fast}", OWN: "server: {port: 1}"})


def problems(
    start: Bootstrap,
    contents: dict[str, str],
    replaces: Configuration[DemoSettings] | None = None,
) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        assemble(DemoSettings, start, contents, replaces=replaces)
    return [str(problem) for problem in caught.value.problems]


def test_documents_make_settings(in_force: Configuration[DemoSettings]) -> None:
    settings = in_force.bound.settings
    assert (settings.demo.mode, settings.server.port) == ("fast", 1)
    assert list(in_force.documents) == [COMMON, OWN]
    assert in_force.bound.merged.origin_of("demo.mode") == "common.yml"
    assert in_force.bound.merged.origin_of("spring.application.name") == "bootstrap.yml"


def test_an_absent_document_is_no_fault_at_first(start: Bootstrap) -> None:
    assert assemble(DemoSettings, start, {OWN: ""}).bound.settings == DemoSettings()


@pytest.mark.parametrize(
    ("contents", "expected"),
    [
        ({COMMON: "demo: {mode: fast}"}, ["demo.yml: the document = (deleted): expected it to"]),
        ({}, ["common.yml: the document = (deleted)", "demo.yml: the document = (deleted)"]),
        ({COMMON: "# none", OWN: "server: {port: 1}"}, ["common.yml: the document = (empty)"]),
        ({COMMON: "", OWN: "{}"}, ["common.yml: the document = (empty)", "demo.yml: the doc"]),
    ],
)
def test_settings_in_force_are_not_blanked(
    start: Bootstrap,
    in_force: Configuration[DemoSettings],
    contents: dict[str, str],
    expected: list[str],
) -> None:
    found = problems(start, contents, in_force)
    assert len(found) == len(expected)
    for problem, words in zip(found, expected, strict=True):
        assert problem.startswith(words)


def test_a_document_that_was_empty_may_stay_so_and_a_new_one_may_come(start: Bootstrap) -> None:
    before = assemble(DemoSettings, start, {OWN: "# none"})
    after = assemble(
        DemoSettings, start, {OWN: "# still none", COMMON: "server.port: 1"}, replaces=before
    )
    assert after.bound.settings.server.port == 1


def test_all_texts_that_cannot_be_read_are_named(start: Bootstrap) -> None:
    first, second = problems(start, {COMMON: "a: [", OWN: "a: 1\na: 2"})
    assert first.startswith("common.yml: the document = (text): line 2: ")
    assert second.startswith("demo.yml: the document = (text): line 2: the key 'a' stands twice")

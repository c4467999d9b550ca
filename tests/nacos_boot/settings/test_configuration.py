from pathlib import Path

import pytest

from nacos_boot.settings.bind import SettingsError
from nacos_boot.settings.configuration import Configuration, assemble
from nacos_boot.start.bootstrap import Bootstrap
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
    assert first.startswith("common.yml, line 2: the document = (text): ")
    assert second.startswith("demo.yml, line 2: a = (text): the key 'a' stands twice")


def test_documents_are_read_by_their_kind_and_for_the_active_profiles(tmp_path: Path) -> None:
    text = (
        "spring: {application: {name: demo}, profiles: {active: eu}, cloud.nacos.config:"
        " {file-extension: json, shared-configs: [{data-id: a.properties}, {data-id: b}]}}"
    )
    found = assemble(
        DemoSettings,
        bootstrap(tmp_path, text=text),
        {
            "DEFAULT_GROUP/a.properties": "demo.names[0]=x\ndemo.names[1]=y\n#---\n"
            "spring.config.activate.on-profile=us\nserver.port=1",
            "DEFAULT_GROUP/b": '{"demo": {"mode": "fast"}}',
            "DEFAULT_GROUP/demo.json": '{"server.port": 2}',
        },
    )
    settings = found.bound.settings
    assert settings.demo.names == ("x", "y")
    assert (settings.demo.mode, settings.server.port) == ("fast", 2)
    assert found.missing == ("demo-eu.json",)


@pytest.mark.parametrize("stem", ["bootstrap", "application"])
def test_a_document_may_stand_below_the_local_files_of_profiles(tmp_path: Path, stem: str) -> None:
    text = (
        "spring: {application: {name: demo}, profiles.active: eu, config.import:"
        " ['nacos:weak.yml?preference=local', 'nacos:strong.yml']}\n"
    )
    general = "server: {address: local, port: 3}\n"
    if stem == "application":
        (tmp_path / "application.yml").write_text(general)
    else:
        text += general
    (tmp_path / f"{stem}-eu.yml").write_text("server.port: 2\ndemo.mode: slow")
    contents = {
        "DEFAULT_GROUP/weak.yml": "{server: {address: remote, port: 1}, demo.names: [weak]}",
        "DEFAULT_GROUP/strong.yml": "demo.mode: fast",
    }
    settings = assemble(DemoSettings, bootstrap(tmp_path, text=text), contents).bound.settings
    assert (settings.server.address, settings.server.port) == ("remote", 2)
    assert settings.demo.mode == "fast"
    assert settings.demo.names == ("weak",)


def test_a_program_may_run_on_local_files_alone(tmp_path: Path) -> None:
    text = "spring: {application.name: demo, cloud.nacos.config.enabled: false}\nserver.port: 7"
    found = assemble(DemoSettings, bootstrap(tmp_path, text=text), {})
    assert found.bound.settings.server.port == 7
    assert (found.missing, found.warnings) == ((), ())


PROFILES = "spring: {application: {name: demo}, profiles: {active: 'eu,us', group: {us: [tx]}}}"


def test_a_profile_that_no_document_is_for(tmp_path: Path) -> None:
    start = bootstrap(tmp_path, text=PROFILES)
    found = assemble(DemoSettings, start, {OWN: "demo.mode: fast"})
    assert found.missing == ("demo-eu.yml", "demo-us.yml", "demo-tx.yml")
    assert found.warnings == tuple(
        f"no document is for the profile '{profile}': there is no demo-{profile}.yml,"
        f" no bootstrap-{profile}.yml, no application-{profile}.yml; check spring.profiles.active,"
        " or ignore this"
        for profile in ("eu", "tx")
    )


@pytest.mark.parametrize(
    ("contents", "file"),
    [
        ({OWN: "", "DEFAULT_GROUP/demo-eu.yml": ""}, ""),
        ({OWN: "a: 1\n---\nspring.config.activate.on-profile: '!eu'\na: 2"}, ""),
        ({OWN: ""}, "bootstrap-eu.yml"),
        ({OWN: ""}, "application-eu.properties"),
    ],
)
def test_a_profile_that_some_document_is_for(
    tmp_path: Path, contents: dict[str, str], file: str
) -> None:
    if file:
        (tmp_path / file).write_text("")
    start = bootstrap(tmp_path, text=PROFILES.replace("'eu,us'", "eu"))
    assert assemble(DemoSettings, start, contents).warnings == ()


def test_with_imports_a_profile_is_looked_for_in_local_files_only(tmp_path: Path) -> None:
    text = f"{PROFILES[:-1]}, config: {{import: 'nacos:a.yml'}}}}"
    (warning, _) = assemble(DemoSettings, bootstrap(tmp_path, text=text), {}).warnings
    assert "there is no bootstrap-eu.yml, no application-eu.yml" in warning


def test_every_key_knows_its_line(start: Bootstrap) -> None:
    contents = {
        COMMON: "demo:\n  mode: fast\n  labels:\n    x.y: z\n",
        OWN: "demo:\n  labels: {'[x.y]': w}\nserver.port: 1\n",
    }
    found = assemble(DemoSettings, start, contents)
    assert found.bound.settings.demo.labels == {"x.y": "w"}
    merged = found.bound.merged
    for key, origin, line in [
        ("demo.mode", "common.yml", 2),
        ("demo.labels.x.y", "demo.yml", 2),
        ("server.port", "demo.yml", 3),
        ("demo", "common.yml, demo.yml", None),
        ("server", "demo.yml", 3),
    ]:
        assert (merged.origin_of(key), merged.line_of(key)) == (origin, line)

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from nacos_boot.settings.sources import merge
from nacos_boot.start.bootstrap import Bootstrap, load_bootstrap
from nacos_boot.start.startup import StartError
from tests.nacos_boot.samples import bootstrap

NAMED = "spring: {application: {name: demo}}\n"


def load(folder: Path, nacos: str = "", **more: Any) -> Bootstrap:
    return bootstrap(folder, text=f"{NAMED}spring.cloud.nacos: {{{nacos}}}", **more)


def refusal(folder: Path, *arguments: str, text: str, environ: dict[str, str] | None = None) -> str:
    with pytest.raises(StartError) as caught:
        bootstrap(folder, *arguments, text=text, environ=environ)
    assert caught.value.final
    return str(caught.value)


def test_the_defaults(tmp_path: Path) -> None:
    start = load(tmp_path)
    assert start.application == "demo"
    assert start.profiles == ()
    assert start.nacos.server_addr == ["127.0.0.1:8848"]
    assert start.nacos.start_timeout == timedelta(seconds=30)
    assert start.nacos.config.timeout == timedelta(seconds=3)
    assert start.nacos.config.watchdog_interval == timedelta(seconds=5)
    assert start.nacos.discovery.register_enabled
    assert [item.key for item in start.documents] == ["DEFAULT_GROUP/demo.yml"]
    assert [item.data_id for item in start.required] == ["demo.yml"]


def test_the_documents_from_the_lowest_to_the_highest_precedence(tmp_path: Path) -> None:
    start = load(
        tmp_path,
        "config: {group: TEAM, prefix: shop, file-extension: yaml,"
        " shared-configs: [{data-id: common.yml}, {dataId: shop.yaml, group: A, refresh: true}],"
        " extension-configs: [{data-id: extra.yml, group: B}]}",
        environ={"SPRING_PROFILES_ACTIVE": "eu, prod"},
    )
    assert start.profiles == ("eu", "prod")
    assert [(item.key, item.refresh) for item in start.documents] == [
        ("DEFAULT_GROUP/common.yml", False),
        ("A/shop.yaml", True),
        ("B/extra.yml", False),
        ("TEAM/shop.yaml", True),
        ("TEAM/shop-eu.yaml", True),
        ("TEAM/shop-prod.yaml", True),
    ]
    assert [item.key for item in start.required] == ["TEAM/shop.yaml"]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("10.0.0.1:8849", ["10.0.0.1:8849"]),
        ("nacos", ["nacos:8848"]),
        ("a:1, b ,c:3,", ["a:1", "b:8848", "c:3"]),
        ("http://nacos", ["http://nacos:8848"]),
        ("https://nacos:443/", ["https://nacos:443"]),
    ],
)
def test_server_addresses(tmp_path: Path, written: str, expected: list[str]) -> None:
    start = load(tmp_path, environ={"SPRING_CLOUD_NACOS_SERVERADDR": written})
    assert start.nacos.server_addr == expected


@pytest.mark.parametrize("written", ["host:port", "host:1:2", "http://", "user@host", "a b", "h/x"])
def test_what_is_no_server_address(tmp_path: Path, written: str) -> None:
    message = refusal(tmp_path, text=NAMED, environ={"SPRING_CLOUD_NACOS_SERVER_ADDR": written})
    assert "the environment: spring.cloud.nacos.server-addr[0]" in message
    assert "expected host:port, such as 127.0.0.1:8848" in message


def test_a_server_address_must_be_given(tmp_path: Path) -> None:
    assert "server-addr" in refusal(
        tmp_path, text=NAMED, environ={"SPRING_CLOUD_NACOS_SERVER_ADDR": " "}
    )


def test_the_command_line_goes_before_the_environment_and_that_before_the_file(
    tmp_path: Path,
) -> None:
    text = f"{NAMED}spring.cloud.nacos: {{username: file, namespace: file, start-timeout: 1s}}"
    start = bootstrap(
        tmp_path,
        "--spring.cloud.nacos.username=argument",
        text=text,
        environ={
            "SPRING_CLOUD_NACOS_USERNAME": "variable",
            "SPRING_CLOUD_NACOS_NAMESPACE": "variable",
        },
    )
    assert start.nacos.username == "argument"
    assert start.nacos.namespace == "variable"
    assert start.nacos.start_timeout == timedelta(seconds=1)


def test_placeholders_take_the_environment_or_their_default(tmp_path: Path) -> None:
    start = load(
        tmp_path,
        "username: '${WHO:nobody}', password: '${NACOS_PASSWORD:}', namespace: '${NS:dev}'",
        environ={"WHO": "alice"},
    )
    assert start.nacos.username == "alice"
    assert start.nacos.password.get_secret_value() == ""
    assert start.nacos.namespace == "dev"


def test_metadata_is_text_and_can_be_set_one_by_one(tmp_path: Path) -> None:
    start = load(
        tmp_path,
        "discovery: {metadata: {zone: 1, canary: true, management.context-path: /x}}",
        environ={"SPRING_CLOUD_NACOS_DISCOVERY_METADATA_ZONE": "b"},
    )
    assert start.nacos.discovery.metadata["zone"] == "b"
    assert start.nacos.discovery.metadata["canary"] == "true"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("spring: {profiles: {active: dev}}", "does not set spring.application.name"),
        ("spring:\n\tapplication: x", "line 2: a tab indents this line"),
        ("", "does not set spring.application.name"),
        (f"{NAMED}spring.cloud.nacos.start-timeout: soon", "start-timeout = 'soon': expected a"),
        (f"{NAMED}spring.cloud.nacos.discovery.weight: -1", "discovery.weight = '-1'"),
        (
            f"{NAMED}spring.cloud.nacos.config.file-extension: xml",
            "line 2: spring.cloud.nacos.config.file-extension = 'xml'",
        ),
        (f"{NAMED}spring.cloud.nacos.username: '${{WHO}}'", "'${WHO}' has no value"),
        (
            f"{NAMED}spring.cloud.nacos.config.shared-configs: [{{group: A}}]",
            "shared-configs[0].data-id = (not set): this key is required",
        ),
    ],
)
def test_bootstrap_settings_that_cannot_be_used(tmp_path: Path, text: str, words: str) -> None:
    message = refusal(tmp_path, text=text)
    assert "bootstrap.yml" in message or "the defaults" in message
    assert words in message


def test_an_argument_that_is_not_understood(tmp_path: Path) -> None:
    assert "'--port' is not understood" in refusal(tmp_path, "--port", text=NAMED)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "bootstrap.yml"
    with pytest.raises(StartError, match=r"bootstrap\.yml does not exist, and application\.yml"):
        load_bootstrap(path, {})


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "bootstrap.yml"
    path.write_bytes(NAMED.encode() + b"a: caf\xe9")
    with pytest.raises(StartError, match=r"bootstrap\.yml cannot be read \(line 2 is not UTF-8"):
        load_bootstrap(path, {})


def test_a_file_that_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "bootstrap.yml").mkdir()
    with pytest.raises(StartError, match=r"bootstrap\.yml cannot be read .*directory"):
        load_bootstrap(tmp_path / "bootstrap.yml", {})


def test_a_file_that_is_too_large(tmp_path: Path) -> None:
    assert "larger than 1000000 bytes" in refusal(tmp_path, text="#" * 5_000_000)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("spring:\n  profiles: dev", "bootstrap.yml: line 2: spring.profiles is the old way"),
        (
            f"{NAMED}---\nspring:\n  config.activate.on-profile: a\n  profiles.active: b",
            "line 5: spring.profiles.active cannot stand in a document that is for a profile",
        ),
        (
            f"{NAMED}spring.profiles.active: a/b",
            "bootstrap.yml, line 2: spring.profiles.active = 'a/b': 'a/b' is no name of a profile",
        ),
        (
            f"{NAMED}spring.config.import: ['nacos:a.yml', 'file:./b.yml']",
            (
                "bootstrap.yml, line 2: spring.config.import = '['nacos:a.yml', 'file:./b.yml']':"
                " 'file:./b.yml' cannot be imported: expected nacos:<data-id>"
            ),
        ),
        (
            f"{NAMED}spring.config.import: 'nacos:${{NAME}}.yml'",
            "the placeholder '${NAME}' has no value",
        ),
        (
            f"{NAMED}spring.cloud.nacos.config.shared-dataids: a.yml",
            (
                "line 2: spring.cloud.nacos.config.shared-dataids = (removed): Spring Cloud Alibaba"
                " has removed this key; expected spring.cloud.nacos.config.shared-configs[0]"
            ),
        ),
        (
            f"{NAMED}spring.cloud.nacos.config.ext-config: [{{data-id: a.yml}}]",
            "expected spring.cloud.nacos.config.extension-configs[0].data-id, .group and .refresh",
        ),
    ],
)
def test_what_a_local_file_cannot_say(tmp_path: Path, text: str, words: str) -> None:
    assert words in refusal(tmp_path, text=text)


def files(folder: Path, **texts: str) -> None:
    for name, text in texts.items():
        stem, _, ending = name.rpartition("_")
        (folder / f"{stem.replace('_', '-')}.{ending}").write_text(text, encoding="utf-8")


def value(start: Bootstrap, key: str) -> object:
    return merge(start.local).tree[key]


def test_local_files_from_the_weakest_to_the_strongest(tmp_path: Path) -> None:
    keys = ["boot", "boot-p", "app", "app-p", "props", "yaml"]
    everything = dict.fromkeys(keys, "boot")
    texts = {
        "bootstrap_yml": everything,
        "bootstrap_eu_yml": dict.fromkeys(keys[1:], "boot-p"),
        "application_yml": dict.fromkeys(keys[2:], "app"),
        "application_yaml": {"yaml": "yaml", "app": "yaml"},
        "application_properties": {"props": "props"},
        "application_eu_yml": {"app-p": "app-p"},
        "application_other_yml": dict.fromkeys(keys, "never"),
    }
    files(
        tmp_path,
        **{
            name: "\n".join(
                f"{k}{'=' if name.endswith('properties') else ': '}{v}" for k, v in t.items()
            )
            for name, t in texts.items()
        },
    )
    with (tmp_path / "bootstrap.yml").open("a") as file:
        file.write(f"\n{NAMED}")
    start = load_bootstrap(tmp_path / "bootstrap.yml", {}, ["--spring.profiles.active=eu"])
    assert [source.name for source in start.local] == [
        "bootstrap.yml",
        "bootstrap-eu.yml",
        "application.yaml",
        "application.yml",
        "application.properties",
        "application-eu.yml",
    ]
    found = {key: value(start, key) for key in keys}
    assert found == {
        "boot": "boot",
        "boot-p": "boot-p",
        "app": "app",
        "app-p": "app-p",
        "props": "props",
        "yaml": "app",
    }
    assert start.local_names == {}


def test_a_program_may_have_an_application_file_only(tmp_path: Path) -> None:
    files(
        tmp_path,
        application_yml="spring:\n  application.name: demo\n"
        "  config.import: 'nacos:${spring.application.name}.yml'",
    )
    start = load_bootstrap(tmp_path / "bootstrap.yml", {})
    assert start.application == "demo"
    assert [item.key for item in start.documents] == ["DEFAULT_GROUP/demo.yml"]


def test_imports_stand_for_the_documents_named_after_the_program(tmp_path: Path) -> None:
    files(
        tmp_path,
        bootstrap_yml=f"{NAMED}spring.config.import: nacos:a.yml, optional:nacos:b.yml?group=G\n"
        "spring.cloud.nacos.config: {group: T, shared-configs: [{data-id: s.yml}]}",
        application_properties="spring.config.import[0]=nacos:c.json?refreshEnabled=false\n"
        "spring.config.import[1]=optional:file:./x.yml\n"
        "#---\nspring.config.activate.on-profile=eu\nspring.config.import=nacos:d.yml\n"
        "#---\nspring.config.activate.on-profile=us\nspring.config.import=nacos:never.yml",
        application_eu_yml="spring.config.import: ['nacos:e.yml?preference=local', 'nacos:a.yml']",
    )
    environ = {"SPRING_CONFIG_IMPORT": "optional:nacos:f.yml", "SPRING_PROFILES_ACTIVE": "eu"}
    start = load_bootstrap(tmp_path / "bootstrap.yml", environ)
    assert [(item.key, item.refresh) for item in start.documents] == [
        ("DEFAULT_GROUP/s.yml", False),
        ("G/b.yml", True),
        ("T/c.json", False),
        ("T/d.yml", True),
        ("T/e.yml", True),
        ("T/a.yml", True),
        ("T/f.yml", True),
    ]
    assert [item.data_id for item in start.required] == ["c.json", "d.yml", "e.yml", "a.yml"]
    assert start.below_local == {"T/e.yml"}
    assert [start.kind_of(item) for item in start.documents][2] == "json"


def test_a_document_with_no_ending_is_read_as_the_file_extension_says(tmp_path: Path) -> None:
    start = load(tmp_path, "config: {file-extension: properties, shared-configs: [{data-id: a}]}")
    assert [(item.data_id, start.kind_of(item)) for item in start.documents] == [
        ("a", "properties"),
        ("demo.properties", "properties"),
    ]


def test_profiles_that_are_included_grouped_or_the_default(tmp_path: Path) -> None:
    text = (
        f"{NAMED}spring.profiles: {{include: base, default: [dev],"
        " group: {prod: 'db,mq', '[a.b]': [c]}}"
    )
    assert bootstrap(tmp_path, text=text).profiles == ("base",)
    environ = {"SPRING_PROFILES_ACTIVE": "prod,a.b"}
    start = bootstrap(tmp_path, text=text, environ=environ)
    assert start.profiles == ("base", "prod", "db", "mq", "a.b", "c")
    text = f"{NAMED}spring.profiles.default: dev"
    assert bootstrap(tmp_path, text=text).profiles == ("dev",)
    assert bootstrap(tmp_path, text=text, environ=environ).profiles == ("prod", "a.b")


def test_without_a_profile_the_default_files_are_read(tmp_path: Path) -> None:
    files(tmp_path, bootstrap_yml=NAMED, application_default_yml="a: 1")
    start = load_bootstrap(tmp_path / "bootstrap.yml", {})
    assert value(start, "a") == 1
    assert start.profiles == ()
    start = load_bootstrap(tmp_path / "bootstrap.yml", {"SPRING_PROFILES_ACTIVE": "x"})
    assert len(start.local) == 1


def test_of_a_document_named_twice_the_stronger_place_counts(tmp_path: Path) -> None:
    start = load(
        tmp_path,
        "config: {shared-configs: [{data-id: demo.yml}, {data-id: a.yml}, {data-id: b.yml}],"
        " extension-configs: [{data-id: a.yml, refresh: true}]}",
    )
    assert [(item.data_id, item.refresh) for item in start.documents] == [
        ("b.yml", False),
        ("a.yml", True),
        ("demo.yml", True),
    ]


def test_which_documents_refresh_can_be_switched_off(tmp_path: Path) -> None:
    start = load(
        tmp_path,
        "config: {refresh-enabled: false, shared-configs: [{data-id: a.yml, refresh: true}]}",
    )
    assert [item.refresh for item in start.documents] == [False, False]


def test_a_program_may_read_local_files_only(tmp_path: Path) -> None:
    start = load(tmp_path, "config: {enabled: false, shared-configs: [{data-id: a.yml}]}")
    assert start.documents == ()
    assert start.required == ()
    assert not start.nacos.config.snapshot


def test_the_older_name_of_the_prefix(tmp_path: Path) -> None:
    assert load(tmp_path, "config: {name: shop}").documents[0].data_id == "shop.yml"
    start = load(tmp_path, "config: {name: shop, prefix: store}")
    assert start.documents[0].data_id == "store.yml"


def test_shared_configs_from_the_environment(tmp_path: Path) -> None:
    name = "SPRING_CLOUD_NACOS_CONFIG_SHARED_CONFIGS"
    environ = {f"{name}_0_DATA_ID": "a.yml", f"{name}_0_REFRESH": "true", f"{name}_1_DATA_ID": "b"}
    start = load(tmp_path, "config: {shared-configs: [{data-id: x.yml}]}", environ=environ)
    assert [(item.data_id, item.refresh) for item in start.documents[:-1]] == [
        ("a.yml", True),
        ("b", False),
    ]
    assert "has an item [2] of this list, but no item [0]" in refusal(
        tmp_path, text=NAMED, environ={f"{name}_2_DATA_ID": "a.yml"}
    )


def test_the_json_variable_stands_between_command_line_and_environment(tmp_path: Path) -> None:
    environ = {
        "SPRING_APPLICATION_JSON": '{"spring.cloud.nacos": {"username": "j", "namespace": "j"}}',
        "SPRING_CLOUD_NACOS_USERNAME": "variable",
        "SPRING_CLOUD_NACOS_NAMESPACE": "variable",
    }
    argument = "--spring.cloud.nacos.username=argument"
    start = bootstrap(tmp_path, argument, text=NAMED, environ=environ)
    assert (start.nacos.username, start.nacos.namespace) == ("argument", "j")
    assert "SPRING_APPLICATION_JSON, line 1: the document = (text): expected an object" in refusal(
        tmp_path, text=NAMED, environ={"SPRING_APPLICATION_JSON": "[]"}
    )


def test_keys_that_have_no_effect_are_told_with_their_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bootstrap(tmp_path, text=f"{NAMED}spring.cloud.nacos:\n  config:\n    max-retry: 3")
    assert (
        "bootstrap.yml, line 4: spring.cloud.nacos.config.max-retry is not honoured here"
        in caplog.text
    )


def test_documents_and_the_registry_may_be_at_two_servers(tmp_path: Path) -> None:
    nacos = load(tmp_path, "server-addr: a, username: u, password: p").nacos
    assert nacos.one_connection
    assert nacos.for_config().server_addr == ["a:8848"]
    nacos = load(
        tmp_path,
        "server-addr: a, username: u, password: p, config: {server-addr: b, namespace: n},"
        " discovery: {username: v, password: q}",
    ).nacos
    assert not nacos.one_connection
    config, registry = nacos.for_config(), nacos.for_discovery()
    assert (config.server_addr, config.username, config.namespace) == (["b:8848"], "u", "n")
    assert (registry.server_addr, registry.username, registry.namespace) == (["a:8848"], "v", "")
    assert config.password.get_secret_value() == "p"
    assert registry.password.get_secret_value() == "q"
    nacos = load(tmp_path, "config: {server-addr: b}, discovery: {server-addr: 'b:8848'}").nacos
    assert nacos.one_connection

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from nacos_boot.bootstrap import Bootstrap, load_bootstrap
from nacos_boot.startup import StartError
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
    assert start.required.data_id == "demo.yml"


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
    assert start.required.key == "TEAM/shop.yaml"


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
        (f"{NAMED}spring.cloud.nacos.config.file-extension: xml", "'yml' or 'yaml'"),
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
    with pytest.raises(StartError, match=r"bootstrap\.yml cannot be read .*No such file"):
        load_bootstrap(path, {})


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "bootstrap.yml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(StartError, match=r"bootstrap\.yml cannot be read"):
        load_bootstrap(path, {})

from pathlib import Path

import pytest

from nacos_boot.start.bootstrap import Bootstrap, load_bootstrap
from nacos_boot.tools.check import Finding, Level, check, in_order
from tests.nacos_boot.shop import ShopSettings

BOOTSTRAP = """
spring:
  application: {name: shop}
  cloud:
    nacos:
      config:
        shared-configs:
          - {data-id: common.yml, refresh: true}
"""


@pytest.fixture
def bootstrap(tmp_path: Path) -> Bootstrap:
    return with_profile(tmp_path)


def with_profile(folder: Path, *arguments: str, **environ: str) -> Bootstrap:
    path = folder / "bootstrap.yml"
    path.write_text(BOOTSTRAP)
    return load_bootstrap(path, environ, arguments)


def of(level: Level, findings: list[Finding]) -> list[tuple[str, int | None, str, str]]:
    return [
        (each.source, each.line, each.key, each.message) for each in findings if each.level is level
    ]


def test_documents_without_a_fault(bootstrap: Bootstrap) -> None:
    texts = {"common.yml": "spring: {data: {port: 6380}}", "shop.yml": "shop: {mode: closed}"}
    assert check(ShopSettings, bootstrap, texts) == []


def test_every_fault_is_told_with_its_place(bootstrap: Bootstrap) -> None:
    text = "shop:\n  mode: ajar\n  timeout: soon\n  limits:\n    max-itmes: 5\n"
    findings = check(ShopSettings, bootstrap, {"shop.yml": text})
    assert [(each.source, each.line, each.key, each.value) for each in findings] == [
        ("shop.yml", 2, "shop.mode", "'ajar'"),
        ("shop.yml", 3, "shop.timeout", "'soon'"),
        ("shop.yml", 5, "shop.limits.max-itmes", "'5'"),
    ]
    assert all(each.level is Level.ERROR for each in findings)
    assert "'open' or 'closed'" in findings[0].message
    assert "such as 500ms" in findings[1].message
    assert findings[2].message.endswith("did you mean shop.limits.max-items?")


def test_documents_are_checked_together_as_the_program_merges_them(bootstrap: Bootstrap) -> None:
    common, own = "shop: {limits: {warn-at: 80}}", "shop: {limits: {max-items: 70}}"
    assert check(ShopSettings, bootstrap, {"common.yml": common}) == []
    (finding,) = check(ShopSettings, bootstrap, {"common.yml": common, "shop.yml": own})
    assert finding.level is Level.ERROR
    assert "warn-at 80 must be below max-items 70" in finding.message
    # The program's own document wins, in whatever order they are given.
    good = {"shop.yml": "shop: {mode: open}", "common.yml": "shop: {mode: closed}"}
    assert check(ShopSettings, bootstrap, good) == []


def test_a_document_that_cannot_be_read_is_told_with_its_line(bootstrap: Bootstrap) -> None:
    texts = {"common.yml": "a: 1\na: 2", "shop.yml": "shop:\n\tmode: open", "other.json": "{"}
    findings = check(ShopSettings, bootstrap, texts)
    errors = {source: (line, message) for source, line, _, message in of(Level.ERROR, findings)}
    assert errors.keys() == {"common.yml", "shop.yml", "other.json"}
    assert errors["common.yml"][0] == 2
    assert errors["shop.yml"][0] == 2
    assert "tab" in errors["shop.yml"][1]


def test_keys_that_nobody_reads_are_warned_of(bootstrap: Bootstrap) -> None:
    text = "shop: {mode: open}\nspring:\n  data:\n    hots: a\nshpo:\n  mode: open\n"
    findings = check(ShopSettings, bootstrap, {"shop.yml": text})
    assert of(Level.ERROR, findings) == []
    assert of(Level.WARNING, findings) == [
        ("shop.yml", 4, "spring.data.hots", "not read; did you mean spring.data.host?"),
        ("shop.yml", 6, "shpo.mode", "not read; did you mean shop.mode?"),
    ]


def test_in_a_shared_document_they_may_be_for_others(bootstrap: Bootstrap) -> None:
    text = "spring: {rabbitmq: {host: a, port: 1}}\nother: {key: 1}"
    (finding,) = check(ShopSettings, bootstrap, {"common.yml": text})
    assert finding.level is Level.NOTE
    assert finding.message == "not read by this program: spring.rabbitmq.*, other.*"


def test_what_the_framework_reads_is_known(bootstrap: Bootstrap) -> None:
    text = "spring: {cloud: {nacos: {discovery: {weight: 2}}}}\nlogging: {level: {root: WARN}}"
    assert check(ShopSettings, bootstrap, {"shop.yml": text}) == []
    bad = "spring: {cloud: {nacos: {discovery: {weight: heavy}}}}"
    (finding,) = check(ShopSettings, bootstrap, {"shop.yml": bad})
    assert (finding.level, finding.key) == (Level.ERROR, "spring.cloud.nacos.discovery.weight")


def test_keys_that_are_read_before_nacos_are_warned_of(bootstrap: Bootstrap) -> None:
    text = "spring:\n  cloud:\n    nacos:\n      server-addr: a:1\n"
    findings = check(ShopSettings, bootstrap, {"shop.yml": text})
    ((source, line, key, message),) = of(Level.WARNING, findings)
    assert (source, line, key) == ("shop.yml", 4, "spring.cloud.nacos.server-addr")
    assert "bootstrap.yml" in message


@pytest.mark.parametrize(
    "text",
    [
        "shop:\n  timeout: ${TIMEOUT}\n",
        "shop:\n  mode: ${MODE_OF_DAY}\n",
        "shop:\n  limits: {warn-at: '${WARN_AT}'}\n",
        "shop:\n  url: http://${HOST}/${PATH_OF_IT}\n",
    ],
)
def test_a_placeholder_without_a_value_here_is_no_error(bootstrap: Bootstrap, text: str) -> None:
    (finding,) = check(ShopSettings, bootstrap, {"shop.yml": text})
    assert finding.level is Level.WARNING
    assert (finding.source, finding.line) == ("shop.yml", 2)
    assert "has no value here" in finding.message
    assert finding.message.startswith("${")


def test_other_faults_are_told_beside_it(bootstrap: Bootstrap) -> None:
    text = "shop: {timeout: '${TIMEOUT}', mode: ajar, pause: '${PAUSE:never}'}"
    findings = check(ShopSettings, bootstrap, {"shop.yml": text})
    assert [key for _, _, key, _ in of(Level.ERROR, findings)] == ["shop.mode", "shop.pause"]
    assert [key for _, _, key, _ in of(Level.WARNING, findings)] == ["shop.timeout"]


def test_a_placeholder_that_refers_to_itself_is_an_error(bootstrap: Bootstrap) -> None:
    findings = check(ShopSettings, bootstrap, {"shop.yml": "shop: {url: '${shop.url}'}"})
    ((_, _, key, message),) = of(Level.ERROR, findings)
    assert key == "shop.url"
    assert "refers to itself" in message


def test_with_an_environment_it_gives_the_values(tmp_path: Path) -> None:
    bootstrap = with_profile(tmp_path, MODE="ajar")
    (finding,) = check(ShopSettings, bootstrap, {"shop.yml": "shop: {mode: '${MODE}'}"})
    assert (finding.level, finding.value) == (Level.ERROR, "'ajar'")


def test_a_profile_adds_its_document(tmp_path: Path) -> None:
    texts = {"shop.yml": "shop: {mode: open}", "shop-prod.yml": "shop: {mode: ajar}"}
    bootstrap = with_profile(tmp_path, "--spring.profiles.active=prod")
    (finding,) = check(ShopSettings, bootstrap, texts)
    assert (finding.source, finding.level) == ("shop-prod.yml", Level.ERROR)
    (finding,) = check(ShopSettings, with_profile(tmp_path), texts)
    assert (finding.source, finding.level) == ("shop-prod.yml", Level.WARNING)
    assert "it reads common.yml, shop.yml" in finding.message


def test_nothing_that_the_program_reads_is_an_error(bootstrap: Bootstrap) -> None:
    findings = check(ShopSettings, bootstrap, {"shpo.yml": "shop: {mode: open}"})
    assert [each.level for each in findings] == [Level.WARNING, Level.ERROR]
    assert "common.yml, shop.yml" in findings[1].source


def test_secrets_are_masked(bootstrap: Bootstrap) -> None:
    text = "shop: {password: [hunter2]}"
    (finding,) = check(ShopSettings, bootstrap, {"shop.yml": text})
    assert "hunter2" not in str(finding)
    assert "******" in finding.value


def test_without_start_up_facts_the_last_document_wins() -> None:
    texts = {"a.yml": "shop: {mode: ajar}", "b.yml": "shop: {mode: open}\nx: 1"}
    (finding,) = check(ShopSettings, in_order(list(texts)), texts)
    assert (finding.level, finding.key) == (Level.WARNING, "x")
    back = {"b.yml": texts["b.yml"], "a.yml": texts["a.yml"]}
    assert Level.ERROR in [each.level for each in check(ShopSettings, in_order(list(back)), back)]


def test_other_kinds_of_documents(bootstrap: Bootstrap) -> None:
    texts = {"a.properties": "shop.mode=ajar\n", "b.json": '{"shop": {"timeout": "soon"}}'}
    findings = check(ShopSettings, in_order(list(texts)), texts)
    assert [(each.source, each.line, each.key) for each in findings] == [
        ("a.properties", 1, "shop.mode"),
        ("b.json", 1, "shop.timeout"),
    ]

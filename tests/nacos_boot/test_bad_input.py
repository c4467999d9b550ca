"""What people see of a slip in a document: where it is, what it is, what was expected."""

import time
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import field_validator

from nacos_boot.settings.bind import SettingsError
from nacos_boot.settings.configuration import assemble
from nacos_boot.settings.cron import SpringCron
from nacos_boot.settings.section import OpenSection, Section
from nacos_boot.start.bootstrap import Bootstrap
from tests.nacos_boot.samples import DemoSection, bootstrap


class JobSection(Section):
    cron: str = "0 * * * * *"

    @field_validator("cron")
    @classmethod
    def _fires(cls, value: str) -> str:
        if SpringCron(value).longest_gap(timedelta(days=1)) is None:
            raise ValueError("expected a cron expression that fires")
        return value


class Settings(OpenSection):
    demo: DemoSection = DemoSection()
    job: JobSection = JobSection()


@pytest.fixture
def start(tmp_path: Path) -> Bootstrap:
    config = "spring: {application: {name: demo}, cloud.nacos.config: {shared-configs: [%s]}}"
    documents = "{data-id: a.properties}, {data-id: b.json}, {data-id: common.yml}"
    return bootstrap(tmp_path, text=config % documents)


def refusal(start: Bootstrap, **documents: str) -> str:
    names = {"a": "a.properties", "b": "b.json", "common": "common.yml", "demo": "demo.yml"}
    contents = {f"DEFAULT_GROUP/{names[key]}": text for key, text in documents.items()}
    with pytest.raises(SettingsError) as caught:
        assemble(Settings, start, contents)
    return str(caught.value)


BOMB = "x: &x0 [1, 1]\n" + "".join(f"x{i}: &x{i} [*x{i - 1}, *x{i - 1}]\n" for i in range(1, 30))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(
            "demo:\n  limits: {max-connections: 1\n  mode: fast\n",
            "demo.yml, line 3: the document = (text): while parsing a flow mapping, did not find"
            " expected ',' or '}'",
            id="no YAML",
        ),
        pytest.param(
            "demo:\n  mode: fast\n  mode: slow\n",
            "demo.yml, line 3: demo.mode = (text): the key 'mode' stands twice (first in line 2)",
            id="a key twice",
        ),
        pytest.param(
            "demo:\n\tmode: fast\n",
            "demo.yml, line 2: the document = (text): a tab indents this line; YAML wants spaces",
            id="a tab",
        ),
        pytest.param(
            BOMB,
            "demo.yml, line 12: the document = (text): more than 10000 values, aliases written out",
            id="a bomb of anchors",
        ),
        pytest.param(
            "# x\n" * 1_250_000,
            "demo.yml: the document = (text): larger than 1000000 bytes",
            id="5 MB",
        ),
        pytest.param(
            "demo:\n  # a comment\n  limits:\n    max-connections: many\n",
            "demo.yml, line 4: demo.limits.max-connections = 'many': Input should be a valid"
            " integer, unable to parse string as an integer",
            id="a wrong type",
        ),
        pytest.param(
            "demo:\n  names:\n  - a\n  - [b]\n",
            "demo.yml, line 4: demo.names[1] = '['b']': Input should be a valid string",
            id="a wrong type in a list",
        ),
        pytest.param(
            "demo:\n  maxConections: 5\n",
            "demo.yml, line 2: demo.maxConections = '5': this key is not known here;"
            " expected one of the documented keys",
            id="an unknown key",
        ),
        pytest.param(
            "demo:\n  mode: fast\n  limitz:\n    a: 1\n",
            "demo.yml, line 3: demo.limitz = (section): this key is not known here;"
            " expected one of the documented keys",
            id="an unknown section",
        ),
        pytest.param(
            "demo:\n  limits:\n    max-connections: 40\n",
            "demo.yml, line 3: demo.limits = (section): warn-at 50 must be below"
            " max-connections 40",
            id="a rule, one key set",
        ),
        pytest.param(
            "demo:\n  limits:\n    max-connections: 40\n    warn-at: 60\n",
            "demo.yml, line 4: demo.limits = (section): warn-at 60 must be below"
            " max-connections 40; max-connections stands in demo.yml, line 3",
            id="a rule, both keys set",
        ),
        pytest.param(
            'job:\n  cron: "0 0 0 31 2 *"\n',
            "demo.yml, line 2: job.cron = '0 0 0 31 2 *': expected a cron expression that fires",
            id="a cron that never fires",
        ),
        pytest.param(
            "demo:\n  mode: ${demo.labels.a}\n  labels:\n    a: ${demo.labels.b}\n"
            "    b: ${demo.labels.a}\n",
            "demo.yml, line 2: demo.mode = '${demo.labels.a}': the placeholder refers to itself"
            " (demo.labels.a -> demo.labels.b -> demo.labels.a)",
            id="placeholders in a circle",
        ),
        pytest.param(
            "demo:\n  names:\n  - a\n  - ${NAME}\n",
            "demo.yml, line 4: demo.names[1] = '['a', '${NAME}']': the placeholder '${NAME}' has no"
            " value: set NAME in the environment, or give a default as in '${NAME:value}'",
            id="a placeholder without a value",
        ),
        pytest.param(
            "a: 1\n---\nspring:\n  config.activate.on-profile: prod & eu | us\n",
            "demo.yml, line 4: spring.config.activate.on-profile = (text): the profile expression"
            " 'prod & eu | us' mixes & and |; expected parentheses that say which goes first",
            id="a profile expression",
        ),
        pytest.param(
            "demo:\n  mode: \x07fast\n",
            "demo.yml, line 2: the document = (text): a character that text cannot hold (U+0007)",
            id="a control character",
        ),
        pytest.param(
            "demo:\n  mode: fast\0\n",
            "demo.yml, line 2: the document = (text): a NUL character (U+0000)",
            id="NUL",
        ),
        pytest.param(
            "\ufeffdemo:\r\n  mode: sideways\r\n",
            "demo.yml, line 2: demo.mode = 'sideways': Input should be 'slow' or 'fast'",
            id="a byte order mark and CRLF",
        ),
    ],
)
def test_a_slip_in_yaml_is_told_at_once(start: Bootstrap, text: str, message: str) -> None:
    began = time.process_time()
    assert refusal(start, demo=text) == message
    # It takes a few hundredths of a second; the rest is for machines that have much else to do.
    assert time.process_time() - began < 1.5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(
            "# a comment\ndemo.limits.max-connections=\\\n  many",
            "a.properties, line 2: demo.limits.max-connections = 'many': Input should be a valid",
            id="a wrong type",
        ),
        pytest.param(
            "demo.mode=fast\n\ndemo.mode=slow",
            "a.properties, line 3: demo.mode = (text): the key 'demo.mode' is given twice (first in"
            " line 1)",
            id="a key twice",
        ),
        pytest.param(
            "demo.names[0]=a\ndemo.names[2]=b",
            "a.properties, line 2: demo.names[2] = (text): the list 'demo.names' has an item [2]"
            " but no item [1]",
            id="a list with a gap",
        ),
    ],
)
def test_a_slip_in_properties(start: Bootstrap, text: str, message: str) -> None:
    assert refusal(start, a=text).startswith(message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(
            '{"demo":\n {"limits":\n {"max-connections": "many"}}}',
            "b.json, line 3: demo.limits.max-connections = 'many': Input should be a valid",
            id="a wrong type",
        ),
        pytest.param(
            '{"demo": {\n"mode": "fast",\n"mode": "slow"}}',
            "b.json, line 3: demo.mode = (text): the key 'mode' stands twice (first in line 2)",
            id="a key twice",
        ),
        pytest.param(
            '{"demo": {\n"mode": "fast",}}',
            "b.json, line 2: the document = (text): expected a key in double quotes",
            id="no JSON",
        ),
    ],
)
def test_a_slip_in_json(start: Bootstrap, text: str, message: str) -> None:
    assert refusal(start, b=text).startswith(message)


def test_the_line_is_that_of_the_document_that_gave_the_value(start: Bootstrap) -> None:
    message = refusal(start, common="demo:\n\n  mode: x", demo="# only a comment\nserver.port: 1")
    assert message.startswith("common.yml, line 3: demo.mode = 'x'")
    message = refusal(start, common="demo:\n\n  mode: fast", demo="demo.mode: x")
    assert message.startswith("demo.yml, line 1: demo.mode = 'x'")


def test_a_rule_between_keys_of_two_documents_names_both(start: Bootstrap) -> None:
    message = refusal(
        start, a="demo.limits.warn-at=60", demo="demo:\n  limits:\n    maxConnections: 40\n"
    )
    assert message == (
        "a.properties, line 1: demo.limits = (section): warn-at 60 must be below max-connections 40"
        "; max-connections stands in demo.yml, line 3"
    )


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(
            "demo:\n" + "".join(f"  typo{i}: {i}\n" for i in range(4950)), id="unknown keys"
        ),
        pytest.param(
            "demo:\n" + "".join(f"  typo{i}: {{a: 1}}\n" for i in range(2450)),
            id="unknown sections",
        ),
        pytest.param("demo.names: [" + "[x]," * 4900 + "]", id="wrong items"),
        pytest.param(
            "".join(f"a{i}: ${{a{i + 1}}}${{a{i + 1}}}\n" for i in range(40)), id="doubling"
        ),
        pytest.param("a: '" + "${x:{" * 190_000 + "'", id="open placeholders"),
        pytest.param("spring.config.activate.on-profile: '" + "(" * 900_000 + "'", id="brackets"),
        pytest.param("---\n" * 200_000, id="documents"),
        pytest.param("a: " + "- " * 400_000, id="dashes"),
        pytest.param("a" + "[0]" * 300 + ": 1\nb", id="indexes"),
    ],
)
def test_the_worst_document_costs_little(start: Bootstrap, text: str) -> None:
    began = time.process_time()
    assert len(refusal(start, demo=text)) < 10_000
    assert time.process_time() - began < 1.5
